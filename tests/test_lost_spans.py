"""The spans that a killed process could not send: a real server, real signals, a real collector."""

import http.client
import json
import secrets
import signal
import sys
import time
from pathlib import Path

import pytest

from afterword.books.outbox import FOLDER, Batch, Outbox, Span
from afterword.contract import SPANS_DROPPED, SPANS_SENT, SPANS_WAITING
from tests.helpers import free_port, until
from tests.helpers.processes import request
from tests.sidecars import Sidecar
from tests.test_traces import WAYS

HERE = "tests.traced_shop."
TRACED = "0af7651916cd43dd8448eb211c80319c"
ROOT = Path(__file__).parent.parent


@pytest.fixture
def sidecar(children, directory, collector):
    """``sidecar(**env)``: a real one that sends to the collector."""

    def start(**env):
        made = Sidecar(
            children, directory, AFTERWORD_OTLP_ENDPOINT=collector.endpoint, AFTERWORD_TIME_SCALE="20", **env
        )
        assert made.text()  # it watches by then, and the outbox is made
        until((directory / FOLDER).is_dir)
        return made

    return start


class Shop:
    """The traced shop under uvicorn."""

    def __init__(self, children, directory, collector, by="nobody", **env):
        self.port = free_port()
        self.child = children.python(
            "-m", "uvicorn", "--factory", "tests.traced_shop:served", "--port", str(self.port),
            PYTHONPATH=f"{ROOT}:{':'.join(sys.path)}", AFTERWORD_DIR=str(directory), COLLECTOR=collector.endpoint,
            TRACED_BY=by, **env,
        )  # fmt: skip
        children.answering(self.child, self.port)

    def post(self, path, trace=None, span="b7ad6b7169203331"):
        """One request as a client sends it that traces: the trace it sent."""
        trace = trace or secrets.token_hex(16)
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
        try:
            connection.request("POST", path, headers={"traceparent": f"00-{trace}-{span}-01"})
            assert connection.getresponse().status == 200
        finally:
            connection.close()
        return trace

    def kill(self):
        """SIGKILL, and wait until it is gone."""
        self.child.signal(signal.SIGKILL)
        self.child.wait()


@pytest.fixture
def shop(children, directory, collector):
    """``shop(by, **env)``: a running one."""
    return lambda by="nobody", **env: Shop(children, directory, collector, by, **env)


def lost(collector):
    """What the sidecar sent of lost runs."""
    return [span for span in collector.spans if span.attributes.get("afterword.outcome") == "lost"]


def all_lost(collector, times):
    """Those, by the task's own name, once there are so many."""
    until(lambda: len(lost(collector)) >= times)
    found = {span.name.removeprefix(HERE): span for span in lost(collector)}
    assert len(found) == len(lost(collector)) == times
    return found


@pytest.mark.parametrize("by", WAYS)
def test_the_span_of_a_killed_process_is_closed_with_its_own_ids(shop, sidecar, collector, books, by):
    """Same trace, same span, same parent: what the run had sent before hangs under it again."""
    serving, watcher = shop(by), sidecar()
    before = time.time_ns()
    trace = serving.post("/order?seconds=60")
    database = until(lambda: collector.named("database"))[0]
    until(lambda: books.of("warehouse").get("scheduled"))
    serving.kill()
    found = all_lost(collector, 2)
    stock, warehouse = found["stock"], found["warehouse"]
    assert [span.trace for span in (stock, warehouse, database)] == [trace] * 3
    assert database.parent == stock.span
    mail = collector.named(HERE + "mail")[0]
    assert stock.parent == warehouse.parent == mail.parent
    assert before < stock.start <= database.start < stock.end < time.time_ns()
    assert warehouse.start < stock.start
    assert stock.error == "lost: killed while running"
    assert warehouse.error == "lost: killed while waiting"
    assert stock.failed
    assert stock.attributes == {
        "afterword.task": HERE + "stock", "afterword.kind": "background", "code.function.name": HERE + "stock",
        "afterword.route": "POST /order", "afterword.run": stock.attributes["afterword.run"],
        "afterword.wait": pytest.approx(0, abs=10), "afterword.outcome": "lost", "afterword.reason": "killed",
        "error.type": "killed", "afterword.phase": "running", "afterword.closed_by": "sidecar",
    }  # fmt: skip
    assert stock.resource["service.name"] == database.resource["service.name"] == "shop"
    assert stock.resource["deployment.environment.name"] == "test"
    assert f"stock lost: killed while running (run {stock.attributes['afterword.run']}" in watcher.child.output
    assert f"route POST /order, trace {trace})" in watcher.child.output
    assert watcher.scrape(SPANS_SENT.sample) == 2


