"""Reading 100,000 open runs: CPU milliseconds of a scan, and the most memory it holds at once (tracemalloc).

4 workers with 10 tasks and 25,000 open runs each, half of them waiting; and, only told, all in one ledger.
"""

import functools
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from benchmarks.interleave import interleave, medians, peers

SIZES = {"4_ledgers": (4, 10, 100_000), "1_ledger": (1, 10, 100_000), "idle": (4, 10, 0)}


def measure(quick: bool) -> list[Figure]:
    rounds = 5 if quick else 21
    with peers("open_runs", {"afterword": {}}) as alive:
        peer = alive["afterword"]
        for name in SIZES:
            peer.ask(f"write_{name}")
        ms = medians(interleave({name: functools.partial(peer.ask, f"scan_{name}") for name in SIZES}, rounds))
        peak = {name: peer.ask(f"peak_{name}") for name in SIZES}
    idle = f"none open: {ms['idle']:.2f} ms, {peak['idle']:.2f} MB"
    return [
        Figure("reading 100,000 open runs", ms["4_ledgers"], "ms", 30, None, idle),
        Figure("memory while reading them", peak["4_ledgers"], "MB", 5, None, "4 ledgers of 25,000"),
        Figure("the same, all in one ledger", ms["1_ledger"], "ms", None, None, f"peak {peak['1_ledger']:.1f} MB"),
    ]


def serve(_: str, directory: Path) -> dict[str, Callable[[int], Any]]:
    from afterword.books.bookkeeper import Bookkeeper
    from benchmarks.ledgers import keep

    writing = keep(directory, SIZES)
    keepers = {name: Bookkeeper(directory / name) for name in SIZES}

    def scan(name: str) -> Callable[[int], float]:
        def timed(_: int) -> float:
            begin = time.process_time_ns()
            keepers[name].scan()
            return (time.process_time_ns() - begin) / 1e6

        return timed

    def peak(name: str) -> Callable[[int], float]:
        def traced(_: int) -> float:
            tracemalloc.start()
            keepers[name].scan()
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return most / 1e6

        return traced

    modes: dict[str, Callable[[int], Any]] = {f"write_{name}": write for name, write in writing.items()}
    return modes | {f"scan_{n}": scan(n) for n in SIZES} | {f"peak_{n}": peak(n) for n in SIZES}
