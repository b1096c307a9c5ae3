"""One span a run, whoever traces the request: the same tree, and what becomes of each run on its span."""

import asyncio
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from opentelemetry import trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased
from starlette.background import BackgroundTask

import afterword
from afterword.hooks.handed_over import RUNS, RunSpan
from tests import traced_shop
from tests.helpers import until
from tests.helpers.asgi import receive, scope, sink
from tests.traced_shop import TRACED_BY, make, provider_to

NATIVE = hasattr(__import__("fastapi").FastAPI(), "_telemetry")
WAYS = [way for way in TRACED_BY if NATIVE or way != "fastapi"]
TRACE, CLIENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SENT = {"traceparent": f"00-{TRACE}-{CLIENT}-01"}
HERE = "tests.traced_shop."
#: What differs by who traces the request: its own spans, which are not ours to make.
OF_THE_REQUEST = re.compile(r"(POST|GET) /|fastapi\.(dependencies|endpoint|serialization)")


class Traced:
    """A shop in this process, and what its spans say."""

    def __init__(self, by: str, directory: Path, **keywords: Any) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = provider_to(self.exporter)
        if "sampler" in keywords:
            self.provider.sampler = keywords.pop("sampler")
        traced_shop.USER = self.provider.get_tracer("user")
        self.by = by
        self.app = make(by, self.provider, dir=directory, **keywords)

    def visit(self, *paths: str, **headers: str) -> list[Any]:
        """The spans of one request to each of ``paths``, in the order they began."""
        with TestClient(self.app, raise_server_exceptions=False) as client:
            for path in paths:
                client.post(path, headers=headers or SENT)
            until(lambda: not self.running())
        return self.finished()

    def running(self) -> list[str]:
        """The user's spans that have begun and not ended, by the runs they are in."""
        return [str(run) for run in RUNS]

    def finished(self) -> list[Any]:
        """What was exported since the last look."""
        found = sorted(self.exporter.get_finished_spans(), key=lambda span: span.start_time or 0)
        self.exporter.clear()
        return found

    def end(self) -> None:
        """As it was before."""
        afterword.uninstrument(self.app)
        if self.by == "contrib":
            FastAPIInstrumentor.uninstrument_app(self.app)
        self.provider.shutdown()


@pytest.fixture
def traced(directory):
    """``traced(by, **keywords)``: a shop; taken down at the end."""
    made: list[Traced] = []

    def make_one(by: str, **keywords: Any) -> Traced:
        made.append(Traced(by, directory, **keywords))
        return made[-1]

    yield make_one
    for one in made:
        one.end()


def tree(spans: list[Any]) -> list[tuple[str, str, str]]:
    """Name, parent and status of each span that is not the request's own; the request is the parent whoever made it."""
    names = {span.context.span_id: span.name for span in spans}
    found = []
    for span in spans:
        if OF_THE_REQUEST.match(span.name):
            continue
        parent = names.get(span.parent.span_id, f"{span.parent.span_id:x}") if span.parent else "nobody"
        above = "the request" if OF_THE_REQUEST.match(parent) or parent == CLIENT else parent
        found.append((span.name.removeprefix(HERE), above.removeprefix(HERE), span.status.status_code.name))
    return sorted(found)


def test_no_run_has_two_spans_where_two_would_make_one(traced):
    """FastAPI's own telemetry, and below it a hook of BackgroundTask: the outer span is the run's."""
    for by in WAYS:
        shop = traced(by)
        runs = [span for span in shop.visit("/order", "/response") if "afterword.run" in span.attributes]
        assert len({span.attributes["afterword.run"] for span in runs}) == len(runs) == 4
        shop.end()


PATHS = ("/order", "/broken", "/refused", "/response", "/spawned")


def test_the_tree_is_the_same_whoever_traces_the_request(traced):
    """One span a run, none twice, each where it was handed over."""
    trees = {}
    for by in WAYS:
        shop = traced(by)
        trees[by] = tree(shop.visit(*PATHS))
        shop.end()
    expected = [
        ("append", "audit", "UNSET"),
        ("audit", "the request", "UNSET"),
        ("boom", "the request", "ERROR"),
        ("database", "stock", "UNSET"),
        ("database", "stock", "UNSET"),
        ("mail", "the request", "UNSET"),
        ("smtp", "mail", "UNSET"),
        ("stock", "the request", "UNSET"),
        ("stock", "the request", "UNSET"),
        ("warehouse", "the request", "ERROR"),
        ("warehouse", "the request", "ERROR"),
        ("warehouse", "the request", "UNSET"),
    ]
    assert trees == dict.fromkeys(WAYS, expected)


