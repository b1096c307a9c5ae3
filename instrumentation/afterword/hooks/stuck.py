"""Where overdue runs are stuck: told once for each, on stderr and in the ledger."""

import asyncio
import sys
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any, Final

from afterword.hooks.code import frames_of, is_users, place, stack_text
from afterword.hooks.process import PROCESS
from afterword.hooks.steps import Steps
from afterword.hooks.workers import frames_of_thread
from afterword.ledger.open_ledger import OpenRun
from afterword.ledger.saying import say
from afterword.ledger.slots import Run

#: Runs looked at, and lines written, in one tick: whatever hangs, the loop does not.
_MAX_RUNS, _MAX_LINES = 256, 16
#: Of runs that are stuck in one place so many are kept with it.
_MAX_KEPT: Final = 4
_NOWHERE: Final = "a place that cannot be seen"
#: The runs that were told, by their slot and when they began.
_told: Final[set[tuple[Run, int]]] = set()
PROCESS.at_standing_aside.append(_told.clear)


def tell(now: int, loops: Iterable[asyncio.AbstractEventLoop]) -> None:
    """Tell where the runs are that have become overdue since the last time.

    Args:
        now: On the monotonic clock, in ns.
        loops: Those whose tasks are looked through; threads all are.
    """
    overdue = PROCESS.owner.overdue(now) if PROCESS.owner is not None else []
    _told.intersection_update((open_run.run, open_run.began) for open_run in overdue)
    fresh = [open_run for open_run in overdue if (open_run.run, open_run.began) not in _told]
    if not fresh:
        return
    fresh = sorted(fresh, key=lambda open_run: open_run.began)[:_MAX_RUNS]
    _told.update((open_run.run, open_run.began) for open_run in fresh)
    frames = _frames_of_runs({open_run.run for open_run in fresh}, loops)
    groups: dict[tuple[str, str], list[OpenRun]] = {}
    for open_run in fresh:
        where = place(found) if (found := frames.get(open_run.run)) else _NOWHERE
        groups.setdefault((open_run.account.name, where), []).append(open_run)
    for (name, where), runs in list(groups.items())[:_MAX_LINES]:
        _tell_group(now, name, where, runs)
        _keep_stacks(where, runs, frames)
    if len(groups) > _MAX_LINES:
        say(f"{len(groups) - _MAX_LINES} more tasks, or places of them, have runs beyond their deadline.")


def _tell_group(now: int, name: str, where: str, runs: list[OpenRun]) -> None:
    lasted = (now - runs[0].began) / 1e9
    if len(runs) == 1:
        say(f"{name} has been running for {lasted:.1f} s, beyond its deadline: it is at {where}")
    else:
        say(f"{len(runs)} runs of {name} have been on for up to {lasted:.1f} s, beyond their deadline: all at {where}")


def _keep_stacks(where: str, runs: list[OpenRun], frames: dict[Run, list[FrameType]]) -> None:
    """The place and its frames, as many as there is room for."""
    if where == _NOWHERE:
        return
    for open_run in runs[-_MAX_KEPT:]:
        open_run.ledger.note_stack(open_run.run, stack_text(where, frames[open_run.run]))


def _frames_of_runs(wanted: set[Run], loops: Iterable[asyncio.AbstractEventLoop]) -> dict[Run, list[FrameType]]:
    """The user's frames of runs, outermost first, as far as they can be found."""
    found: dict[Run, list[FrameType]] = {}
    for task in (task for loop in loops for task in asyncio.all_tasks(loop)):
        for run, frames in _runs_of_task(task.get_coro(), wanted):
            found.setdefault(run, frames)
        if len(found) == len(wanted):
            return found
    for ident in sys._current_frames():
        frames = frames_of_thread(ident)
        for depth, frame in enumerate(frames[:-1]):
            run = _run_of_frame(frame)
            if run in wanted:
                found.setdefault(run, frames[depth + 1 :])
    return found


def _runs_of_task(coro: Any, wanted: set[Run]) -> Iterator[tuple[Run, list[FrameType]]]:
    """The runs among what a task awaits, each with its frames."""
    for _ in range(64):
        if coro is None:
            return
        inner = getattr(coro, "cr_await", None)
        inner = getattr(coro, "gi_yieldfrom", None) if inner is None else inner
        if isinstance(coro, Steps):
            if coro.run in wanted:
                yield coro.run, frames_of(coro.coro)
        else:  # where another instrumentation awaits the function, it is within the frame of our call
            frame = getattr(coro, "cr_frame", None)
            run = _run_of_frame(frame) if frame is not None else 0
            if run in wanted:
                frames = frames_of(inner)
                if any(is_users(frame.f_code.co_filename) for frame in frames):  # else it is in a thread
                    yield run, frames
        coro = inner


def _run_of_frame(frame: FrameType) -> Run:
    """The run whose function is called from a frame of ours: its variable, or that of the thread or call it books."""
    if frame.f_globals.get("__package__") != __package__:
        return 0
    run = frame.f_locals.get("run")
    if type(run) is not int:
        run = getattr(frame.f_locals.get("self"), "run", 0)
    return run if type(run) is int else 0