def test_a_run_with_a_trace_of_its_own_keeps_its_link(shop, sidecar, collector):
    """trace="link": the lost span begins the trace that its children are in, and leads back to the request."""
    serving, _ = shop(AFTERWORD_TRACE="link"), sidecar()
    trace = serving.post("/order?seconds=60")
    database = until(lambda: collector.named("database"))[0]
    serving.kill()
    found = all_lost(collector, 2)
    stock, warehouse = found["stock"], found["warehouse"]
    assert (database.trace, database.parent) == (stock.trace, stock.span)
    assert stock.parent == warehouse.parent == ""
    assert stock.links == warehouse.links == ((trace, "b7ad6b7169203331"),)
    assert len({trace, stock.trace, warehouse.trace}) == 3


def test_a_run_that_begins_a_trace_has_no_parent(shop, sidecar, collector, books):
    """Nor the parent of the run that had its slot before: no client traces this one."""
    serving, _ = shop(), sidecar()
    for _ in range(70):  # more than the slots that are in use at first
        serving.post("/response", TRACED)
    until(lambda: books.of("stock", kind="response").get("succeeded") == 70)
    assert request(serving.port, "/order?seconds=60", "POST") == 200
    database = until(lambda: [span for span in collector.named("database") if span.trace != TRACED])[-1]
    until(lambda: books.of("stock", kind="background").get("started"))
    serving.kill()
    stock = next(span for span in until(lambda: lost(collector)) if span.name == HERE + "stock")
    assert (stock.parent, stock.links) == ("", ())
    assert (database.trace, database.parent) == (stock.trace, stock.span)


def test_a_spawned_run_is_closed_too(shop, sidecar, collector):
    """An asyncio task that was left alone, and was on when its process died."""
    serving, _ = shop(), sidecar()
    trace = serving.post("/spawned?seconds=60")
    append = until(lambda: collector.named("append"))[0]
    serving.kill()
    (audit,) = until(lambda: lost(collector))
    assert (audit.trace, audit.name, audit.attributes["afterword.kind"]) == (trace, HERE + "audit", "asyncio")
    assert append.parent == audit.span
    assert audit.attributes["afterword.route"] == "POST /spawned"


def test_nothing_is_sent_of_a_run_that_nobody_samples(shop, sidecar, collector, books):
    """It is booked and told, and that is all."""
    serving, watcher = shop(OTEL_TRACES_SAMPLER="always_off"), sidecar()
    serving.post("/order?seconds=60")
    until(lambda: books.of("stock").get("started"))
    serving.kill()
    until(lambda: "stock lost: killed" in watcher.child.output)
    assert watcher.scrape(SPANS_WAITING.sample) == 0
    assert lost(collector) == []


def test_a_sidecar_that_is_killed_leaves_the_rest_to_the_next(shop, sidecar, collector, directory):
    """What it had not sent is in the outbox; the ids are derived, so no restart makes others."""
    collector.answer = 503
    serving, first = shop(), sidecar()
    trace = serving.post("/order?seconds=60")
    until(lambda: collector.requests)  # the application's own
    requests = collector.requests
    serving.kill()
    until(lambda: collector.requests > requests)
    first.child.signal(signal.SIGKILL)
    first.child.wait()
    (kept,) = (directory / FOLDER).glob("*.json")
    waiting = {span[2] for span in json.loads(kept.read_text())["spans"]}
    collector.answer = 200
    sidecar()
    until(lambda: len(lost(collector)) >= len(waiting))
    found = lost(collector)
    assert {f"{int(span.span, 16):x}" for span in found} == waiting
    assert {span.trace for span in found} == {trace}
    until(lambda: not list((directory / FOLDER).glob("*.json")))


def test_a_death_in_the_absence_of_a_sidecar_ends_at_its_last_sign_of_life(shop, sidecar, collector, books):
    """Not when somebody comes to look."""
    collector.answer = 200
    sidecar().child.stop()  # it makes the outbox
    serving = shop()
    serving.post("/order?seconds=60")
    until(lambda: books.of("stock").get("started"))
    serving.kill()
    died = time.time_ns()
    time.sleep(1.5)  # what is measured is time that passes
    sidecar()
    stock = next(span for span in until(lambda: lost(collector)) if span.name.endswith("stock"))
    assert died - 1_500_000_000 < stock.end <= died


@pytest.mark.parametrize("answer", [503, None, "dead"], ids=["refuses", "never answers", "is gone"])
def test_a_sidecar_ends_in_time_whatever_the_collector_does(shop, sidecar, collector, books, answer):
    """Its metrics are served meanwhile, the application notices nothing, and it is told once."""
    serving, watcher = shop(), sidecar()
    serving.post("/order?seconds=60")
    until(lambda: books.of("stock").get("started"))
    collector.answer = answer if answer != "dead" else 200
    if answer == "dead":
        collector.close()
    serving.kill()
    until(lambda: watcher.scrape(SPANS_WAITING.sample))
    if answer is not None:
        why = {503: "Service Unavailable", "dead": "Connection refused"}[answer]
        until(lambda: f"spans cannot be sent to {collector.endpoint} (" in watcher.child.output)
        assert why in watcher.child.output
    began = time.monotonic()
    assert watcher.child.stop() == 0
    assert time.monotonic() - began < 2
    assert watcher.child.output.count("spans cannot be sent to") <= 1
    assert "Traceback" not in watcher.child.output


