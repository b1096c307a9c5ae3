"""``/metrics``: both formats parse, every family is of the contract, and the embedded form answers for all workers."""

import asyncio
import concurrent.futures
import contextlib
import http.client
import json
import logging
import os
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI, WebSocket
from fastapi.testclient import TestClient
from prometheus_client import Metric as Family
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

import afterword
from afterword import contract
from afterword.contract import METRICS, Metric
from tests.helpers import Books, until
from tests.helpers.real import binary
from tests.sidecars import Sidecar, Writer, shop

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
MOST_SERIES_OF_A_TASK = 45


def fine() -> None:
    """Ends well."""


def broken() -> None:
    """Does not."""
    raise KeyError("no such order")


def behind() -> None:
    """Never starts."""


def swallows() -> None:
    """Logs its error and goes on."""
    logging.getLogger(__name__).error("the other side said no")


async def cut() -> None:
    """What it awaited was cancelled."""
    raise asyncio.CancelledError


#: There only while something stands still or has no ledger; tests/test_workers.py and tests/test_books.py see them.
WHILE_IT_LASTS = {contract.SIDECAR_UNACCOUNTED, contract.STUCK, contract.LOOP_BLOCKED}


@pytest.fixture
def eventful(instrumented, directory) -> Path:
    """A directory in which every kind of thing has happened: ended, failed, dropped, lost, over a bound, unreadable."""

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        polls = asyncio.create_task(asyncio.Event().wait(), name="polls")
        yield
        polls.cancel()

    app = FastAPI(lifespan=lifespan)

    @afterword.task(every=3600)
    def renews() -> None:
        """Once an hour."""

    @app.get("/fine")
    async def send_fine(tasks: BackgroundTasks) -> None:
        tasks.add_task(fine)
        tasks.add_task(renews)

    @app.get("/broken")
    async def send_broken(tasks: BackgroundTasks) -> None:
        tasks.add_task(broken)
        tasks.add_task(behind)

    @app.get("/swallows")
    @afterword.expects(fine)
    async def send_swallows(tasks: BackgroundTasks) -> None:
        tasks.add_task(swallows)

    @app.get("/cut")
    async def send_cut(tasks: BackgroundTasks) -> None:
        tasks.add_task(cut)

    with TestClient(instrumented(app), raise_server_exceptions=False) as client:
        for path in ("/fine", "/broken", "/swallows"):
            client.get(path)
        with contextlib.suppress(asyncio.CancelledError, concurrent.futures.CancelledError):
            client.get("/cut")
    writer = Writer(directory)
    writer.do("run", 70)
    writer.kill()
    (directory / "foreign.ledger").touch()
    return directory


def plain(books: Books) -> dict[str, Family]:
    """The families of the plain text, by name."""
    return {family.name: family for family in text_string_to_metric_families(books.text())}


def strict(books: Books) -> dict[str, Family]:
    """The families of the OpenMetrics text, by name; its parser refuses what is not quite right."""
    return {family.name: family for family in openmetrics.text_string_to_metric_families(books.text(OPENMETRICS))}


def labels_of(family: Family, metric: Metric) -> set[tuple[str, ...]]:
    """The label names of a family's samples, without the bucket bound of a histogram."""
    bound = {"le"} if metric.type == "histogram" else set()
    return {tuple(sorted(sample.labels.keys() - bound)) for sample in family.samples}


@pytest.mark.usefixtures("eventful")
def test_every_family_of_the_contract_is_served_in_both_formats_and_no_other(books):
    """Name, type and help as the contract has them. Plain text has `_created` as gauges of their own."""
    created = {metric.created for metric in METRICS if metric.type == "counter"}
    assert {name for name in plain(books) if name not in created} == {metric.name for metric in METRICS}
    assert strict(books).keys() == {metric.name for metric in METRICS}
    for metric in METRICS:
        for family in (plain(books)[metric.name], strict(books)[metric.name]):
            assert (family.type, family.documentation) == (metric.type, metric.help)


def test_a_directory_in_which_nothing_happened_serves_every_family_too(books):
    """Dashboards and rules can be checked against a fresh sidecar."""
    assert plain(books).keys() == {metric.name for metric in METRICS}


