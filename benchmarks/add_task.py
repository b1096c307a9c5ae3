"""``add_task`` inside a real ASGI call, and whole calls without a socket: CPU nanoseconds, instrumented against bare.

The application is called as a server calls it. Adding is timed within the endpoint, 5 containers of 10 tasks per call;
what the call's end does to the tasks belongs to the whole calls. Of those the fastest turn counts: a difference of few
microseconds between two of forty cannot be seen through the medians of a shared machine.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from benchmarks.interleave import Peer, Samples, interleave, medians, peers, spread

STACKS: dict[str, dict[str, str]] = {
    "bare": {},
    "afterword": {},
    "fix7": {},
    "fix7_multiprocess": {"PROMETHEUS_MULTIPROC_DIR": "{dir}"},
}
_CONTAINERS, _EACH = 5, 10
#: Modes of the candidates, with the calls one turn makes.
_SIZES = {"add": 40, "/0": 100, "/1": 100, "/10": 40}


def measure(quick: bool) -> list[Figure]:
    starts, rounds = (1, 9) if quick else (7, 9)
    samples: dict[str, Samples] = {mode: {name: [] for name in STACKS} for mode in _SIZES}
    for _ in range(starts):  # one process keeps its luck with caches and addresses; several do not
        with peers("add_task", STACKS) as alive:
            for mode, size in _SIZES.items():
                turns = {name: _turn(peer, mode, size) for name, peer in alive.items()}
                for name, values in interleave(turns, rounds).items():
                    samples[mode][name] += values
    return [
        _adding(samples["add"]),
        _whole_call(samples["/0"], "no task", 2.0),
        _whole_call(samples["/1"], "1 task", None),
        _whole_call(samples["/10"], "10 tasks", None),
    ]


def _adding(samples: Samples) -> Figure:
    ns = medians(samples)
    detail = f"{ns['afterword']:.0f} ns / {ns['bare']:.0f} ns {spread(samples['afterword'], samples['bare'])}"
    return Figure("add_task / bare add_task", ns["afterword"] / ns["bare"], "x", 1.15, None, detail)


def _turn(peer: Peer, mode: str, size: int) -> Callable[[], float]:
    return lambda: float(peer.ask(mode, size))


def _whole_call(samples: Samples, what: str, target: float | None) -> Figure:
    ns = {name: min(values) for name, values in samples.items()}
    ours, theirs, most = (ns[name] - ns["bare"] for name in ("afterword", "fix7", "fix7_multiprocess"))
    detail = f"bare {ns['bare'] / 1000:.1f} us; Fix 7 adds {theirs / 1000:.2f}, multiprocess {most / 1000:.2f}"
    return Figure(f"added to a call without a socket, {what}", ours / 1000, "us", target, None, detail)


def serve(stack: str, directory: Path) -> dict[str, Callable[[int], float]]:
    from fastapi import BackgroundTasks

    from benchmarks.shop import build, nothing

    app = build(stack, directory)
    spent = 0

    @app.get("/add")
    async def add() -> dict[str, str]:
        nonlocal spent
        begin = time.thread_time_ns()
        for _ in range(_CONTAINERS):
            tasks = BackgroundTasks()
            for _ in range(_EACH):
                tasks.add_task(nothing)
        spent += time.thread_time_ns() - begin
        return {}

    def adding(n: int) -> float:
        nonlocal spent
        spent = 0
        asyncio.run(_calls(app, "/add", n))
        return spent / (n * _CONTAINERS * _EACH)

    def calling(path: str) -> Callable[[int], float]:
        return lambda n: asyncio.run(_calls(app, path, n))

    return {"add": adding, **{path: calling(path) for path in ("/0", "/1", "/10")}}


async def _calls(app: Any, path: str, n: int) -> float:
    """CPU nanoseconds per call."""
    begin = time.thread_time_ns()
    for _ in range(n):
        await call(app, path)
    return (time.thread_time_ns() - begin) / n


async def call(app: Any, path: str) -> None:
    """One request as a server hands it to the application; the answer is dropped."""
    await app(_scope(path), _receive, _send)


def _scope(path: str) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }


async def _receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_: dict[str, Any]) -> None:
    return None
