"""asyncio tasks spawned within a real ASGI call: CPU added to each, awaited by the request or left alone by it.

Awaited ones are gathered, and nothing is booked. What is left alone is adopted when the call ends: scheduled, started
and succeeded in the ledger. Fix 7's decorator is what the article offers for the second kind.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.add_task import call
from benchmarks.figure import Figure
from benchmarks.interleave import Peer, Samples, interleave, medians, peers, spread

STACKS: dict[str, dict[str, str]] = {
    "bare": {},
    "afterword": {},
    "fix7": {},
}
_TASKS = 20
_SIZES = {"/awaited": 60, "/left": 60}


def measure(quick: bool) -> list[Figure]:
    starts, rounds = (1, 9) if quick else (7, 9)
    samples: dict[str, Samples] = {mode: {name: [] for name in STACKS} for mode in _SIZES}
    for _ in range(starts):
        with peers("spawned", STACKS) as alive:
            for mode, size in _SIZES.items():
                turns = {name: _turn(peer, mode, size) for name, peer in alive.items()}
                for name, values in interleave(turns, rounds).items():
                    samples[mode][name] += values
    return [
        _added(samples["/awaited"], "an asyncio task that is awaited", 3.0),
        _added(samples["/left"], "an asyncio task that is left alone", 3.0),
    ]


def _added(samples: Samples, what: str, target: float) -> Figure:
    ns = medians(samples)
    ours, theirs = ns["afterword"] - ns["bare"], ns["fix7"] - ns["bare"]
    between = spread(samples["afterword"], samples["bare"])
    detail = f"bare {ns['bare'] / 1000:.2f} us; Fix 7 adds {theirs / 1000:.2f} {between}"
    return Figure(f"added to {what}", ours / 1000, "us", target, None, detail)


def _turn(peer: Peer, mode: str, size: int) -> Callable[[], float]:
    return lambda: float(peer.ask(mode, size))


def serve(stack: str, directory: Path) -> dict[str, Callable[[int], float]]:
    from benchmarks.shop import build

    app = build(stack, directory)
    work = _work(stack)

    @app.get("/awaited")
    async def awaited() -> dict[str, str]:
        await asyncio.gather(*(asyncio.create_task(work()) for _ in range(_TASKS)))
        return {}

    @app.get("/left")
    async def left() -> dict[str, str]:
        for _ in range(_TASKS):
            kept.add(task := asyncio.create_task(work()))
            task.add_done_callback(kept.discard)
        return {}

    kept: set[asyncio.Task[Any]] = set()

    def calling(path: str) -> Callable[[int], float]:
        return lambda n: asyncio.run(_calls(app, path, n, kept)) / _TASKS

    return {path: calling(path) for path in _SIZES}


def _work(stack: str) -> Callable[[], Any]:
    async def work() -> None:
        await asyncio.sleep(0)

    if stack == "fix7":
        from benchmarks.fix7 import instrumented

        return instrumented("work")(work)
    return work


async def _calls(app: Any, path: str, n: int, kept: set[asyncio.Task[Any]]) -> float:
    """CPU nanoseconds per call, its tasks included."""
    begin = time.thread_time_ns()
    for _ in range(n):
        await call(app, path)
        if kept:
            await asyncio.wait(kept)
    return (time.thread_time_ns() - begin) / n
