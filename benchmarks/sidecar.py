"""A real sidecar: how soon a killed process's run is ``lost`` on /metrics, and what the sidecar costs.

Milliseconds of wall time from SIGKILL to the first page that says so (a kill, then pages one after the
other), and to the ledger folded away while nobody scrapes. CPU as a share of one core.
"""

import contextlib
import http.client
import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.figure import Figure
from benchmarks.interleave import NotMeasuredError, cpu_ns, end, launch, scratch
from benchmarks.request import free_port, wait_for

if TYPE_CHECKING:
    import subprocess

_LIMIT_SECONDS = 5.0


def measure(quick: bool) -> list[Figure]:
    kills, seconds = (6, 8) if quick else (40, 30)
    seen = _deaths(kills, scraping=True)
    folded = _deaths(kills, scraping=False)
    return [
        _until("death of a process to lost on /metrics", seen, 10.0, 100.0),
        _until("death to folded away, nobody scrapes", folded, 10.0, 100.0),
        *_costs(seconds),
    ]


def _until(name: str, ms: list[float], target: float, gate: float) -> Figure:
    detail = f"median of {len(ms)} kills; fastest {min(ms):.1f}, slowest {max(ms):.1f} ms"
    return Figure(name, statistics.median(ms), "ms", target, gate, detail)


# -- deaths


def _deaths(kills: int, *, scraping: bool) -> list[float]:
    with scratch() as directory, running(directory) as (_, port):
        found = []
        for number in range(kills):
            victim = launch("benchmarks.victim", str(directory), "hold")
            try:
                ledger = Path(_line(victim))
                found.append(_kill(victim, port, number + 1) if scraping else _kill_unseen(victim, ledger))
            finally:
                end(victim)
        return found


def _kill(victim: "subprocess.Popen[str]", port: int, expected: int) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_LIMIT_SECONDS)
    with contextlib.closing(connection):
        _lost(connection)
        begin = time.perf_counter()
        os.kill(victim.pid, signal.SIGKILL)
        return _wait(begin, lambda: _lost(connection) == expected)


def _kill_unseen(victim: "subprocess.Popen[str]", ledger: Path) -> float:
    begin = time.perf_counter()
    os.kill(victim.pid, signal.SIGKILL)
    return _wait(begin, lambda: not ledger.exists())


def _wait(begin: float, done: Callable[[], bool]) -> float:
    while not done():
        if time.perf_counter() - begin > _LIMIT_SECONDS:
            raise NotMeasuredError(f"a death was not seen within {_LIMIT_SECONDS:.0f} s")
    return (time.perf_counter() - begin) * 1000


def _lost(connection: http.client.HTTPConnection) -> int:
    """Lost runs over all reasons and phases, as a scraper reads them."""
    connection.request("GET", "/metrics")
    page = connection.getresponse().read().decode()
    lines = [line for line in page.splitlines() if line.startswith("afterword_tasks_lost_total{")]
    return int(sum(float(line.rpartition(" ")[2]) for line in lines))


# -- costs


def _costs(seconds: int) -> list[Figure]:
    """Three sidecars at once: scraped every second over a busy and over an idle application, and every 15 seconds."""
    plans = {"busy": (10_000, 1.0), "idle": (0, 1.0), "rare": (10_000, 15.0)}
    with contextlib.ExitStack() as stack:
        ports, pids = {}, {}
        for name, (rate, _) in plans.items():
            directory = stack.enter_context(scratch())
            writer = launch("benchmarks.victim", str(directory), str(rate))
            stack.callback(end, writer)
            _line(writer)
            pids[name], ports[name] = stack.enter_context(running(directory))
        for port in ports.values():
            _scrape(port)
        time.sleep(1)
        share = _shares(pids, ports, {name: every for name, (_, every) in plans.items()}, seconds)
    return [
        Figure("sidecar CPU at 10,000 tasks/s, a scrape a second", share["busy"], "% of a core", 0.2, None,
               f"the application idle: {share['idle']:.3f} %"),
        Figure("sidecar CPU at 10,000 tasks/s, a scrape in 15 s", share["rare"], "% of a core"),
    ]  # fmt: skip


def _shares(pids: dict[str, int], ports: dict[str, int], every: dict[str, float], seconds: int) -> dict[str, float]:
    before = {name: cpu_ns(pid) for name, pid in pids.items()}
    begin = time.monotonic()
    due = dict.fromkeys(ports, begin)
    while (now := time.monotonic()) - begin < seconds:
        for name, port in ports.items():
            if now >= due[name]:
                due[name] += every[name]
                _scrape(port)
        time.sleep(0.05)
    took = (time.monotonic() - begin) * 1e9
    return {name: 100 * (cpu_ns(pid) - before[name]) / took for name, pid in pids.items()}


def _scrape(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_LIMIT_SECONDS)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics")
        connection.getresponse().read()


@contextlib.contextmanager
def running(directory: Path) -> Iterator[tuple[int, int]]:
    """A sidecar over ``directory``: its pid and port."""
    port = free_port()
    process = launch("afterword", "sidecar", "--dir", str(directory), "--listen", f"127.0.0.1:{port}")
    try:
        wait_for(f"http://127.0.0.1:{port}/healthz", process)
        yield process.pid, port
    finally:
        end(process)


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        raise NotMeasuredError(f"the application did not start: {process.stderr.read() if process.stderr else ''}")
    return line
