"""A real `afterword sidecar`: how it starts, what it answers, how soon it sees a death, how it ends."""

import http.client
import itertools
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.helpers import Children, free_port, until
from tests.sidecars import Sidecar, Writer, shop

LOST = "afterword_tasks_lost_total"


@pytest.fixture
def writer(directory: Path) -> Iterator[Callable[..., Writer]]:
    """Starts processes that keep a ledger in ``directory``; all are ended with the test."""
    started: list[Writer] = []

    def start(**options: Any) -> Writer:
        started.append(Writer(**{"directory": directory, **options}))
        return started[-1]

    yield start
    for one in started:
        one.end()


@pytest.fixture
def sidecar(children: Children, directory: Path) -> Sidecar:
    """A sidecar over ``directory`` that answers."""
    return Sidecar(children, directory)


# -- its answers


def test_it_is_ready_healthy_and_serves_nothing_else(sidecar):
    """GET and HEAD; no documentation pages that fetch scripts from elsewhere."""
    assert sidecar.get("/healthz")[:2] == (200, "ok\n")
    assert sidecar.get("/readyz")[:2] == (200, "ready\n")
    assert "afterword_sidecar_build_info" in sidecar.get("/metrics")[1]
    for path in ("/healthz", "/readyz", "/metrics"):
        assert sidecar.get(path, "HEAD")[:2] == (200, "")
        assert sidecar.get(path, "POST")[0] == 405
    assert [sidecar.get(path)[0] for path in ("/docs", "/redoc", "/openapi.json")] == [404] * 3


def test_the_directory_is_made_when_it_is_missing(children, directory):
    """Who starts first, application or sidecar, does not matter."""
    sidecar = Sidecar(children, directory / "a" / "b")
    assert sidecar.get("/readyz")[0] == 200
    assert (directory / "a" / "b").stat().st_mode & 0o777 == 0o700


def test_scrapers_that_come_all_at_once_or_slowly_do_not_stop_each_other(sidecar, writer):
    """One reads nothing of its answer, fifty read at the same time."""
    writer().do("end", 10)
    with socket.create_connection((sidecar.host, sidecar.port)) as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        slow.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
        with ThreadPoolExecutor(50) as pool:
            seen = list(pool.map(lambda _: sidecar.scrape("afterword_tasks_finished_total"), range(50)))
    assert seen == [10] * 50


# -- deaths


def test_a_death_is_booked_at_once_without_a_scrape(sidecar, writer, directory):
    """The kernel closes the ledger of a killed process, and that wakes the sidecar."""
    process = writer()
    process.do("run", 2)
    process.do("wait", 3)
    assert sidecar.scrape("afterword_tasks_running") == 2
    before = time.monotonic()
    process.kill()
    until(lambda: not process.path.exists(), 5)
    assert time.monotonic() - before < 2
    assert (directory / "carried.json").exists()
    assert sidecar.scrape(LOST, reason="killed", phase="running") == 2
    assert sidecar.scrape(LOST, reason="killed", phase="waiting") == 3
    assert sidecar.scrape("afterword_process_exits_total", cause="killed") == 1
    assert sidecar.balance() == (0, 0)


def test_a_request_whose_server_is_killed_is_lost_once(children, sidecar, directory):
    """A real application with a task that hangs, killed by SIGKILL."""
    server, port = shop(children, AFTERWORD_DIR=str(directory))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("GET", "/hang")
    assert connection.getresponse().status == 200
    until(lambda: sidecar.scrape("afterword_tasks_running") == 1)
    assert sidecar.scrape(LOST) is None
    server.signal(signal.SIGKILL)
    assert until(lambda: sidecar.scrape(LOST)) == 1
    assert sidecar.by(LOST, "phase", reason="killed", task="shop_app.hang") == {"running": 1}
    assert (sidecar.scrape("afterword_processes"), sidecar.balance()) == (0, (0, 0))
    connection.close()


def test_two_sidecars_on_one_directory_book_a_death_once(children, sidecar, writer, directory):
    """Both answer the same; the loss is counted by neither twice."""
    other = Sidecar(children, directory)
    for n in range(1, 6):
        process = writer()
        process.do("run", 2)
        assert {sidecar.scrape("afterword_tasks_running"), other.scrape("afterword_tasks_running")} == {2}
        process.kill()
        until(lambda: not process.path.exists())  # noqa: B023 - awaited before the next round
        assert [sidecar.scrape(LOST), other.scrape(LOST)] == [2 * n, 2 * n]


def test_a_sidecar_that_starts_after_the_death_still_books_it(children, writer, directory):
    """What nobody watched lies in the ledger."""
    process = writer()
    process.do("run", 4)
    process.kill()
    assert Sidecar(children, directory).scrape(LOST) == 4
    assert Sidecar(children, directory).scrape(LOST) == 4