MAKERS = {
    "opentelemetry.instrumentation.fastapi": "contrib",
    "fastapi": "FastAPI",
    "afterword": "afterword",
    "user": "the application",
}


@pytest.mark.skipif(not NATIVE, reason="the table has a column for FastAPI's own telemetry")
def test_the_table_in_the_docs_is_what_is_found(traced):
    """docs/traces.md: who makes which span, and where it hangs."""
    rows: dict[tuple[str, str, str], dict[str, str]] = {}
    for by in WAYS:
        shop = traced(by)
        spans = shop.visit(*PATHS)
        names = {span.context.span_id: span.name for span in spans}
        for span in spans:
            if OF_THE_REQUEST.match(span.name):
                continue
            above = names.get(span.parent.span_id, "").removeprefix(HERE)
            below = f"`{above}`" if above and not OF_THE_REQUEST.match(above) else "the request"
            status = "error" if span.status.status_code.name == "ERROR" else "unset"
            rows.setdefault((_called(span), below, status), {})[by] = MAKERS[span.instrumentation_scope.name]
        shop.end()
    table = [
        "| span | below | status | under contrib made by | under FastAPI's own | under nobody |",
        "|---|---|---|---|---|---|",
        *(f"| {' | '.join((*row, *makers.values()))} |" for row, makers in sorted(rows.items())),
    ]
    page = (Path(__file__).parents[1] / "docs" / "traces.md").read_text(encoding="utf-8")
    between = page.partition("<!-- tree -->\n")[2].partition("<!-- /tree -->")[0]
    assert between == "\n".join(table) + "\n"


def _called(span: Any) -> str:
    """A span's name, and for a run what it was."""
    kind, outcome = span.attributes.get("afterword.kind"), span.attributes.get("afterword.outcome")
    what = "the application's own" if kind is None else kind if outcome == "succeeded" else f"{kind}, {outcome}"
    return f"`{span.name.removeprefix(HERE)}` ({what})"


@pytest.mark.parametrize("by", WAYS)
def test_every_span_is_in_the_trace_that_the_client_began(traced, by):
    """Also where nobody traces the request itself: then its traceparent is read for the runs."""
    spans = traced(by).visit("/order", "/response", "/spawned")
    assert {f"{span.context.trace_id:032x}" for span in spans} == {TRACE}


@pytest.mark.parametrize("by", WAYS)
def test_a_run_hangs_where_it_was_handed_over(traced, by):
    """Context that a sync route set in its thread is not lost; FastAPI's own parts of a request are stepped over."""
    spans = traced(by).visit("/sync")
    assert ("mail", "checkout", "UNSET") in tree(spans)


@pytest.mark.parametrize("by", WAYS)
def test_a_span_says_which_run_it_was_and_what_became_of_it(traced, by):
    """The same attributes, on one of ours and on one that was there; no argument, no message."""
    spans = {span.name.removeprefix(HERE): dict(span.attributes) for span in traced(by).visit("/broken", "/spawned")}
    boom, warehouse, audit = spans["boom"], spans["warehouse"], spans["audit"]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]+-[0-9a-f]+", boom.pop("afterword.run"))
    assert 0 <= boom.pop("afterword.wait") < 5
    assert boom == {
        "afterword.task": HERE + "boom", "afterword.kind": "background", "afterword.route": "POST /broken",
        "code.function.name": HERE + "boom", "afterword.outcome": "failed", "error.type": "LookupError",
    }  # fmt: skip
    assert warehouse["afterword.outcome"] == "dropped"
    assert warehouse["afterword.reason"] == warehouse["error.type"] == "sibling_failed"
    assert "afterword.wait" not in warehouse
    assert (audit["afterword.kind"], audit["afterword.route"]) == ("asyncio", "POST /spawned")
    if by != "contrib":  # that writes messages itself
        assert "a secret" not in str(spans)


@pytest.mark.parametrize("by", [way for way in WAYS if way != "nobody"])
def test_a_span_that_others_began_early_says_when_the_code_began(traced, by):
    """A sync task waits for a thread within their span."""
    stock = next(span for span in traced(by).visit("/order") if span.name == HERE + "stock")
    (event,) = stock.events
    assert event.name == "afterword.started"
    assert stock.start_time <= event.timestamp <= stock.end_time


