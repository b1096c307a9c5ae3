"""One task's full lifecycle, accounting calls only: schedule, start, succeed against the article's Fix 7.

CPU nanoseconds per lifecycle of a task that does nothing, net of the empty loop.
"""

import functools
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.interleave import Samples, interleave, medians, peers, spread

STACKS: dict[str, dict[str, str]] = {
    "none": {},
    "afterword": {},
    "fix7": {},
    "fix7_multiprocess": {"PROMETHEUS_MULTIPROC_DIR": "{dir}"},
}


def measure(quick: bool) -> list[Figure]:
    rounds, n = (15, 2000) if quick else (61, 4000)
    with peers("lifecycle", STACKS) as alive:
        turns = {name: functools.partial(peer.ask, "run", n) for name, peer in alive.items()}
        samples = interleave(turns, rounds)
    return [
        _against(samples, "fix7", "Fix 7", 0.15, 0.20),
        _against(samples, "fix7_multiprocess", "Fix 7 in multiprocess mode", 0.12, 0.15),
    ]


def _against(samples: Samples, peer: str, called: str, target: float, gate: float) -> Figure:
    middle = medians(samples)
    ours, theirs = middle["afterword"] - middle["none"], middle[peer] - middle["none"]
    detail = f"{ours:.0f} ns / {theirs:.0f} ns {spread(samples['afterword'], samples[peer], samples['none'])}"
    return Figure(f"full lifecycle / {called}", ours / theirs, "x", target, gate, detail)


def serve(stack: str, directory: Path) -> dict[str, Callable[[int], float]]:
    return timed({"none": _none, "afterword": _afterword}.get(stack, _fix7)(directory))


def timed(run: Callable[[int], None]) -> dict[str, Callable[[int], float]]:
    """Worker mode ``run N``: CPU nanoseconds for each of N."""

    def measured(n: int) -> float:
        begin = time.thread_time_ns()
        run(n)
        return (time.thread_time_ns() - begin) / n

    return {"run": measured}


def _none(_: Path) -> Callable[[int], None]:
    def run(n: int) -> None:
        for _ in range(n):
            pass

    return run


def _afterword(directory: Path) -> Callable[[int], None]:
    from afterword import settings, words
    from afterword.ledger.accounts import Declaration
    from afterword.ledger.owner import Owner

    owner = Owner(settings.load({"dir": directory}, print), "benchmark", "benchmark")
    if not owner.open():
        raise RuntimeError(owner.unavailable)
    account = owner.account("benchmarks.lifecycle.nothing", words.BACKGROUND, Declaration())

    def run(n: int) -> None:
        schedule, start, succeed = account.schedule, account.start, account.succeed
        for _ in range(n):
            run = schedule()
            succeed(run, start(run))

    return run


def _fix7(_: Path) -> Callable[[int], None]:
    from benchmarks.fix7 import instrumented

    @instrumented("nothing")
    def nothing() -> None:
        return None

    def run(n: int) -> None:
        for _ in range(n):
            nothing()

    return run
