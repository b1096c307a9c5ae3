"""Workers of a real server killed with traced runs open: ``python -m tests.torture.spans --kills N`` prints sums.

A client orders, with a trace of its own each time; each order leaves one run on and one that waits behind it. The
worker that took it is killed a moment later, by SIGKILL. What a collector then has is held against what the client
knows. A run that had just ended is not asked for: its span was the exporter's, and died with that.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

from demo_app.collector import Collector, Received
from tests.helpers import Children, free_port, until
from tests.sidecars import Sidecar

ROOT = Path(__file__).parents[2]
HERE = "tests.traced_shop."
CLIENT = "b7ad6b7169203331"
_WORKERS, _ORDERS = 3, 4


def main() -> None:
    """Kill so many workers and print what was found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, required=True)
    parser.add_argument("--by", default="nobody", help="who traces the requests: contrib, fastapi or nobody")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory, tempfile.TemporaryDirectory() as folder:
        ledgers = Path(directory) / "ledgers"
        ledgers.mkdir(mode=0o700)
        children, collector = Children(Path(folder)), Collector()
        try:
            print(json.dumps(_torture(options.kills, options.by, ledgers, children, collector)))
        finally:
            children.end()
            collector.close()


def _torture(kills: int, by: str, ledgers: Path, children: Children, collector: Collector) -> Counter[str]:
    sidecar = Sidecar(children, ledgers, AFTERWORD_OTLP_ENDPOINT=collector.endpoint)
    assert sidecar.text()
    port = free_port()
    server = children.python(
        "-m", "uvicorn", "--factory", "tests.traced_shop:served", "--port", str(port), "--workers", str(_WORKERS),
        PYTHONPATH=os.pathsep.join([str(ROOT), *sys.path]), AFTERWORD_DIR=str(ledgers), COLLECTOR=collector.endpoint,
        TRACED_BY=by,
    )  # fmt: skip
    children.answering(server, port, 60)
    chance, killed = random.Random(7), set[int]()
    taken: dict[int, list[str]] = defaultdict(list)
    while len(killed) < kills:
        for _ in range(_ORDERS):
            with contextlib.suppress(OSError, http.client.HTTPException):
                trace, pid = _order(port)
                taken[pid].append(trace)
        alive = [pid for pid in taken if pid not in killed]
        if alive:
            victim = max(alive, key=lambda pid: len(taken[pid]))
            time.sleep(chance.random() * 0.02)  # anywhere in the life of its runs
            os.kill(victim, signal.SIGKILL)
            killed.add(victim)
    expected = {trace for pid in killed for trace in taken[pid]}
    with contextlib.suppress(AssertionError):
        until(lambda: {span.trace for span in _lost(collector)} >= expected, 60)
    sums = _compare(expected, _lost(collector), collector.spans, None if by != "nobody" else CLIENT)
    sums["kills"] = len(killed)
    return sums


def _order(port: int) -> tuple[str, int]:
    """One order that does not end by itself; its trace, and the process that took it."""
    trace = secrets.token_hex(16)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", "/order?seconds=600", headers={"traceparent": f"00-{trace}-{CLIENT}-01"})
        return trace, int(json.loads(connection.getresponse().read())["pid"])
    finally:
        connection.close()


def _lost(collector: Collector) -> list[Received]:
    return [span for span in collector.spans if span.attributes.get("afterword.outcome") == "lost"]


def _compare(expected: set[str], lost: list[Received], spans: list[Received], above: str | None) -> Counter[str]:
    """Each trace has lost runs, each once, closed, where they were handed over, and none is missing for its children.

    ``above`` is the span that the client sent; None: the request has one of its own, which all runs of a trace share.
    """
    sums = Counter(dict.fromkeys(("missing", "twice", "open", "other_trace", "other_parent", "orphans"), 0))
    sums["lost"] = len(lost)
    sums["missing"] = len(expected - {span.trace for span in lost})
    sums["twice"] = len(lost) - len({(span.trace, span.span) for span in lost})
    sums["twice"] += len(lost) - len({(span.trace, span.name) for span in lost})
    sums["open"] = sum(not 0 < span.start <= span.end or not span.failed for span in lost)
    sums["other_trace"] = len({span.trace for span in lost} - expected)
    parents = {span.trace: span.parent for span in lost}
    sums["other_parent"] = sum(span.parent != (above or parents[span.trace]) or not span.parent for span in lost)
    known = {(span.trace, span.span) for span in spans}
    children = [span for span in spans if span.name == "database" and span.trace in expected]
    sums["orphans"] = sum((span.trace, span.parent) not in known for span in children)
    return sums


if __name__ == "__main__":
    main()
