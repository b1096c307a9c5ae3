"""From a number to the run behind it: exemplars in OpenMetrics and in a real Prometheus, also of dead processes."""

import json
import urllib.parse

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from afterword.books.bookkeeper import Bookkeeper
from afterword.books.model import OF_BUCKET, OF_FAILED, Exemplar, TaskBooks
from tests.helpers import free_port, until
from tests.helpers.real import binary
from tests.ledgers import account, key, owner, run_to_the_end
from tests.sidecars import Sidecar
from tests.test_end_to_end import PROMETHEUS, get, is_ready
from tests.test_lost_spans import HERE, Shop

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@pytest.fixture
def stack(children, directory, collector):
    """A traced shop, its sidecar and a Prometheus that stores exemplars; its port last."""
    sidecar = Sidecar(children, directory)
    (children.folder / "prometheus.yml").write_text(PROMETHEUS.format(port=sidecar.port).replace("rule_files", "#"))
    port = free_port()
    child = children.start(
        binary("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb",
        "--enable-feature=exemplar-storage", f"--web.listen-address=127.0.0.1:{port}",
    )  # fmt: skip
    children.answering(child, port)
    until(lambda: is_ready(port))
    return Shop(children, directory, collector), sidecar, port


def exemplars(port, selector):
    """The trace ids that Prometheus has for the series of a selector."""
    query = urllib.parse.urlencode({"query": selector, "start": 0, "end": 1 << 33})
    found = json.loads(get(port, f"/api/v1/query_exemplars?{query}"))["data"]
    return {exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]}


def test_prometheus_has_the_trace_of_each_kind_of_ending(stack):
    """Failed, dropped and lost runs, and a bucket of the run time; that of the dead process after its death."""
    shop, _, prometheus = stack
    broken, order = shop.post("/broken"), shop.post("/order?seconds=60")
    task = f'task="{HERE}%s"'
    until(lambda: exemplars(prometheus, f"afterword_task_run_seconds_bucket{{{task % 'mail'}}}") == {order}, 20)
    failed = f'afterword_tasks_finished_total{{outcome="failed",{task % "boom"}}}'
    until(lambda: exemplars(prometheus, failed) == {broken}, 20)
    until(lambda: exemplars(prometheus, f"afterword_tasks_dropped_total{{{task % 'warehouse'}}}") == {broken}, 20)
    shop.kill()
    until(lambda: exemplars(prometheus, f"afterword_tasks_lost_total{{{task % 'stock'}}}") == {order}, 20)


def test_exemplars_stay_when_the_ledger_is_folded_and_are_in_openmetrics_only(stack):
    """The official parser reads them; in the plain format there is no place for them."""
    shop, sidecar, _ = stack
    trace = shop.post("/broken")
    until(lambda: "trace_id" in sidecar.text(OPENMETRICS))
    shop.kill()
    until(lambda: sidecar.scrape("afterword_processes") == 0)
    found = {
        sample.name
        for family in text_string_to_metric_families(sidecar.text(OPENMETRICS))
        for sample in family.samples
        if sample.exemplar is not None and sample.exemplar.labels["trace_id"] == trace
    }
    assert found == {
        "afterword_tasks_finished_total",
        "afterword_tasks_dropped_total",
        "afterword_task_run_seconds_bucket",
    }
    assert "trace_id" not in sidecar.text()


def test_the_newest_of_all_processes_stands_for_the_rest():
    """Whatever the order the ledgers are read in."""
    old, new = Exemplar("a", "b", 1.0, 5.0), Exemplar("c", "d", 1.0, 6.0)
    for first, second in ((old, new), (new, old)):
        books, other = TaskBooks(), TaskBooks()
        books.note_exemplar((OF_FAILED,), first)
        other.note_exemplar((OF_FAILED,), second)
        books.add(other)
        assert books.exemplars == {(OF_FAILED,): new}


def test_an_exemplar_that_is_being_written_is_left_out(directory):
    """Its words are stored one by one: a reader must not make a trace of two."""
    one = owner(directory)
    mail = account(one)
    run_to_the_end(mail)
    one.ledger.note_exemplar(0, 3, (1 << 127) + 5, 7, 60_000_000, 9)
    books = Bookkeeper(directory).scan().totals.task(key())
    assert [(of, e.trace, e.span, e.value) for of, e in books.exemplars.items()] == [
        ((OF_BUCKET, "3"), f"{(1 << 127) + 5:032x}", f"{7:016x}", 0.06)
    ]
    table = one.ledger.context.sections[12]
    one.ledger.context.words[table.offset // 8 + 1] += 1
    assert Bookkeeper(directory).scan().totals.task(key()).exemplars == {}
