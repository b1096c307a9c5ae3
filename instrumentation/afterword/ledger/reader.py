"""Reading a ledger from any process: `pread` only, everything checked, nothing ever written.

A file that is cut short under a mapped reader would end the reader by SIGBUS; `pread` just returns
less. Tables are read in the order finished, started, scheduled: with a living writer what is read
then still has finished <= started <= scheduled.
"""

import errno
import fcntl
import os
import stat
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final

from afterword.ledger import layout, records
from afterword.ledger.accounts import Declaration
from afterword.ledger.layout import (
    BUCKET_MASK,
    BUCKET_SHIFT,
    BUCKETS,
    ENDING_LANES,
    ORDINAL_SHIFT,
    STATE_MASK,
    TASK_MASK,
    TASK_SHIFT,
    LayoutError,
)

_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Liveness(Enum):
    """What the lock says. ``UNKNOWN`` is never treated as dead."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


class CannotOpenError(Exception):
    """The file may be fine but could not be opened or locked now: neither alive nor dead."""


@dataclass(slots=True)
class OpenRuns:
    """The open runs of one task in one phase. ``oldest`` on the owner's monotonic clock, in ns; 0 for none."""

    oldest: int = 0
    over: int = 0


@dataclass(slots=True)
class TaskSnapshot:
    """One task's record and counters as one ledger has them."""

    number: int
    name: str
    kind: str
    declaration: Declaration
    scheduled: int
    started: list[int]
    finished: list[list[int]]
    dropped: list[int]
    run_ns: list[int]
    wait_ns: int
    last_success: int
    waiting: OpenRuns = field(default_factory=OpenRuns)
    running: OpenRuns = field(default_factory=OpenRuns)


@dataclass(slots=True)
class Snapshot:
    """One ledger at one moment."""

    header: layout.Header
    state: int
    tasks: dict[int, TaskSnapshot]
    exceptions: list[tuple[int, str, int]]
    bounds_hit: tuple[int, int, int]
    internal_errors: int
    #: Its process has begun another ledger, because this one's file was removed.
    continued: bool
    repaired: int = 0


class LedgerReader:
    """Keeps one ledger file open: also a deleted one can still be read, and its lock still tells."""

    def __init__(self, path: Path, allowed_uids: frozenset[int]) -> None:
        """Open and check a file.

        Raises:
            LayoutError: it is no ledger to be trusted; the reason is countable.
            CannotOpenError: nothing can be said about it now.
        """
        self.path = path
        try:
            self._fd = os.open(path, _OPEN_FLAGS)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK):
                raise LayoutError("link", "it is a symbolic link") from error
            if error.errno == errno.ENXIO:
                raise LayoutError("not_a_file", "it is not a regular file") from error
            raise CannotOpenError(str(error)) from error
        try:
            self.inode, self.size = self._check(allowed_uids)
            self.header = layout.unpack_header(os.pread(self._fd, layout.LIVE_WORDS * 8, 0), self.size)
        except LayoutError:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise CannotOpenError(str(error)) from error
        self._names: dict[int, tuple[str, str, Declaration]] = {}

    def _check(self, allowed_uids: frozenset[int]) -> tuple[int, int]:
        found = os.fstat(self._fd)
        if not stat.S_ISREG(found.st_mode):
            raise LayoutError("not_a_file", "it is not a regular file")
        if found.st_uid not in allowed_uids:
            raise LayoutError("wrong_owner", f"it belongs to uid {found.st_uid}")
        if found.st_nlink > 1:
            raise LayoutError("link", "it has more than one name")
        if found.st_size > layout.MAX_FILE_SIZE:
            raise LayoutError("too_large", f"{found.st_size} bytes")
        return found.st_ino, found.st_size

    def close(self) -> None:
        """Let the file go."""
        os.close(self._fd)

    def liveness(self) -> Liveness:
        """Whether the owner's mapping still exists. A free lock is final: nobody can write any more."""
        return lock_of(self._fd)

    def snapshot(self, *, dead: bool, now_ns: int = 0) -> Snapshot:
        """Read everything.

        Args:
            dead: Liveness was read as DEAD before: repair what the kill separated, and be exact.
            now_ns: The owner's monotonic clock now, to count overdue and late runs; 0 counts none.

        Raises:
            LayoutError: the file was cut short or contradicts itself.
        """
        tables = self.header.sections
        live = memoryview(self._read(layout.LIVE_WORDS * 8, layout.N_LIVE_WORDS * 8)).cast("Q").tolist()
        state, n_tasks, n_exceptions, n_slots, slots_full, tasks_full, exceptions_full, internal, continued = live
        n_tasks = min(n_tasks, tables[layout.TASKS].count)
        finished = self._counters(layout.FINISHED, n_tasks)
        sums = self._table(layout.SUMS, n_tasks).tolist()
        started = self._counters(layout.STARTED, n_tasks)
        scheduled = self._counters(layout.SCHEDULED, n_tasks)
        slots = self._table(layout.SLOTS, min(n_slots, tables[layout.SLOTS].count))
        repaired = _repair(slots, finished, started, scheduled) if dead else 0
        snapshot = Snapshot(
            header=self.header,
            state=state,
            tasks=self._tasks(n_tasks, finished, sums, started, scheduled),
            exceptions=self._exceptions(min(n_exceptions, tables[layout.EXCEPTIONS].count)),
            bounds_hit=(slots_full, tasks_full, exceptions_full),
            internal_errors=internal,
            continued=bool(continued),
            repaired=repaired,
        )
        if not dead:
            _find_oldest(slots, snapshot.tasks, now_ns)
        return snapshot

    def _tasks(
        self, n_tasks: int, finished: list[int], sums: list[int], started: list[int], scheduled: list[int]
    ) -> dict[int, TaskSnapshot]:
        if len(self._names) < n_tasks:
            raw = self._read(self.header.sections[layout.TASKS].offset, n_tasks * layout.TASK_STRIDE)
            self._names = {n: task for n in range(n_tasks) if (task := records.read_task(raw, n)) is not None}
        found = {}
        for number, (name, kind, declaration) in self._names.items():
            lanes = finished[number * 64 : number * 64 + 64]
            total = sums[number * 8 : number * 8 + 8]
            found[number] = TaskSnapshot(
                number, name, kind, declaration,
                scheduled=scheduled[number],
                started=started[number * ENDING_LANES : number * ENDING_LANES + BUCKETS],
                finished=[lanes[o * ENDING_LANES : o * ENDING_LANES + BUCKETS] for o in range(3)],
                dropped=lanes[3 * ENDING_LANES :],
                run_ns=total[:3], wait_ns=total[layout.SUM_WAIT], last_success=total[layout.SUM_LAST],
            )  # fmt: skip
        return found

    def _exceptions(self, n: int) -> list[tuple[int, str, int]]:
        if not n:
            return []
        raw = self._read(self.header.sections[layout.EXCEPTIONS].offset, n * layout.EXCEPTION_STRIDE)
        return [record for index in range(n) if (record := records.read_exception(raw, index)) is not None]

    def _counters(self, number: int, n: int) -> list[int]:
        return [word >> ORDINAL_SHIFT for word in self._table(number, n)]

    def _table(self, number: int, n: int) -> memoryview:
        table = self.header.sections[number]
        return memoryview(self._read(table.offset, n * table.stride)).cast("Q")

    def _read(self, offset: int, size: int) -> bytes:
        raw = os.pread(self._fd, size, offset)
        if len(raw) != size:
            raise LayoutError("truncated", f"{len(raw)} bytes where {size} were expected")
        return raw


