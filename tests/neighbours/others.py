"""The neighbours: how each is loaded, and what it exported, without what differs from run to run."""

import importlib
import os
from collections.abc import Callable
from typing import Any, Protocol

from tests.neighbours.record import plain


class Neighbour(Protocol):
    """``load`` for the process, ``attach`` for an application, ``running`` on its loop; then what it sees and saw."""

    def load(self) -> None:
        """Once, before or after afterword."""

    def attach(self, app: Any) -> None:
        """To one application."""

    def running(self) -> None:
        """On the running loop, for what patches loops."""

    def now(self) -> Any:
        """What it takes for current, here."""

    def tell(self) -> list[Any]:
        """What it exported."""


class Nobody:
    """No neighbour, and the steps that most neighbours do not need."""

    def load(self) -> None:
        """Nothing."""

    def attach(self, app: Any) -> None:
        """Nothing."""

    def running(self) -> None:
        """Nothing."""

    def now(self) -> Any:
        """Nothing."""
        return None

    def tell(self) -> list[Any]:
        """Nothing."""
        return []


class OpenTelemetry(Nobody):
    """Any of its instrumentors, with spans kept in memory."""

    def __init__(self, *instrumentors: str) -> None:
        self._instrumentors = instrumentors

    def load(self) -> None:
        """The instrumentors of the process, asked to trace every coroutine and future."""
        os.environ["OTEL_PYTHON_ASYNCIO_COROUTINE_NAMES_TO_TRACE"] = "work,raises,waits,on_loop,worker,broken_worker"
        os.environ["OTEL_PYTHON_ASYNCIO_TO_THREAD_FUNCTION_NAMES_TO_TRACE"] = "piece,raising"
        os.environ["OTEL_PYTHON_ASYNCIO_FUTURE_TRACE_ENABLED"] = "true"
        trace, sdk = importlib.import_module("opentelemetry.trace"), importlib.import_module("opentelemetry.sdk.trace")
        export = importlib.import_module("opentelemetry.sdk.trace.export")
        memory = importlib.import_module("opentelemetry.sdk.trace.export.in_memory_span_exporter")
        self._trace, self._exporter, self._provider = trace, memory.InMemorySpanExporter(), sdk.TracerProvider()
        self._provider.add_span_processor(export.SimpleSpanProcessor(self._exporter))
        trace.set_tracer_provider(self._provider)
        for name in self._instrumentors:
            if name != "FastAPI":
                module = importlib.import_module(f"opentelemetry.instrumentation.{name.lower()}")
                getattr(module, f"{name}Instrumentor")().instrument()

    def attach(self, app: Any) -> None:
        """Its middleware, which also hooks background tasks."""
        if "FastAPI" in self._instrumentors:
            module = importlib.import_module("opentelemetry.instrumentation.fastapi")
            module.FastAPIInstrumentor.instrument_app(app, tracer_provider=self._provider)

    def now(self) -> Any:
        """The current span."""
        return getattr(self._trace.get_current_span(), "name", None)

    def tell(self) -> list[Any]:
        """Every span with its parent's name, kind, status, attributes' names and exceptions."""
        spans = self._exporter.get_finished_spans()
        names = {span.context.span_id: span.name for span in spans}
        return sorted(
            [
                span.name, names.get(span.parent.span_id, "?") if span.parent else "", span.kind.name,
                span.status.status_code.name, sorted(span.attributes or {}),
                [(event.attributes or {}).get("exception.type", event.name) for event in span.events],
            ]
            for span in spans
        )  # fmt: skip


class Sentry(Nobody):
    """Errors and traces, caught instead of sent; with the integrations for loops and threads it switches on itself."""

    def load(self) -> None:
        """As in its documentation, with a transport of our own."""
        self._sdk = importlib.import_module("sentry_sdk")
        transport = importlib.import_module("sentry_sdk.transport").Transport
        self._events: list[dict[str, Any]] = []
        events = self._events

        class Kept(transport):  # type: ignore[misc, valid-type] # known when it runs only
            def capture_envelope(self, envelope: Any) -> None:
                events.extend(item.payload.json for item in envelope.items if item.type in ("event", "transaction"))

        self._sdk.init(
            dsn="http://key@127.0.0.1:9/1", transport=Kept, traces_sample_rate=1.0, auto_session_tracking=False
        )

    def running(self) -> None:
        """Its asyncio integration can only be switched on by a running loop."""
        integration = importlib.import_module("sentry_sdk.integrations.asyncio")
        integration.enable_asyncio_integration()

    def now(self) -> Any:
        """The active span."""
        span = self._sdk.get_current_span()
        return [span.op, span.description] if span is not None else None

    def tell(self) -> list[Any]:
        """Each event: its exceptions, how they were caught, where; each transaction with its spans."""
        self._sdk.flush()
        return sorted((self._told(event) for event in self._events), key=str)

    def _told(self, event: dict[str, Any]) -> Any:
        if event.get("type") == "transaction":
            parents = {span["span_id"]: span.get("description") for span in event["spans"]}
            spans = [
                [s.get("op"), s.get("description"), parents.get(s.get("parent_span_id"), "")] for s in event["spans"]
            ]
            return ["transaction", event["transaction"], sorted(spans, key=str)]
        exceptions = [
            [
                one["type"], one["value"], one["mechanism"]["type"], one["mechanism"]["handled"],
                [frame["function"] for frame in one.get("stacktrace", {}).get("frames", ()) if _is_users(frame)],
            ]
            for one in event.get("exception", {}).get("values", ())
        ]  # fmt: skip
        return ["event", event.get("transaction"), event.get("level"), event.get("logger"), plain(str(exceptions))]


