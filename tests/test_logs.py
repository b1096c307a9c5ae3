"""Every log record inside of a run says which run that is: with logging, and with structlog."""

import asyncio
import io
import json
import logging
import threading

import pytest
import structlog
from fastapi import BackgroundTasks, FastAPI
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from afterword import logs
from tests.helpers import until
from tests.traced_shop import provider_to

NATIVE = hasattr(FastAPI(), "_telemetry")
LOGGER = logging.getLogger("shop")


@pytest.fixture
def lines():
    """What is logged, as (task, run id, trace id, span id, message)."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(logs.RunFilter())
    handler.setFormatter(logging.Formatter("%(task)s|%(run_id)s|%(trace_id)s|%(span_id)s|%(message)s"))
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.INFO)
    yield lambda: [tuple(line.split("|")) for line in stream.getvalue().splitlines()]
    LOGGER.removeHandler(handler)


def application():
    """A shop whose tasks of every kind log."""
    app = FastAPI(telemetry={"tracing": False}) if NATIVE else FastAPI()
    kept = []

    async def on_loop():
        LOGGER.info("on the loop")

    def in_pool():
        LOGGER.info("in the pool")

    async def left_alone():
        await asyncio.sleep(0.01)
        LOGGER.info("left alone")

    @app.post("/order")
    async def order(tasks: BackgroundTasks):
        LOGGER.info("in the request")
        tasks.add_task(on_loop)
        tasks.add_task(in_pool)
        kept.append(asyncio.create_task(left_alone()))
        await asyncio.sleep(0)
        return {}

    return app


def test_a_record_says_its_run_and_its_trace(instrumented, lines):
    """Those that its span has; a record outside of a run has empty fields, so that a format may name them."""
    exporter = InMemorySpanExporter()
    app = instrumented(application(), tracer_provider=provider_to(exporter))
    with TestClient(app) as client:
        client.post("/order")
        until(lambda: len(exporter.get_finished_spans()) == 3)
    spans = {span.name.rpartition(".")[2]: span for span in exporter.get_finished_spans()}
    found = {line[4]: line[:4] for line in lines()}
    assert found.pop("in the request") == ("", "", "", "")
    for message, name in (("on the loop", "on_loop"), ("in the pool", "in_pool"), ("left alone", "left_alone")):
        span = spans[name]
        assert found[message] == (
            span.name, (span.attributes or {})["afterword.run"],
            f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}",
        )  # fmt: skip


def test_without_a_tracer_the_run_is_known(instrumented, lines):
    """No provider, no ids of a trace."""
    with TestClient(instrumented(application())) as client:
        client.post("/order")
        until(lambda: len(lines()) == 4)
    for task, run, trace, span, message in lines():
        assert bool(task) is bool(run) is (message != "in the request")
        assert (trace, span) == ("", "")
    assert len({run for _, run, *_ in lines() if run}) == 3


def test_what_somebody_set_before_stays(lines):
    """Extra fields of the application's own, and a process in which nothing is instrumented."""
    LOGGER.info("mine", extra={"task": "own"})
    assert lines() == [("own", "", "", "", "mine")]
    assert logs.add_run(None, "info", {"event": "x", "task": "own"}) == {"event": "x", "task": "own"}


def test_structlog_has_the_same_fields(instrumented):
    """As a processor; outside of a run it adds nothing."""
    stream = io.StringIO()
    app = FastAPI(telemetry={"tracing": False}) if NATIVE else FastAPI()
    log = structlog.wrap_logger(
        structlog.PrintLogger(stream), processors=[logs.add_run, structlog.processors.JSONRenderer()]
    )
    done = threading.Event()

    def task():
        log.info("within")
        done.set()

    @app.post("/order")
    async def order(tasks: BackgroundTasks):
        log.info("outside")
        tasks.add_task(task)
        return {}

    provider = provider_to(InMemorySpanExporter())
    with TestClient(instrumented(app, tracer_provider=provider)) as client:
        client.post("/order")
        assert done.wait(10)
    outside, within = map(json.loads, stream.getvalue().splitlines())
    assert outside == {"event": "outside"}
    assert within.keys() == {"event", *logs.FIELDS}
    assert within["task"].endswith("task")