def test_an_overdue_run_shows_in_its_trace_while_it_is_open(shop, sidecar, collector):
    """A marker below the run's span, once, and where it is stuck."""
    serving, _ = shop(AFTERWORD_DEADLINE="0.3", AFTERWORD_TIME_SCALE="20"), sidecar()
    trace = serving.post("/stuck")
    marker = until(lambda: collector.named(HERE + "hang overdue"))[0]
    assert marker.trace == trace
    assert marker.resource["deployment.environment.name"] == "test"
    assert marker.attributes["afterword.outcome"] == "overdue"
    assert "running for longer than 0.3 s" in marker.error
    looked = collector.requests
    serving.post("/order")
    until(lambda: collector.requests >= looked + 4)  # the order's own spans; the sidecar has looked since
    assert len(collector.named(HERE + "hang overdue")) == 1
    serving.kill()
    (hang,) = until(lambda: [span for span in lost(collector) if span.name.endswith("hang")])
    assert (marker.parent, marker.start - hang.start) == (hang.span, pytest.approx(300_000_000, abs=50_000_000))


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        (
            {"AFTERWORD_OTLP_ENDPOINT": "tempo:4318"},
            "AFTERWORD_OTLP_ENDPOINT is 'tempo:4318'; allowed: a URL that begins with http:// or https://",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://"},
            "OTEL_EXPORTER_OTLP_ENDPOINT is 'http://'; allowed: a URL that begins with http:// or https://",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"},
            "OTEL_EXPORTER_OTLP_PROTOCOL is 'http/json'; allowed: http/protobuf or grpc",
        ),
    ],
)
def test_a_wrong_endpoint_costs_spans_only(children, directory, env, sentence):
    """Told once at the start, with the setting's name; the metrics are served."""
    watcher = Sidecar(children, directory, **env)
    assert watcher.get("/metrics")[0] == 200
    assert watcher.child.output.count(sentence) == 1
    assert "no spans are sent" in watcher.child.output
    assert watcher.child.stop() == 0


def test_a_collector_that_speaks_grpc(shop, children, directory, books):
    """Where the user has that exporter."""
    grpc = pytest.importorskip("grpc")
    pytest.importorskip("opentelemetry.exporter.otlp.proto.grpc")
    from concurrent.futures import ThreadPoolExecutor

    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

    taken = []

    class Service(trace_service_pb2_grpc.TraceServiceServicer):
        def Export(self, request, _):  # noqa: N802 - its name
            taken.append(request)
            return trace_service_pb2.ExportTraceServiceResponse()

    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
        watcher = Sidecar(children, directory, **env)  # type: ignore[arg-type]  # it is the environment
        watcher.port  # noqa: B018 - waits until it serves
        serving = shop()
        serving.post("/order?seconds=60")
        until(lambda: books.of("stock").get("started"))
        serving.kill()
        request = until(lambda: taken)[0]
        names = {span.name for scope in request.resource_spans[0].scope_spans for span in scope.spans}
        assert HERE + "stock" in names
        assert watcher.child.stop() == 0
    finally:
        server.stop(0)


def a_span(number):
    """Some span."""
    return Span("mail", 1 + number, 2 + number, 0, None, 1, 2, {"afterword.task": "mail"}, "lost: killed")


def test_the_outbox_is_bounded_and_counts_what_it_drops(directory, monkeypatch):
    """Too many files, too old, and what somebody else put there."""
    outbox = Outbox(directory)
    outbox.put("0" * 32, Batch({}, [a_span(0)]))
    assert outbox.names() == []  # nobody sends
    outbox.open()
    monkeypatch.setattr("afterword.books.outbox.MAX_FILES", 2)
    for number in range(3):
        outbox.put(f"{number:032x}", Batch({"service.name": "shop"}, [a_span(number)]))
        outbox.put(f"{number:032x}", Batch({}, []))
    assert len(outbox.names()) == 2
    assert outbox.read(outbox.names()[0]) == Batch({"service.name": "shop"}, [a_span(0)])
    (directory / FOLDER / f"{1:032x}.json").write_text('{"spans": [[1]]}')
    assert outbox.read(f"{1:032x}.json") is None
    outbox.sweep(time.time() + 3601)
    assert outbox.names() == []
    assert outbox.dropped == {"full": 1, "unreadable": 1, "expired": 1, "unwritable": 0}


def test_what_was_dropped_is_a_metric(sidecar, directory):
    """Somebody's file in the outbox costs one counter."""
    watcher = sidecar()
    (directory / FOLDER / f"{7:032x}.json").write_text("nonsense")
    until(lambda: watcher.scrape(SPANS_DROPPED.sample, reason="unreadable") == 1)
    assert watcher.scrape(SPANS_WAITING.sample) == 0