@pytest.mark.parametrize("by", WAYS)
def test_a_cancelled_run_has_the_status_error(traced, by):
    """Not none, as whoever else makes its span leaves it."""
    shop = traced(by)

    async def cancelled_midway() -> None:
        request = asyncio.create_task(shop.app({**scope("/slow"), "method": "POST"}, receive, sink))
        while not any(isinstance(entry, RunSpan) for entry in RUNS.values()):
            await asyncio.sleep(0.001)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    asyncio.run(cancelled_midway())
    (mail,) = [span for span in shop.finished() if span.name == HERE + "mail"]
    assert mail.status.status_code.name == "ERROR"
    assert (mail.attributes["afterword.outcome"], mail.attributes["afterword.reason"]) == ("cancelled", "request")
    assert mail.status.description == "cancelled: request"


@pytest.mark.parametrize("by", WAYS)
def test_a_run_may_begin_a_trace_of_its_own(traced, by):
    """trace="link": tail samplers need not wait for it, and the link leads back."""
    spans = traced(by, trace="link").visit("/order", "/refused")
    runs = [span for span in spans if span.attributes.get("afterword.run")]
    assert len(runs) == 4
    assert all(span.parent is None for span in runs)
    assert len({span.context.trace_id for span in runs}) == 4
    assert {f"{link.context.trace_id:032x}" for span in runs for link in span.links} == {TRACE}
    assert [len(span.links) for span in runs] == [1] * 4


@pytest.mark.parametrize("by", WAYS)
def test_no_trace_if_it_is_switched_off(traced, by):
    """trace="off" leaves what others make as it is."""
    spans = traced(by, trace="off").visit("/order")
    assert not [span for span in spans if "afterword.run" in span.attributes]
    assert [span.name for span in spans if span.name in ("smtp", "database")] == ["smtp", "database"]


@pytest.mark.parametrize("by", WAYS)
def test_nothing_is_exported_of_what_nobody_samples(traced, by, books):
    """The books count it all the same."""
    shop = traced(by, sampler=ParentBased(ALWAYS_OFF))
    assert shop.visit("/order", "/broken", traceparent=f"00-{TRACE}-{CLIENT}-00") == []
    assert books.of("boom") == {"scheduled": 1, "started": 1, "failed": 1}


@pytest.mark.parametrize(
    "sent", ["", "nonsense", f"00-{'0' * 32}-{CLIENT}-01", f"00-{TRACE}-{CLIENT}-01-more", "00-ä-1"]
)
@pytest.mark.parametrize("by", WAYS)
def test_a_malformed_traceparent_begins_a_new_trace(traced, by, sent):
    """Whatever a client sends, the work is done and traced."""
    spans = traced(by).visit("/order", traceparent=sent.encode("latin-1"))
    assert [name for name, _, _ in tree(spans)].count("stock") == 1


def test_a_worker_has_no_part_in_the_trace_of_a_request(directory, books):
    """What a request starts and that goes on for ever: its rounds belong to nobody's request."""
    import asyncio

    from fastapi import FastAPI

    exporter = InMemorySpanExporter()
    provider = provider_to(exporter)
    tracer = provider.get_tracer("user")
    app = FastAPI(telemetry={"tracing": False}) if NATIVE else FastAPI()
    held = []

    async def poll():
        while True:
            with tracer.start_as_current_span("round"):
                await asyncio.sleep(0.02)

    @app.post("/start")
    async def start():
        with tracer.start_as_current_span("request"):
            held.append(asyncio.create_task(poll()))
            await asyncio.sleep(0)
        return {}

    afterword.instrument(app, dir=directory, service="shop", tracer_provider=provider)
    try:
        with TestClient(app) as client:
            client.post("/start", headers=SENT)
            request = until(lambda: [span for span in exporter.get_finished_spans() if span.name == "request"])[0]
            until(lambda: [span for span in exporter.get_finished_spans() if span.name == "round" and not span.parent])
            assert books.of("poll", kind="worker")["started"] == 1
    finally:
        afterword.uninstrument(app)
    own = [span for span in exporter.get_finished_spans() if span.name.endswith("poll")]
    assert [span.parent for span in own] == [None]
    assert own[0].context.trace_id != request.context.trace_id
    assert [link.context.span_id for link in own[0].links] == [request.context.span_id]


