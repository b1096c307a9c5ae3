"""Workers: tasks and threads that were started with the application and go on until it stops."""

import asyncio.queues
import asyncio.tasks
import dis
import queue
import sys
import time
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

from anyio.streams.memory import MemoryObjectReceiveStream

from afterword import words
from afterword.hooks import waiters
from afterword.hooks.code import frames_of, is_users, loops, place, stack_text
from afterword.hooks.habit import Habit
from afterword.hooks.nursery import LOOSE
from afterword.hooks.process import PROCESS
from afterword.hooks.running import Lifespan
from afterword.hooks.spawned import Spawned
from afterword.ledger import layout
from afterword.ledger.saying import say

#: Who waits in these waits for work, and there may be none until tomorrow.
_IDLE: Final = frozenset(
    function.__code__ for function in (asyncio.queues.Queue.get, queue.Queue.get, MemoryObjectReceiveStream.receive)
)
_SLEEP: Final = asyncio.tasks.sleep.__code__
#: By opcode, whether it calls something.
_CALLS: Final = [name.startswith(("CALL", "PRECALL")) for name in dis.opname]


class _Look(NamedTuple):
    """One worker at one moment: its frames, outermost first, and a number that changes whenever it does anything."""

    frames: list[FrameType]
    work: Any


class Worker:
    """One worker and its habit. ``child`` is a `Spawned` or a thread."""

    def __init__(self, child: Any, now: int) -> None:
        self.child = child
        self.habit = Habit(now, PROCESS.time_scale, child.origin.declaration.deadline)
        self.stuck = False
        self._work: Any = None
        self._at: tuple[tuple[CodeType, int], ...] | None = None

    def observe(self, now: int) -> None:
        """Look at it, and say in the ledger when it last made progress."""
        child, account, owner = self.child, self.child.afterword_account, PROCESS.owner
        ledger = owner.ledger_of(child.run) if owner is not None else None
        if account is None or ledger is None:
            return
        look = _look_at(child)
        child.goes_round = child.goes_round or any(_goes_round(depth, frame) for depth, frame in enumerate(look.frames))
        at = tuple((frame.f_code, frame.f_lasti) for frame in look.frames)
        moved = look.work != self._work or (at != self._at and not isinstance(child, Spawned))
        self._work, self._at = look.work, at
        # A place is what is called, not from which line: it may wait for a first message here and for the next there.
        called = tuple(frame.f_code for frame in look.frames)
        self.habit.observe(called, now, moved=moved, idle=self._is_idle(look.frames))
        view, limit = ledger.context.words, self.habit.limit
        view[child.run + layout.SLOT_PROGRESS] = self.habit.progress
        view[child.run + layout.SLOT_STALL] = limit
        without = now - self.habit.progress
        if not limit or without <= limit:
            self.stuck = False
        elif not self.stuck and look.frames:
            self.stuck = True
            where = place(look.frames)
            ledger.note_stack(child.run, stack_text(where, look.frames))
            say(f"the worker {account.name} has made no progress for {without / 1e9:.1f} s: it is at {where}")
        if moved and account.declaration.every is not None:
            account.beat()

    def _is_idle(self, frames: list[FrameType]) -> bool:
        if any(frame.f_code in _IDLE for frame in frames):
            return True
        return bool(frames) and self.child.origin.declaration.deadline is None and _sleeps_between_rounds(frames)


def _sleeps_between_rounds(frames: list[FrameType]) -> bool:
    """Whether the worker's own loop sleeps, which ends by the clock. A sleep further in may be part of its work.

    A thread in `time.sleep`, which has no frame, is in a call of something written in C.
    """
    own = next((frame for frame in reversed(frames) if is_users(frame.f_code.co_filename)), None)
    if own is None or not loops(own.f_code):
        return False
    innermost = frames[-1]
    return innermost.f_code is _SLEEP or (innermost is own and _CALLS[own.f_code.co_code[own.f_lasti]])


class Workers:
    """All workers of the process."""

    def __init__(self) -> None:
        self._workers: list[Worker] = []
        #: The names of those that went round: what is spawned again in their place is a worker as well.
        self._names: set[str] = set()

    def add(self, child: Any) -> None:
        """Watch a child that has been adopted as a worker."""
        self._workers.append(Worker(child, time.monotonic_ns()))

    def observe(self, now: int) -> None:
        """Look at each; let those go that have ended, and take those in that take their place."""
        self._workers = [worker for worker in self._workers if not worker.child.ended and _observed(worker, now)]
        self._names.update(worker.child.origin.name for worker in self._workers if worker.child.goes_round)
        for ref in LOOSE.children:
            child = ref()
            if isinstance(child, Spawned) and self._is_successor(child):
                child.adopt(words.WORKER)
                self.add(child)

    def _is_successor(self, child: Spawned) -> bool:
        """Whether a task that was left alone goes on for ever, or was spawned in the place of a worker."""
        task = child.its_task()
        if child.ended or child.afterword_account is not None or task is None or waiters.awaited(task):
            return False
        if child.origin.forever:
            return True
        owner = child.owner()
        account = getattr(owner, "afterword_account", None)
        by_worker = account is not None and account.kind == words.WORKER
        return child.origin.name in self._names and (by_worker or type(owner) is Lifespan)

    def beat(self, name: str) -> None:
        """A worker says that it goes on."""
        now = time.monotonic_ns()
        for worker in self._workers:
            if worker.child.origin.name == name:
                worker.habit.progress = now

    def clear(self) -> None:
        """Watch none."""
        self._workers.clear()
        self._names.clear()


WORKERS: Final = Workers()
PROCESS.at_standing_aside.append(WORKERS.clear)


def _observed(worker: Worker, now: int) -> bool:
    """Look at one; one that cannot be looked at is let go."""
    try:
        worker.observe(now)
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        PROCESS.note(error)
        return False
    return True


def _look_at(child: Any) -> _Look:
    if isinstance(child, Spawned):
        return _Look(frames_of(child.coro), child.steps)
    frames = frames_of_thread(child.ident)
    return _Look(frames, _processor_time(child.native_id))


def frames_of_thread(ident: int | None) -> list[FrameType]:
    """The frames of a thread, outermost first; none if it is gone."""
    frame = sys._current_frames().get(ident or 0)
    found: list[FrameType] = []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found[::-1]


def _goes_round(depth: int, frame: FrameType) -> bool:
    body = frame.f_code
    return loops(body) and (depth == 0 or is_users(body.co_filename))


def _processor_time(native_id: int | None) -> Any:
    """What the kernel says a thread has used so far; None where it does not say."""
    try:
        return Path(f"/proc/self/task/{native_id}/schedstat").read_bytes()
    except OSError:
        return None
