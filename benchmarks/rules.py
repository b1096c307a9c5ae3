"""What the rules cost Prometheus: every expression over 1,000 instances with 20 tasks, and the series of an instance.

Only on demand, for it takes a quarter of an hour. A real Prometheus scrapes pages that carry their own timestamps,
fifteen seconds apart, so that more than an hour of history is there after minutes. The pages are what a sidecar
answers for 20 tasks, once for each instance, without histogram buckets: no rule reads those.
"""

import contextlib
import http.server
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from afterword.alerts.rules import groups
from afterword.alerts.site import Site
from benchmarks.figure import Figure
from benchmarks.interleave import NotMeasuredError, environment, scratch
from benchmarks.request import free_port

TASKS: Final = 20
_INSTANCES, _QUICK_INSTANCES = 1000, 20
#: So much history that the look-back of the event rules, an hour before a quarter of an hour, has something to read.
_SCRAPES: Final = 310
_APART: Final = 15.0
_TOKEN: Final = b"@TIMESTAMP@"
_ASKED: Final = 3


def measure(quick: bool) -> list[Figure]:
    program = shutil.which("prometheus")
    if program is None:
        raise NotMeasuredError("prometheus is not on PATH")
    instances = _QUICK_INSTANCES if quick else _INSTANCES
    lines = _one_page()
    buckets = [line for line in lines if "_bucket{" in line]
    with contextlib.ExitStack() as stack:
        page = _Page([line for line in lines if line not in buckets], instances)
        port = stack.enter_context(_serving(page))
        url, pid = stack.enter_context(_prometheus(program, port, 1.0 if quick else 4.0))
        _wait_for(page, 40 if quick else _SCRAPES)
        costs = {group["name"]: _group_ms(url, group, page.last) for group in groups(Site())}
        memory = _resident_mb(pid)
    size = f"{instances:,} instances x {TASKS} tasks, {instances * (len(lines) - len(buckets)):,} series"
    return [
        *(Figure(f"{name}, one evaluation", ms, "ms", None, None, slowest) for name, (ms, slowest) in costs.items()),
        Figure("all groups, one evaluation", sum(ms for ms, _ in costs.values()), "ms", None, None, size),
        Figure("Prometheus' memory meanwhile", memory, "MB"),
        Figure("series per instance with 20 tasks", len(lines), "series", None, None, f"{len(buckets)} are buckets"),
        Figure("series per task", _per_task(lines), "series", 45, None, f"{_per_task(buckets):g} are buckets"),
    ]


def _one_page() -> list[str]:
    """The samples of a sidecar that knows 20 tasks."""
    from afterword.books.bookkeeper import Bookkeeper
    from afterword.metrics.endpoint import Exposition
    from benchmarks.ledgers import write

    with scratch() as directory:
        owners = write(directory, 1, TASKS, TASKS)
        text = Exposition(Bookkeeper(directory).scan).render("")[0].decode()
        del owners
    return [line for line in text.splitlines() if not line.startswith("#")]


def _per_task(lines: list[str]) -> float:
    return sum('task="shop.tasks.task_7"' in line for line in lines)


class _Page:
    """One page for all instances; each request is answered as of fifteen seconds later than the one before."""

    def __init__(self, lines: list[str], instances: int) -> None:
        made = []
        for instance in range(instances):
            label = f'instance="host-{instance}:9796"'
            for line in lines:
                series, _, value = line.rpartition(" ")
                name, brace, labels = series.partition("{")
                inside = f"{label},{labels}" if brace else f"{label}}}"
                made.append(f"{name}{{{inside} {value} {_TOKEN.decode()}\n")
        self._text = "".join(made).encode()
        self._first = time.time() - _SCRAPES * _APART
        self.served = 0

    @property
    def last(self) -> float:
        """The time of the page served last."""
        return self._first + self.served * _APART

    def next(self) -> bytes:
        """The next page."""
        self.served += 1
        return self._text.replace(_TOKEN, f"{self.last * 1000:.0f}".encode())


@contextlib.contextmanager
def _serving(page: _Page) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page.next()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield int(server.server_address[1])
    server.shutdown()


@contextlib.contextmanager
def _prometheus(program: str, target: int, interval: float) -> Iterator[tuple[str, int]]:
    folder = Path(tempfile.mkdtemp(prefix="afterword-rules-"))
    port = free_port()
    job = {"job_name": "afterword", "honor_labels": True, "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
    config = {
        "global": {"scrape_interval": f"{interval:g}s", "scrape_timeout": f"{interval:g}s"},
        "scrape_configs": [job],
    }
    (folder / "prometheus.yml").write_text(json.dumps(config), encoding="utf-8")
    command = [
        program, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.min-block-duration=12h", "--query.timeout=10m",
        "--query.max-samples=500000000", "--log.level=error",
    ]  # fmt: skip
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=sys.stderr)
    try:
        yield f"http://127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(page: _Page, scrapes: int) -> None:
    limit = time.monotonic() + 3600
    while page.served < scrapes:
        if time.monotonic() > limit:
            raise NotMeasuredError(f"only {page.served} scrapes in an hour")
        time.sleep(1)


def _group_ms(url: str, group: dict[str, Any], at: float) -> tuple[float, str]:
    """Milliseconds of one evaluation of all its rules, and the slowest of them."""
    costs = {}
    for rule in group["rules"]:
        if not re.search(r"\w+:\w+:\w+", rule["expr"]):  # what reads recorded series reads a handful of them
            name = rule.get("alert") or rule["record"].split(":", 1)[1]
            costs[name] = statistics.median(_evaluated_ms(url, rule["expr"], at) for _ in range(_ASKED))
    slowest = max(costs, key=lambda name: costs[name])
    return sum(costs.values()), f"{len(costs)} rules; the slowest: {slowest}, {costs[slowest]:.0f} ms"


def _evaluated_ms(url: str, expr: str, at: float) -> float:
    """What Prometheus itself says the evaluation took."""
    query = urllib.parse.urlencode({"query": expr, "time": f"{at:.3f}", "stats": "all"})
    with urllib.request.urlopen(f"{url}/api/v1/query?{query}", timeout=600) as answer:  # noqa: S310 - our own
        stats = json.load(answer)["data"]["stats"]
    return float(stats["timings"]["evalTotalTime"]) * 1000


def _resident_mb(pid: int) -> float:
    kb = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text(encoding="ascii"))
    return int(kb[1]) / 1024 if kb else 0.0