def test_a_directory_deleted_and_made_again_is_watched_again(sidecar, writer, directory):
    """A cleaner took the directory; the next application makes it anew, and its death is seen unasked."""
    until(lambda: sidecar.get("/readyz")[0] == 200)

    def is_gone():
        shutil.rmtree(directory, ignore_errors=True)  # what the sidecar writes just now may be in the way
        return not directory.exists()

    until(is_gone)
    status, reason, _ = sidecar.get("/readyz")
    assert (status, reason) == (503, f"{directory}: No such file or directory\n")
    assert sidecar.scrape("afterword_sidecar_directory_usable") == 0
    process = writer()
    process.do("run")
    assert sidecar.get("/readyz")[0] == 200
    assert sidecar.scrape("afterword_tasks_running") == 1
    process.kill()
    until(lambda: not process.path.exists(), 5)
    assert sidecar.scrape(LOST) == 1


@pytest.mark.parametrize("env", [{}, {"AFTERWORD_OTLP_ENDPOINT": "http://127.0.0.1:9"}], ids=["alone", "sends spans"])
def test_a_sidecar_over_a_path_where_nothing_can_be_serves_and_says_why(children, directory, env):
    """A file lies where the directory should be; when it is gone everything works."""
    blocked = directory / "blocked"
    blocked.touch()
    sidecar = Sidecar(children, blocked / "ledgers", **env)
    assert sidecar.get("/readyz")[:2] == (503, f"{blocked / 'ledgers'}: Not a directory\n")
    assert sidecar.scrape("afterword_sidecar_directory_usable") == 0
    assert "Not a directory. It serves, and looks again at every scrape" in sidecar.child.output
    blocked.unlink()
    process = Writer(blocked / "ledgers")
    process.do("run")
    assert sidecar.scrape("afterword_tasks_running") == 1
    process.kill()
    until(lambda: not process.path.exists(), 5)
    assert sidecar.scrape(LOST) == 1


def counters(page: str) -> dict[tuple[str, ...], float]:
    """Every sample that must never fall: counters, their buckets, counts and sums."""
    found = {}
    for family in text_string_to_metric_families(page):
        if family.type in ("counter", "histogram") and "sidecar" not in family.name:
            for sample in family.samples:
                if not sample.name.endswith("_created"):
                    found[sample.name, *itertools.chain(*sorted(sample.labels.items()))] = sample.value
    return found


def test_counters_never_go_back_while_processes_die_and_many_scrape(sidecar, writer):
    """Six scrapers without a pause while twelve processes work and are killed or end."""
    stop = threading.Event()
    fallen: list[object] = []
    scrapes = itertools.count()

    def scraper() -> None:
        before: dict[tuple[str, ...], float] = {}
        while not stop.is_set():
            now = counters(sidecar.text())
            fallen.extend((key, n, now.get(key)) for key, n in before.items() if now.get(key, -1) < n)
            before = now
            next(scrapes)

    with ThreadPoolExecutor(6) as pool:
        running = [pool.submit(scraper) for _ in range(6)]
        try:
            processes = [writer() for _ in range(12)]
            for n, process in enumerate(processes):
                process.do("end", 5)
                process.do("run", 2)
                process.do("wait", 1)
                process.kill() if n % 2 else process.leave()
        finally:
            stop.set()
        for scraping in running:
            scraping.result()
    assert fallen == []
    assert next(scrapes) > 12
    assert sidecar.scrape("afterword_tasks_finished_total") == 60
    assert until(lambda: sidecar.scrape(LOST)) == 36
    assert sidecar.balance() == (0, 0)


def test_it_uses_all_descriptors_that_it_may_have_and_calls_no_living_process_dead(children, writer, directory):
    """With 40 descriptors and 30 living ledgers some stay unknown; nothing is lost, and it goes on answering."""
    processes = [writer() for _ in range(30)]
    for process in processes:
        process.do("run")
    limited = "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40));"
    run = "from afterword.cli import main; sys.exit(main())"
    sidecar = Sidecar(children, directory, python=("-c", limited + run))
    unknown = sidecar.scrape("afterword_sidecar_unknown_ledgers")
    assert unknown is not None
    assert unknown > 0
    assert sidecar.scrape("afterword_tasks_running") == 30 - unknown
    assert sidecar.scrape(LOST) is None
    for process in processes:
        process.kill()
    assert until(lambda: sidecar.scrape(LOST) == 30)
    assert until(lambda: sidecar.scrape("afterword_sidecar_unknown_ledgers") == 0)


# -- where it listens


def test_a_port_that_is_taken_is_one_sentence_and_status_2(children, directory, sidecar):
    """Also by another sidecar."""
    taken = f"127.0.0.1:{sidecar.port}"
    second = children.python("-m", "afterword", "sidecar", "--dir", str(directory), "--listen", taken)
    assert second.wait() == 2
    allowed = (
        "allowed: a HOST:PORT of this machine that is free (--listen HOST:PORT); "
        "perhaps a sidecar already runs there (afterword doctor)"
    )
    assert second.output == f"afterword: listen is {taken!r}: Address already in use; {allowed}\n"