def lock_of(fd: int) -> Liveness:
    """Probe a lock without disturbing it: a shared lock, held for an instant. Other probes do the same."""
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return Liveness.ALIVE
    except OSError:
        return Liveness.UNKNOWN
    fcntl.flock(fd, fcntl.LOCK_UN)
    return Liveness.DEAD


def _repair(slots: memoryview, finished: list[int], started: list[int], scheduled: list[int]) -> int:
    """Redo the one store a kill may have cut off: a ctl word's ordinal is its counter's value, at least.

    Returns:
        How many counters were behind.
    """
    repaired = 0
    for ctl in slots[::8].tolist():
        state, task = ctl & STATE_MASK, ctl >> TASK_SHIFT & TASK_MASK
        lane, ordinal = ctl >> BUCKET_SHIFT & BUCKET_MASK, ctl >> ORDINAL_SHIFT
        if state == layout.FREE or task >= len(scheduled) or lane >= ENDING_LANES or state > layout.IS_DROPPED:
            continue
        if state == layout.IS_WAITING:
            counters, at = scheduled, task
        elif state == layout.IS_RUNNING:
            counters, at = started, task * ENDING_LANES + lane
        else:
            counters, at = finished, task * 4 * ENDING_LANES + (state - layout.IS_SUCCEEDED) * ENDING_LANES + lane
        if ordinal > counters[at]:
            counters[at] = ordinal
            repaired += 1
    return repaired


def _find_oldest(slots: memoryview, tasks: dict[int, TaskSnapshot], now_ns: int) -> None:
    """The oldest open run of each task and phase, and how many are over their limit."""
    low = slots.cast("B").cast("H")[:: layout.SLOT_STRIDE // 2].tolist()
    waiting_since, running_since = slots[1::8].tolist(), slots[2::8].tolist()
    limits = _limits(tasks, now_ns)
    oldest: dict[int, int] = {}
    over: dict[int, int] = {}
    for key, scheduled_at, started_at in zip(low, waiting_since, running_since, strict=True):
        state = key & STATE_MASK
        if state == layout.IS_RUNNING:
            since = started_at
        elif state == layout.IS_WAITING:
            since = scheduled_at
        else:
            continue
        if since < oldest.get(key, since + 1):
            oldest[key] = since
        if since < limits.get(key, 0):
            over[key] = over.get(key, 0) + 1
    for key, since in oldest.items():
        task = tasks.get(key >> TASK_SHIFT)
        if task is not None:
            runs = task.running if key & STATE_MASK == layout.IS_RUNNING else task.waiting
            runs.oldest, runs.over = since, over.get(key, 0)


def _limits(tasks: dict[int, TaskSnapshot], now_ns: int) -> dict[int, int]:
    """The moment before which a run of each (task, state) key must not have begun, in ns."""
    limits = {}
    for number, task in tasks.items():
        deadline, start_deadline = task.declaration.deadline or 0, task.declaration.start_deadline or 0
        limits[number << TASK_SHIFT | layout.IS_RUNNING] = now_ns - int(deadline * 1e9)
        limits[number << TASK_SHIFT | layout.IS_WAITING] = now_ns - int(start_deadline * 1e9)
    return limits


def liveness_of_file(path: Path) -> Liveness:
    """The lock of any file of the directory, opened for the moment."""
    try:
        fd = os.open(path, _OPEN_FLAGS)
    except FileNotFoundError:
        return Liveness.DEAD
    except OSError:
        return Liveness.UNKNOWN
    try:
        return lock_of(fd)
    finally:
        os.close(fd)
