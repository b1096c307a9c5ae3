"""A scrape of 16 workers with 50 tasks: afterword's whole page against prometheus_client's MultiProcessCollector.

CPU milliseconds from the call to the bytes. The peer holds less than our page has: scheduled, started,
finished by outcome, two histograms with our bounds, two gauges; the article's four metrics are the second peer.
"""

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from benchmarks.interleave import Peer, end, interleave, launch, medians, peers, scratch, spread

WORKERS, TASKS = 16, 50
STACKS: dict[str, dict[str, str]] = {"afterword": {}, "multiprocess": {"PROMETHEUS_MULTIPROC_DIR": "{dir}"},
          "article": {"PROMETHEUS_MULTIPROC_DIR": "{dir}"}}  # fmt: skip
_OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def measure(quick: bool) -> list[Figure]:
    rounds = 3 if quick else 9
    with peers("scrape", STACKS) as alive:
        for peer in alive.values():
            peer.ask("fill")
        text = interleave({name: _turn(peer, "text") for name, peer in alive.items()}, rounds)
        modern = interleave({name: _turn(peer, "openmetrics") for name, peer in alive.items()}, rounds)
        lines = {name: peer.ask("lines") for name, peer in alive.items()}
        reading = interleave({"scan": _turn(alive["afterword"], "scan")}, rounds)["scan"]
    ms = medians(text)
    detail = (f"{ms['afterword']:.1f} ms, {lines['afterword']} lines / {ms['multiprocess']:.0f} ms, "
              f"{lines['multiprocess']} lines {spread(text['afterword'], text['multiprocess'])}")  # fmt: skip
    return [
        Figure("scrape / MultiProcessCollector", ms["afterword"] / ms["multiprocess"], "x", 1 / 40, 1 / 8, detail),
        _beside(text, "article", "scrape / the article's four metrics", f"{lines['article']} lines"),
        _beside(modern, "multiprocess", "scrape as OpenMetrics / MultiProcessCollector", ""),
        Figure("of the scrape: reading the ledgers", sorted(reading)[len(reading) // 2], "ms"),
    ]


def _beside(samples: dict[str, list[float]], peer: str, name: str, more: str) -> Figure:
    ms = medians(samples)
    detail = f"{ms['afterword']:.1f} ms / {ms[peer]:.0f} ms {more}".strip()
    return Figure(name, ms["afterword"] / ms[peer], "x", None, None, detail)


def _turn(peer: Peer, mode: str) -> Callable[[], float]:
    return lambda: float(peer.ask(mode))


# -- within the candidates' processes


def serve(stack: str, directory: Path) -> dict[str, Callable[[int], Any]]:
    return _ours(directory) if stack == "afterword" else _theirs(stack, directory)


def _timed(call: Callable[[], object]) -> Callable[[int], float]:
    def timed(_: int) -> float:
        begin = time.process_time_ns()
        call()
        return (time.process_time_ns() - begin) / 1e6

    return timed


def _ours(directory: Path) -> dict[str, Callable[[int], Any]]:
    from afterword.books.bookkeeper import Bookkeeper
    from afterword.metrics.endpoint import Exposition
    from benchmarks.ledgers import write

    kept: list[Any] = []
    bookkeeper = Bookkeeper(directory)
    exposition = Exposition(bookkeeper.scan)
    return {
        "fill": lambda _: kept.extend(write(directory, WORKERS, TASKS, 20 * WORKERS)),
        "text": _timed(lambda: exposition.render("")),
        "openmetrics": _timed(lambda: exposition.render(_OPENMETRICS)),
        "scan": _timed(bookkeeper.scan),
        "lines": lambda _: exposition.render("")[0].count(b"\n"),
    }


def _theirs(stack: str, directory: Path) -> dict[str, Callable[[int], Any]]:
    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector
    from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(directory))  # type: ignore[no-untyped-call]
    return {
        "fill": lambda _: _fill_directory(stack, directory),
        "text": _timed(lambda: generate_latest(registry)),
        "openmetrics": _timed(lambda: generate_openmetrics(registry)),  # type: ignore[no-untyped-call]
        "lines": lambda _: generate_latest(registry).count(b"\n"),
    }


def _fill_directory(stack: str, directory: Path) -> None:
    """One real worker writes its files; the others' are copies under other pids, as many as there are workers."""
    with scratch() as one:
        process = launch("benchmarks.peer_files", stack, PROMETHEUS_MULTIPROC_DIR=str(one))
        try:
            if process.wait(60):
                raise RuntimeError(process.stderr.read() if process.stderr else stack)
        finally:
            end(process)
        for file in one.iterdir():
            kind, _, pid = file.stem.rpartition("_")
            for worker in range(WORKERS):
                shutil.copy(file, directory / f"{kind}_{int(pid) + worker}.db")
