"""The application of the trace tests, as a module that real servers and test clients load: one shop, traced three ways.

TRACED_BY: ``contrib`` (OpenTelemetry's instrumentation of FastAPI), ``fastapi`` (its own telemetry) or ``nobody``.
"""

import asyncio
import os
import threading
import time
from typing import Any

from fastapi import BackgroundTasks, FastAPI, HTTPException
from fastapi.responses import JSONResponse
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter
from starlette.background import BackgroundTask

import afterword

TRACED_BY = ("contrib", "fastapi", "nobody")
USER = trace.get_tracer("user")


async def mail(seconds: float = 0.0) -> None:
    """Does work of its own that is traced, and takes its time."""
    with USER.start_as_current_span("smtp"):
        pass
    await asyncio.sleep(seconds)


def stock(seconds: float = 0.0) -> None:
    """The same in a thread."""
    with USER.start_as_current_span("database"):
        pass
    time.sleep(seconds)


async def boom() -> None:
    """Fails."""
    raise LookupError("a secret")


async def warehouse() -> None:
    """Stands behind one that fails."""


async def audit(seconds: float = 0.0) -> None:
    """Is spawned and left alone."""
    await asyncio.sleep(0.01)
    with USER.start_as_current_span("append"):
        pass
    await asyncio.sleep(seconds)


def make(by: str, provider: TracerProvider, **keywords: Any) -> FastAPI:
    """The shop, traced by one of `TRACED_BY`, instrumented with ``keywords``."""
    native: Any = {"tracing": by == "fastapi", "tracer_provider": provider, "metrics": False, "logs": False}
    app = FastAPI(title="shop", telemetry=native) if hasattr(FastAPI(), "_telemetry") else FastAPI(title="shop")
    keep: set[Any] = set()

    @app.post("/order")
    async def order(tasks: BackgroundTasks, seconds: float = 0.0) -> dict[str, int]:
        tasks.add_task(mail)
        tasks.add_task(stock, seconds)
        tasks.add_task(warehouse)
        return {"pid": os.getpid()}

    @app.post("/broken")
    async def broken(tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(boom)
        tasks.add_task(warehouse)
        return {}

    @app.post("/refused")
    async def refused(tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(warehouse)
        raise HTTPException(409)

    @app.post("/sync")
    def sync(tasks: BackgroundTasks) -> dict[str, str]:
        with USER.start_as_current_span("checkout"):
            tasks.add_task(mail)
        return {}

    @app.post("/response")
    async def response() -> JSONResponse:
        return JSONResponse({}, background=BackgroundTask(stock))

    @app.post("/slow")
    async def slow(tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(mail, 60.0)
        return {}

    @app.post("/spawned")
    async def spawned(seconds: float = 0.0) -> dict[str, str]:
        task = asyncio.create_task(audit(seconds))
        keep.add(task)
        await asyncio.sleep(0)
        return {}

    @app.post("/stuck")
    async def stuck(tasks: BackgroundTasks) -> dict[str, str]:
        tasks.add_task(hang)
        return {}

    if by == "contrib":
        from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

        FastAPIInstrumentor.instrument_app(app, tracer_provider=provider, exclude_spans=["receive", "send"])
    return afterword.instrument(app, tracer_provider=provider, **keywords)


def hang() -> None:
    """Never ends."""
    threading.Event().wait()


def provider_to(exporter: SpanExporter) -> TracerProvider:
    """A provider that sends each span when it ends."""
    provider = TracerProvider(resource=Resource({"service.name": "shop", "deployment.environment.name": "test"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return provider


def served() -> FastAPI:
    """What a server loads: TRACED_BY and COLLECTOR say how and where to."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    provider = provider_to(OTLPSpanExporter(endpoint=os.environ["COLLECTOR"] + "/v1/traces", timeout=5))
    trace.set_tracer_provider(provider)
    return make(os.environ.get("TRACED_BY", "nobody"), provider)
