"""Sends spans over OTLP, with OpenTelemetry's own exporter: which one, and to where.

The endpoint is ours (``otlp_endpoint``), else what OpenTelemetry's own variables name; without one nothing is sent.
"""

import logging
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from afterword.books.outbox import Batch, Span
from afterword.settings import values
from afterword.spans import SCOPE

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

_VARIABLES: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HTTP, _GRPC = "http/protobuf", "grpc"
_PATH: Final = "/v1/traces"
#: Seconds one request may take.
_TIMEOUT: Final = 5
#: It tells each of its attempts; we tell of all that fail in a row, once.
_LOUD: Final = logging.getLogger("opentelemetry.exporter")


class _FirstWords(logging.Handler):
    """Keeps what was logged first: the reason of a first attempt says more than that there will be no further one."""

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Until it is asked."""
        self.text = self.text or record.getMessage().splitlines()[0]


_WORDS: Final = _FirstWords(logging.WARNING)
_NO_REASON: Final = re.compile(r"^Transient error | encountered while exporting spans batch, retrying in .*$")


def why_not() -> str:
    """Why the exporter could not send, as it said itself; it is asked once for each time."""
    text, _WORDS.text = _WORDS.text, ""
    return _NO_REASON.sub("", text).rstrip(".")


class CannotExportError(Exception):
    """Spans are not sent; the text is one sentence that says what to change."""


def endpoint_of(setting: str | None, environment: Mapping[str, str] = os.environ) -> tuple[str, str] | None:
    """What names the collector, and its URL; None without one.

    Raises:
        CannotExportError: one of OpenTelemetry's variables is no URL.
    """
    if setting is not None:
        return "otlp_endpoint", setting
    for variable in _VARIABLES:
        named = environment.get(variable, "").strip()
        if named:
            try:
                return variable, values.url(named)
            except ValueError as error:
                raise CannotExportError(f"{variable} is {named!r}; allowed: {values.A_URL}") from error
    return None


def exporter_for(named_by: str, url: str, environment: Mapping[str, str] = os.environ) -> "SpanExporter":
    """An exporter to ``url``; headers, certificates and the rest are OpenTelemetry's own settings.

    Raises:
        CannotExportError: the protocol is not known, or a package for it is missing.
    """
    variable, protocol = next(
        ((name, value) for name in _PROTOCOLS if (value := environment.get(name, "").strip())), ("", _HTTP)
    )
    if protocol not in (_HTTP, _GRPC):
        raise CannotExportError(f"{variable} is {protocol!r}; allowed: {_HTTP} or {_GRPC}")
    _LOUD.propagate = False
    if _WORDS not in _LOUD.handlers:
        _LOUD.addHandler(_WORDS)
    try:
        if protocol == _GRPC:
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import (  # type: ignore[import-not-found,unused-ignore]  # only there if the user has it
                OTLPSpanExporter as GrpcExporter,
            )

            exporter: SpanExporter = GrpcExporter(
                endpoint=url, insecure=urlsplit(url).scheme == "http", timeout=_TIMEOUT
            )
            return exporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        whole = url if named_by == _VARIABLES[0] or url.rstrip("/").endswith(_PATH) else url.rstrip("/") + _PATH
        return OTLPSpanExporter(endpoint=whole, timeout=_TIMEOUT)
    except ImportError as error:
        missing = "opentelemetry-exporter-otlp-proto-grpc" if protocol == _GRPC else "'afterword[otel]'"
        raise CannotExportError(f"{named_by} is set, but {error.name} is missing: pip install {missing}") from error


def readable(batch: Batch) -> "list[ReadableSpan]":
    """The spans of a batch as OpenTelemetry's exporters take them."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import Link, Status, StatusCode

    from afterword import __version__

    resource, scope = Resource(dict(batch.resource)), InstrumentationScope(SCOPE, __version__)

    def one(span: Span) -> ReadableSpan:
        return ReadableSpan(
            name=span.name,
            context=_context(span.trace, span.span),
            parent=_context(span.trace, span.parent) if span.parent else None,
            resource=resource,
            attributes=span.attributes,
            links=[Link(_context(*span.link))] if span.link is not None else [],
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(),
            start_time=span.start,
            end_time=span.end,
            instrumentation_scope=scope,
        )

    return [one(span) for span in batch.spans]


def _context(trace: int, span: int) -> Any:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(trace, span, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