@pytest.mark.usefixtures("eventful")
def test_every_sample_has_the_labels_of_the_contract(books):
    """Exactly these names, in every sample of every family; and each family that can have samples has some."""
    for families in (plain(books), strict(books)):
        for metric in METRICS:
            found = labels_of(families[metric.name], metric)
            if metric not in WHILE_IT_LASTS:
                assert found == {tuple(sorted(metric.labels))}, metric.name


@pytest.mark.usefixtures("eventful")
def test_created_says_since_when_a_counter_exists(books):
    """Lost, dropped and failed carry it in both formats: the rules need it for series born above zero."""
    for families in (plain(books), strict(books)):
        names = {sample.name for family in families.values() for sample in family.samples}
        assert {m.created for m in (contract.LOST, contract.DROPPED, contract.FINISHED)} <= names


@pytest.mark.usefixtures("eventful")
def test_no_sample_appears_twice(books):
    """A scraper refuses a page with a duplicate."""
    seen = Counter((sample.name, *sorted(sample.labels.items())) for sample in books.samples())
    assert [sample for sample, n in seen.items() if n > 1] == []


def test_a_task_that_never_ended_badly_costs_at_most_45_series(instrumented, books):
    """Histograms are what costs; reasons are born when they first happen."""
    app = FastAPI()

    @app.get("/fine")
    async def send_fine(tasks: BackgroundTasks) -> None:
        tasks.add_task(fine)

    with TestClient(instrumented(app)) as client:
        client.get("/fine")
    for text in (books.text(), books.text(OPENMETRICS)):
        series = [line for line in text.splitlines() if f'task="{__name__}.fine"' in line]
        assert 30 < len(series) <= MOST_SERIES_OF_A_TASK


@pytest.mark.usefixtures("eventful")
def test_promtool_finds_nothing_to_complain_about(books):
    """The linter of Prometheus over the plain text."""
    command = [binary("promtool"), "check", "metrics"]
    done = subprocess.run(command, input=books.text(), capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("accept", "content_type", "ends"),
    [
        ("", "text/plain; version=0.0.4", ""),
        ("*/*", "text/plain; version=0.0.4", ""),
        ("text/html,nonsense;;q=x", "text/plain; version=0.0.4", ""),
        (OPENMETRICS, "application/openmetrics-text; version=1.0.0", "# EOF\n"),
    ],
)
def test_the_format_is_the_one_that_is_asked_for(accept, content_type, ends, children, directory):
    """By the Accept header, and plain text for whoever says nothing."""
    status, text, found = Sidecar(children, directory).get("/metrics", accept=accept)
    assert status == 200
    assert found.startswith(content_type)
    assert text.endswith(ends)
    assert ("# EOF" in text) is bool(ends)


def test_names_with_every_character_arrive_whole(instrumented, books):
    """Quotes, backslashes, braces and other scripts in a name break no line; what cannot be printed is escaped."""
    app = own_routes()
    client = TestClient(instrumented(app, service='a"b\\c{d}\u00e9\u4e16\n\x1b'))
    client.get("/mail")
    for families in (plain(books), strict(books)):
        (sample,) = families["afterword_tasks_scheduled"].samples
        assert sample.labels["service"] == 'a"b\\c{d}\u00e9\u4e16\\n\\x1b'


# -- the embedded form


def own_routes() -> FastAPI:
    """An application whose own /metrics takes POST."""
    app = FastAPI(title="shop")

    @app.post("/metrics")
    async def own() -> str:
        return "own"

    @app.get("/other")
    async def other() -> str:
        return "other"

    @app.get("/mail")
    async def mail(tasks: BackgroundTasks) -> None:
        tasks.add_task(fine)

    return app