class Raising:
    """A provider whose tracer raises at ``where``."""

    def __init__(self, where):
        self.where = where

    def get_tracer(self, *_, **__):
        """Itself, or nothing."""
        if self.where == "get_tracer":
            raise RuntimeError("no tracer today")
        return self

    def start_span(self, *_, **__):
        """Nothing."""
        raise RuntimeError("no span today")


@pytest.mark.parametrize("where", ["get_tracer", "start_span"])
def test_a_provider_that_raises_costs_its_spans_only(directory, books, capfd, where, monkeypatch):
    """Told once, with the setting's name; every run is booked, and the hooks stay on."""
    from fastapi import BackgroundTasks, FastAPI

    monkeypatch.delenv("AFTERWORD_RAISE", raising=False)
    app = FastAPI(telemetry={"tracing": False}) if NATIVE else FastAPI()

    @app.post("/order")
    async def order(tasks: BackgroundTasks):
        for _ in range(3):
            tasks.add_task(traced_shop.warehouse)
        return {}

    afterword.instrument(app, dir=directory, service="shop", tracer_provider=Raising(where))
    try:
        with TestClient(app) as client:
            for _ in range(4):
                assert client.post("/order").status_code == 200
        assert books.of("warehouse") == {"scheduled": 12, "started": 12, "succeeded": 12}
    finally:
        afterword.uninstrument(app)
    told = [line for line in capfd.readouterr().err.splitlines() if line.startswith("afterword: ")]
    assert "tracer_provider" in told[-1]
    assert len(told) == (1 if where == "get_tracer" else 2), told


def test_a_provider_may_be_set_after_instrumenting(directory, monkeypatch):
    """Applications set theirs up in their lifespan, or never."""
    from fastapi import BackgroundTasks, FastAPI

    exporter = InMemorySpanExporter()
    provider = provider_to(exporter)
    app = FastAPI(telemetry={"tracing": False}) if NATIVE else FastAPI()

    @app.post("/order")
    async def order(tasks: BackgroundTasks):
        tasks.add_task(traced_shop.warehouse)
        return {}

    afterword.instrument(app, dir=directory, service="shop")
    try:
        client = TestClient(app)
        client.post("/order")
        monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)  # the API lets it be set once in a process
        client.post("/order")
    finally:
        afterword.uninstrument(app)
    assert [span.name for span in exporter.get_finished_spans()] == [HERE + "warehouse"]


def test_a_task_that_is_called_by_hand_has_a_span_where_it_is_called(directory):
    """It was never handed over, so it hangs where it runs."""
    from fastapi import FastAPI

    exporter = InMemorySpanExporter()
    provider = provider_to(exporter)
    app = FastAPI(telemetry={"tracing": False}) if NATIVE else FastAPI()

    @app.post("/now")
    async def now():
        with provider.get_tracer("user").start_as_current_span("outer"):
            await BackgroundTask(traced_shop.warehouse)()
        return {}

    afterword.instrument(app, dir=directory, service="shop", tracer_provider=provider)
    try:
        TestClient(app).post("/now")
    finally:
        afterword.uninstrument(app)
    inner, outer = exporter.get_finished_spans()
    assert (inner.name, inner.parent.span_id) == (HERE + "warehouse", outer.context.span_id)


def test_one_record_for_each_bad_ending(traced, caplog):
    """Task, run, route and trace, and of the exception its class; nothing of a run that went well."""
    caplog.set_level(logging.INFO, "afterword.endings")
    spans = traced("nobody").visit("/order", "/broken", "/refused")
    told = [record for record in caplog.records if record.name == "afterword.endings"]
    runs = {span.attributes["afterword.run"]: span for span in spans if "afterword.run" in span.attributes}
    assert [(r.task.removeprefix(HERE), r.ending, r.reason, r.route) for r in told] == [
        ("boom", "failed", "LookupError", "POST /broken"),
        ("warehouse", "dropped", "sibling_failed", "POST /broken"),
        ("warehouse", "dropped", "request_failed", "POST /refused"),
    ]
    for record in told:
        assert record.trace_id == TRACE
        assert f"run {record.run_id}, route {record.route}, trace {TRACE}" in record.getMessage()
        assert runs[record.run_id].name == record.task
        assert "secret" not in record.getMessage()