@pytest.mark.parametrize(
    ("listen", "shown", "warned"),
    [
        ("127.0.0.1:0", "127.0.0.1", False),
        ("localhost:0", r"(127.0.0.1|\[::1\])", False),
        ("[::1]:0", r"\[::1\]", False),
        ("0.0.0.0:0", "0.0.0.0", True),
        ("[::]:0", r"\[::\]", True),
    ],
)
def test_it_says_where_it_serves_and_whether_others_can_reach_it(children, directory, listen, shown, warned):
    """Two lines at most: an address to click, and a warning when it is not loopback, where it needs a token."""
    if "::" in listen and not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    token = {"AFTERWORD_TOKEN": "a-long-enough-secret"} if warned else {}
    sidecar = Sidecar(children, directory, "--listen", listen, python=("-m", "afterword"), **token)
    assert sidecar.get("/healthz")[0] == 200
    first, *rest = sidecar.child.output.splitlines()
    url = rf"http://{shown}:{sidecar.port}/"
    elsewhere = rf" \(from elsewhere: http://{re.escape(socket.gethostname())}:{sidecar.port}/\)" * warned
    assert re.fullmatch(rf"afterword sidecar: watching {directory}, page and metrics on {url}{elsewhere}", first)
    warning = (
        "afterword sidecar: other machines can reach the page; without TLS before it they can read the token on its way"
    )
    assert rest == [warning] * warned


def test_a_variable_says_where_to_listen(children, directory):
    """AFTERWORD_LISTEN and AFTERWORD_DIR are enough for a container."""
    port = free_port()
    child = children.python(
        "-m", "afterword", "sidecar", AFTERWORD_LISTEN=f"127.0.0.1:{port}", AFTERWORD_DIR=str(directory)
    )
    children.answering(child, port)


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


# -- its end


def idle(sidecar: Sidecar) -> socket.socket:
    """A connection that was answered and is kept open, as Prometheus does."""
    connection = socket.create_connection((sidecar.host, sidecar.port))
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    return connection


def slow(sidecar: Sidecar) -> socket.socket:
    """A scraper that asks for more than all buffers hold and reads nothing; returns when the sidecar waits for it."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    connection.connect((sidecar.host, sidecar.port))
    connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2000)
    assert connection.recv(1)

    def stuck() -> bool:
        before, since = cpu_ticks(sidecar), time.monotonic()
        until(lambda: time.monotonic() - since > 0.2)
        return cpu_ticks(sidecar) - before <= 1

    until(stuck, 20)
    return connection


def cpu_ticks(sidecar: Sidecar) -> int:
    """Processor time so far, in hundredths of a second."""
    fields = Path(f"/proc/{sidecar.child.pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def half(sidecar: Sidecar) -> socket.socket:
    """A client that never finishes its request."""
    connection = socket.create_connection((sidecar.host, sidecar.port))
    connection.sendall(b"GET /metrics HTTP/1.1\r\nHost:")
    return connection


@pytest.mark.parametrize(
    ("number", "client"),
    [
        (signal.SIGTERM, None),
        (signal.SIGTERM, idle),
        (signal.SIGTERM, slow),
        (signal.SIGTERM, half),
        (signal.SIGINT, None),
    ],
)
def test_a_signal_ends_it_soon_and_well_whoever_is_connected(sidecar, writer, number, client):
    """Status 0, within three seconds, and no traceback in the log of an orchestrator."""
    writer().do("end")
    assert sidecar.get("/healthz")[0] == 200
    connection = client(sidecar) if client is not None else None
    before = time.monotonic()
    sidecar.child.signal(number)
    assert sidecar.child.wait() == 0
    assert time.monotonic() - before < 3
    assert "Traceback" not in sidecar.child.output
    if connection is not None:
        connection.close()


def test_after_an_end_by_a_signal_the_next_sidecar_goes_on(children, directory, writer):
    """Totals, reasons and since when they exist survive a restart."""
    first = Sidecar(children, directory)
    process = writer()
    process.do("end", 3)
    process.do("run", 2)
    process.kill()
    until(lambda: first.scrape(LOST))
    before = counters(first.text())
    created = first.scrape("afterword_tasks_lost_created")
    assert first.child.stop() == 0
    second = Sidecar(children, directory)
    assert counters(second.text()) == before
    assert second.scrape("afterword_tasks_lost_created") == created


def test_it_wakes_once_a_second(sidecar, writer):
    """Between two deaths one thread looks each second, beside the server's own loop; no other thread wakes up."""
    writer().do("end")
    sidecar.scrape(LOST)

    def wakings() -> int:
        threads = [thread for thread in Path(f"/proc/{sidecar.child.pid}/task").iterdir() if not _is_main(thread)]
        assert threads
        lines = "".join((thread / "status").read_text() for thread in threads)
        return sum(map(int, re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", lines, re.MULTILINE)))

    def within(seconds: float) -> int:
        before, since = wakings(), time.monotonic()
        until(lambda: time.monotonic() - since > seconds)
        return wakings() - before

    until(lambda: within(0.1) == 0)
    assert within(3.0) <= 6


def _is_main(thread: Path) -> bool:
    return thread.name == thread.parts[2]
