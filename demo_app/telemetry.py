"""The shop's own OpenTelemetry, as an ordinary application sets it up: traces and logs, where a collector is named."""

import logging
import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from afterword.logs import RunFilter

#: Milliseconds a span waits for others to be sent with; what has not left dies with the process.
_DELAY = 200


def start(service: str) -> None:
    """Once a process, before its application is made. FastAPI makes the spans."""
    resource = Resource.create({"service.name": service})
    if "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT" in os.environ:
        provider = TracerProvider(resource=resource)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=_DELAY))
        trace.set_tracer_provider(provider)
    if "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT" in os.environ:
        logs = LoggerProvider(resource=resource)
        logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
        handler = LoggingHandler(level=logging.INFO, logger_provider=logs)
        handler.addFilter(RunFilter())  # the run's id and task on every record; the trace it has from OpenTelemetry
        logging.getLogger().addHandler(handler)
