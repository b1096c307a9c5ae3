"""Candidates take turns: each in every round, in rotated order, so that a slow machine is slow for all of them.

What counts are ratios of medians from one run. Times are CPU time of the process or thread that did the
work, in nanoseconds, because on a shared machine the wall clock measures the neighbours.
"""

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - scratch directories below it are made by mkdtemp
_FOREIGN: Final = ("AFTERWORD_", "OTEL_", "PROMETHEUS_")

Samples = dict[str, list[float]]


class NotMeasuredError(Exception):
    """A figure that could not be taken here, and why."""


def interleave(candidates: Mapping[str, Callable[[], float]], rounds: int) -> Samples:
    """Ask every candidate once to warm up, then once per round; the order moves on by one each round."""
    names = list(candidates)
    for name in names:
        candidates[name]()
    samples: Samples = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            samples[name].append(candidates[name]())
    return samples


def medians(samples: Samples) -> dict[str, float]:
    """The median of each candidate's samples, in their unit."""
    return {name: statistics.median(values) for name, values in samples.items()}


def spread(over: list[float], under: list[float], base: list[float] | None = None) -> str:
    """Quartiles of the ratio taken round by round, as ``(0.11 .. 0.14)``; ``base`` is subtracted from both."""
    base = base or [0.0] * len(over)
    ratios = [(a - c) / (b - c) for a, b, c in zip(over, under, base, strict=True) if b != c]
    if len(ratios) < 4:
        return ""
    low, _, high = statistics.quantiles(ratios, n=4)
    return f"({low:.3f} .. {high:.3f})"


def cpu_ns(pid: int) -> int:
    """CPU time another process has used so far, all its threads, user and system (Linux)."""
    try:
        return time.clock_gettime_ns(~pid << 3 | 2)
    except OSError as error:
        raise NotMeasuredError(f"no CPU clock of process {pid}: {error.strerror}") from error


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A directory in memory, mode 0700, gone afterwards."""
    where = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None
    made = Path(tempfile.mkdtemp(prefix="afterword-benchmark-", dir=where))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def environment(**more: str) -> dict[str, str]:
    """The environment of this process without settings of ours, OpenTelemetry's or prometheus_client's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return kept | {"PYTHONUNBUFFERED": "1"} | more


def launch(*words: str, **variables: str) -> "subprocess.Popen[str]":
    """A process of this interpreter that runs a module: ``launch("benchmarks.worker", ...)``."""
    return subprocess.Popen(
        [sys.executable, "-m", *words],
        cwd=ROOT,
        env=environment(**variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: "subprocess.Popen[str]", patience: float = 10.0) -> None:
    """Close its input, ask it to stop, then make it stop."""
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Peer:
    """One candidate in a process of its own: peers patch classes and read the environment at import."""

    def __init__(self, figure: str, stack: str, directory: Path, **variables: str) -> None:
        self.name = stack
        self.process = launch("benchmarks.worker", figure, stack, str(directory), **variables)
        if self._answer() != "ready":
            raise NotMeasuredError(f"{figure} {stack}: did not start")

    def ask(self, mode: str, n: int = 0) -> Any:
        """Let it do ``mode`` with ``n``; what comes back is JSON, mostly nanoseconds per operation."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{mode} {n}\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            assert self.process.stderr is not None
            told = self.process.stderr.read().strip().splitlines() or ["it told nothing"]
            raise NotMeasuredError(f"{self.name}: {told[-1]}")
        return json.loads(line)


@contextlib.contextmanager
def peers(figure: str, stacks: Mapping[str, Mapping[str, str]]) -> Iterator[dict[str, Peer]]:
    """All candidates of a figure, alive at once: stack name to the variables it needs, ``{dir}`` filled in."""
    with scratch() as top, contextlib.ExitStack() as cleanup:
        alive = {}
        for stack, variables in stacks.items():
            directory = top / stack
            directory.mkdir(mode=0o700)
            filled = {name: value.format(dir=directory) for name, value in variables.items()}
            alive[stack] = peer = Peer(figure, stack, directory, **filled)
            cleanup.callback(end, peer.process)
        yield alive