def test_it_answers_get_and_head_on_its_path_and_shadows_nothing_else(instrumented):
    """The user's own POST of the same path, other paths and longer paths stay theirs."""
    client = TestClient(instrumented(own_routes(), metrics="/metrics"))
    got, head = client.get("/metrics"), client.head("/metrics")
    assert (got.status_code, head.status_code) == (200, 200)
    assert "afterword_sidecar_build_info" in got.text
    assert head.content == b""
    assert abs(int(head.headers["content-length"]) - len(got.content)) < 100
    assert head.headers["content-type"] == got.headers["content-type"]
    assert client.post("/metrics").json() == "own"
    assert client.get("/other").json() == "other"
    assert [client.get(path).status_code for path in ("/metrics/x", "/metric", "/x/metrics")] == [404] * 3
    assert client.get("/metrics", headers={"accept": OPENMETRICS}).text.endswith("# EOF\n")


@pytest.mark.parametrize(
    ("root", "path", "status"),
    [
        ("", "/metrics", 200),
        ("/api", "/api/metrics", 200),
        ("/api", "/metrics", 200),
        ("/api/", "/api/metrics", 200),
        ("/api", "/apimetrics", 404),
    ],
)
def test_it_is_found_behind_a_proxy_whether_or_not_the_prefix_was_taken_away(instrumented, root, path, status):
    """As the framework finds its own routes below root_path."""
    app = instrumented(own_routes(), metrics="/metrics")
    assert TestClient(app, root_path=root).get(path).status_code == status


def test_it_is_found_in_an_application_mounted_in_another(instrumented):
    """Only below its own prefix."""
    parent = FastAPI()
    parent.mount("/v1", instrumented(own_routes(), metrics="/metrics"))
    client = TestClient(parent)
    assert client.get("/v1/metrics").status_code == 200
    assert client.get("/metrics").status_code == 404


def test_a_websocket_on_its_path_stays_the_users(instrumented):
    """The endpoint answers HTTP only."""
    app, router = own_routes(), APIRouter()

    @router.websocket("/metrics")
    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("own")
        await websocket.close()

    app.include_router(router)
    with TestClient(instrumented(app, metrics="/metrics")).websocket_connect("/metrics") as connection:
        assert connection.receive_text() == "own"


@pytest.mark.parametrize("how", ["route", "router", "mount"])
def test_the_applications_own_page_on_its_path_is_left_alone(instrumented, capfd, how):
    """Many applications have a /metrics already: theirs is served, and one line says so."""
    app, router = FastAPI(), APIRouter()

    def own() -> str:
        return "own"

    if how == "route":
        app.get("/metrics")(own)
    elif how == "router":
        router.get("/metrics")(own)
        app.include_router(router)
    else:
        inner = FastAPI()
        inner.get("/")(own)
        app.mount("/metrics", inner)
    client = TestClient(instrumented(app, metrics="/metrics"))
    assert [client.get("/metrics").json() for _ in range(2)] == ["own", "own"]
    assert capfd.readouterr().err.count("is the application's own") == 1


def test_a_page_that_answers_everything_does_not_hide_it(instrumented):
    """A catch-all for a single-page application is no /metrics of the user's."""
    app = FastAPI()

    @app.get("/{path:path}")
    def everything(path: str) -> str:
        return path

    client = TestClient(instrumented(app, metrics="/metrics"))
    assert "afterword_processes" in client.get("/metrics").text
    assert client.get("/other").json() == "other"


def test_without_the_keyword_there_is_no_endpoint(instrumented):
    """A sidecar answers instead."""
    assert TestClient(instrumented(own_routes())).get("/metrics").status_code == 405


@pytest.mark.parametrize("spoil", [shutil.rmtree, lambda path: path.chmod(0o777)])
def test_it_answers_also_without_a_usable_directory(instrumented, directory, spoil):
    """And says that there is none."""
    app = instrumented(own_routes(), metrics="/metrics")
    spoil(directory)
    answer = TestClient(app).get("/metrics")
    assert answer.status_code == 200
    assert "afterword_sidecar_directory_usable 0.0" in answer.text


def test_it_survives_a_scraper_that_hangs_up(instrumented):
    """A connection that breaks while the page is sent is the server's to handle, as for any route."""
    app = instrumented(own_routes(), metrics="/metrics")

    async def scrape() -> None:
        async def send(_: Any) -> None:
            raise ConnectionResetError

        scope = {"type": "http", "method": "GET", "path": "/metrics", "headers": []}
        with pytest.raises(ConnectionResetError):
            await app(scope, None, send)

    asyncio.run(scrape())
    assert TestClient(app).get("/metrics").status_code == 200


