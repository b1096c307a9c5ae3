"""Memory of an open run beyond the task itself: bytes of Pss, ledger pages included, against an uncounted task."""

from collections.abc import Callable
from pathlib import Path

from benchmarks.figure import Figure
from benchmarks.interleave import Samples, medians, peers

RUNS = 20_000
_ENOUGH = {"AFTERWORD_SLOTS": str(RUNS + 1024)}
STACKS: dict[str, dict[str, str]] = {"bare": {}, "afterword": _ENOUGH, "without_slots": {"AFTERWORD_SLOTS": "64"}}


def measure(quick: bool) -> list[Figure]:
    samples: Samples = {name: [] for name in STACKS}
    for _ in range(1 if quick else 5):
        with peers("memory", STACKS) as alive:
            for name, peer in alive.items():
                samples[name].append(peer.ask("hold", RUNS))
    held = medians(samples)
    detail = (
        f"a waiting task itself: {held['bare']:.0f} B; beyond the slots +{held['without_slots'] - held['bare']:.0f} B"
    )
    return [Figure("memory per open run", held["afterword"] - held["bare"], "B", 128, None, detail)]


def serve(stack: str, directory: Path) -> dict[str, Callable[[int], float]]:
    import asyncio

    from fastapi import BackgroundTasks

    from benchmarks.add_task import call
    from benchmarks.shop import build, nothing

    app = build("bare" if stack == "bare" else "afterword", directory)
    grown = 0.0

    @app.get("/hold")
    async def hold() -> dict[str, str]:
        """One task a container, as requests make them, all held while the memory is read."""
        nonlocal grown
        held = [None] * RUNS
        before = _pss()
        for n in range(RUNS):
            tasks = BackgroundTasks()
            tasks.add_task(nothing)
            held[n] = tasks  # type: ignore[call-overload]
        grown = (_pss() - before) / RUNS
        return {}

    def holding(_: int) -> float:
        asyncio.run(call(app, "/1"))
        asyncio.run(call(app, "/hold"))
        return grown

    return {"hold": holding}


def _pss() -> int:
    """The proportional set size of this process, in bytes."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise OSError("smaps_rollup has no Pss")