def _is_users(frame: dict[str, Any]) -> bool:
    return str(frame.get("module")).startswith("tests.neighbours")


class Datadog(Nobody):
    """ddtrace with every trace taken out before it is sent."""

    def load(self) -> None:
        """No agent, nothing that talks."""
        for name in ("INSTRUMENTATION_TELEMETRY", "REMOTE_CONFIGURATION", "CRASHTRACKING", "RUNTIME_METRICS"):
            os.environ[f"DD_{name}_ENABLED"] = "false"
        os.environ["DD_TRACE_STARTUP_LOGS"] = "false"
        self._ddtrace = importlib.import_module("ddtrace")
        self._trace = importlib.import_module("ddtrace.trace")
        self._spans: list[Any] = []
        spans = self._spans

        class Keep(self._trace.TraceFilter):  # type: ignore[misc, name-defined] # known when it runs only
            def process_trace(self, trace: list[Any]) -> None:
                spans.extend(trace)

        self._trace.tracer.configure(trace_processors=[Keep()])
        self._ddtrace.patch(fastapi=True, starlette=True, asyncio=True, futures=True)

    def now(self) -> Any:
        """The active span."""
        span = self._trace.tracer.current_span()
        return [span.name, span.resource] if span is not None else None

    def tell(self) -> list[Any]:
        """Every span, its parent, its error."""
        names = {span.span_id: span.name for span in self._spans}
        told = [[s.name, s.resource, names.get(s.parent_id, ""), s.error, s.get_tag("error.type")] for s in self._spans]
        return sorted(told, key=str)


class Instrumentator(Nobody):
    """prometheus-fastapi-instrumentator."""

    def attach(self, app: Any) -> None:
        """Its middleware and its endpoint."""
        module = importlib.import_module("prometheus_fastapi_instrumentator")
        module.Instrumentator().instrument(app).expose(app)

    def tell(self) -> list[Any]:
        """What was counted; how long it took differs every time."""
        client = importlib.import_module("prometheus_client")
        samples = [sample for family in client.REGISTRY.collect() for sample in family.samples]
        counted = [s for s in samples if s.name.startswith("http_") and s.name.endswith(("_total", "_count"))]
        return sorted([s.name, sorted(s.labels.items()), s.value] for s in counted)


class All(Nobody):
    """Everybody at once."""

    def __init__(self, *neighbours: Neighbour) -> None:
        self._neighbours = neighbours

    def load(self) -> None:
        """One after the other."""
        for neighbour in self._neighbours:
            neighbour.load()

    def attach(self, app: Any) -> None:
        """One after the other."""
        for neighbour in self._neighbours:
            neighbour.attach(app)

    def running(self) -> None:
        """One after the other."""
        for neighbour in self._neighbours:
            neighbour.running()

    def now(self) -> Any:
        """What each sees."""
        return [neighbour.now() for neighbour in self._neighbours]

    def tell(self) -> list[Any]:
        """What each exported."""
        return [[type(one).__name__, entry] for one in self._neighbours for entry in one.tell()]


NEIGHBOURS: dict[str, Callable[[], Neighbour]] = {
    "nobody": Nobody,
    "opentelemetry-fastapi": lambda: OpenTelemetry("FastAPI"),
    "opentelemetry-asyncio": lambda: OpenTelemetry("FastAPI", "Asyncio"),
    "opentelemetry-threading": lambda: OpenTelemetry("FastAPI", "Threading"),
    "sentry": Sentry,
    "ddtrace": Datadog,
    "instrumentator": Instrumentator,
    # Without OpenTelemetry's threading: Sentry calls past its hook on `Thread.run`, unless ours is in between.
    "all": lambda: All(OpenTelemetry("FastAPI", "Asyncio"), Sentry(), Instrumentator()),
}