class Worker:
    """One connection to one of several workers: what is asked over it, that worker answers."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
        self.pid = 0

    def get(self, path: str) -> str:
        """The text of one answer."""
        self.connection.request("GET", path)
        answer = self.connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, text
        return text

    def scrape(self, name: str) -> float | None:
        """The sum of one name's samples on this worker's /metrics."""
        families = text_string_to_metric_families(self.get("/metrics"))
        found = [s.value for family in families for s in family.samples if s.name == name]
        return sum(found) if found else None


@pytest.fixture
def connect() -> Iterator[Callable[[int], Worker]]:
    """``connect(port)``: a connection to whichever worker takes it; all are closed with the test."""
    made: list[Worker] = []

    def connect_to(port: int) -> Worker:
        made.append(Worker(port))
        made[-1].pid = int(made[-1].get("/pid"))
        return made[-1]

    yield connect_to
    for worker in made:
        worker.connection.close()


def workers_of(port: int, count: int, connect: Callable[[int], Worker]) -> list[Worker]:
    """A connection to each of ``count`` workers."""
    found: dict[int, Worker] = {}

    def all_found() -> bool:
        with contextlib.suppress(OSError):  # one that is just going
            worker = connect(port)
            found[worker.pid] = worker
        return len(found) == count

    until(all_found, 20)
    return list(found.values())


def test_any_worker_answers_for_all_and_books_what_another_lost(children, directory, connect):
    """Two workers under uvicorn; one is killed while its task hangs."""
    keywords = json.dumps({"metrics": "/metrics"})
    server, port = shop(children, "--workers", "2", AFTERWORD_DIR=str(directory), KEYWORDS=keywords)
    first, second = workers_of(port, 2, connect)
    for worker, mails in ((first, 3), (second, 4)):
        for _ in range(mails):
            worker.get("/mail")
    until(lambda: first.scrape("afterword_tasks_finished_total") == 7)
    assert second.scrape("afterword_tasks_finished_total") == 7
    assert [worker.scrape("afterword_processes") for worker in (first, second)] == [2, 2]
    second.get("/hang")
    until(lambda: first.scrape("afterword_tasks_running") == 1)
    os.kill(second.pid, signal.SIGKILL)
    assert until(lambda: first.scrape("afterword_tasks_lost_total")) == 1
    third = next(worker for worker in workers_of(port, 2, connect) if worker.pid != first.pid)
    assert [worker.scrape("afterword_tasks_lost_total") for worker in (first, third)] == [1, 1]
    assert third.scrape("afterword_tasks_finished_total") == 7
    assert not re.search("Traceback|afterword", server.output)


def test_the_next_process_books_what_the_last_one_lost(children, directory, connect):
    """One process, no sidecar: after a crash the restarted application tells."""
    keywords = json.dumps({"metrics": "/metrics"})
    server, port = shop(children, AFTERWORD_DIR=str(directory), KEYWORDS=keywords)
    worker = connect(port)
    worker.get("/hang")
    looking = connect(port)
    until(lambda: looking.scrape("afterword_tasks_running") == 1)
    server.signal(signal.SIGKILL)
    server.wait()
    _, port = shop(children, AFTERWORD_DIR=str(directory), KEYWORDS=keywords)
    worker = connect(port)
    assert [worker.scrape("afterword_tasks_lost_total") for _ in range(3)] == [1, 1, 1]
    assert worker.scrape("afterword_process_exits_total") == 1


def test_it_answers_while_every_thread_hangs(children, directory, connect):
    """All forty threads of the pool are taken, and more wait: that is when somebody looks."""
    keywords = json.dumps({"metrics": "/metrics"})
    server, port = shop(children, AFTERWORD_DIR=str(directory), KEYWORDS=keywords)
    hanging = [connect(port) for _ in range(45)]
    for worker in hanging:
        worker.get("/hang")
    looking = connect(port)
    until(lambda: (looking.scrape("afterword_tasks_running"), looking.scrape("afterword_tasks_waiting")) == (40, 5))
    server.signal(signal.SIGKILL)
