"""Reading a ledger from any process: `pread` only, everything checked, nothing ever written.

A file that is cut short under a mapped reader would end the reader by SIGBUS; `pread` just returns
less. Tables are read in the order finished, started, scheduled: with a living writer what is read
then still has finished <= started <= scheduled.
"""

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from afterword import words
from afterword.ledger import bad_endings, layout, records
from afterword.ledger.bad_endings import BadEnding
from afterword.ledger.layout import BUCKETS, ENDING_LANES, LANE_CANCELLED, ORDINAL_SHIFT, LayoutError
from afterword.ledger.open_slots import OpenSlots
from afterword.ledger.slot_table import find_oldest, find_progress, find_stuck, repair
from afterword.ledger.snapshot import Exemplar, RouteSnapshot, Runtime, Snapshot, TaskSnapshot

if TYPE_CHECKING:
    from afterword.ledger.accounts import Declaration

_OPEN_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_Record = TypeVar("_Record")


class Liveness(Enum):
    """What the lock says. ``UNKNOWN`` is never treated as dead."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


class CannotOpenError(Exception):
    """The file may be fine but could not be opened or locked now: neither alive nor dead."""


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
        state, n_tasks, n_exceptions, n_slots, slots_full, tasks_full, exceptions_full, internal, continued = live[:9]
        n_routes, n_links, n_stacks, routes_full, n_exemplars = live[17:22]
        n_tasks = min(n_tasks, tables[layout.TASKS].count)
        finished = self._counters(layout.FINISHED, n_tasks)
        sums = self._table(layout.SUMS, n_tasks).tolist()
        started = self._counters(layout.STARTED, n_tasks)
        scheduled = self._counters(layout.SCHEDULED, n_tasks)
        slots = self._table(layout.SLOTS, min(n_slots, tables[layout.SLOTS].count))
        repaired = repair(slots, finished, started, scheduled) if dead else 0
        snapshot = Snapshot(
            header=self.header,
            state=state,
            tasks=self._tasks(n_tasks, finished, sums, started, scheduled),
            exceptions=self._records(layout.EXCEPTIONS, n_exceptions, records.read_exception),
            bounds_hit=(slots_full, tasks_full, exceptions_full, routes_full),
            internal_errors=internal,
            continued=bool(continued),
            repaired=repaired,
            runtime=Runtime(*live[9:17]),
            routes=self._routes(n_routes, n_links),
            exemplars=[
                Exemplar(key >> 8, key & 0xFF, *rest)
                for key, *rest in self._records(layout.EXEMPLARS, n_exemplars, records.read_exemplar)
            ],
        )
        if not dead:
            find_oldest(slots, snapshot.tasks, now_ns)
            seen_ns = snapshot.runtime.tick or now_ns
            find_progress(slots, snapshot.tasks, seen_ns)
            stacks = self._records(layout.STACKS, n_stacks, records.read_stack)
            find_stuck(stacks, slots, tables[layout.SLOTS].offset // 8, snapshot.tasks, seen_ns)
        return snapshot

    def open_slots(self) -> OpenSlots:
        """The open runs, one by one; after `snapshot`, which reads what the tasks are.

        Raises:
            LayoutError: the file was cut short.
        """
        tables = self.header.sections
        in_use = memoryview(self._read(layout.W_SLOTS * 8, 8)).cast("Q")[0]
        n = min(in_use, tables[layout.SLOTS].count)
        linked = self._table(layout.LINKED, min(n, tables[layout.LINKED].count)) if layout.LINKED in tables else None
        workers = frozenset(number for number, (_, kind, _) in self._names.items() if kind == words.WORKER)
        first, uuid = tables[layout.SLOTS].offset // 8, self.header.uuid
        return OpenSlots(self._table(layout.SLOTS, n), linked, first, uuid, workers)

    def stuck(self) -> dict[tuple[int, int], str]:
        """Where runs were stuck, by the word their slot begins at and when they started (monotonic ns)."""
        n = memoryview(self._read(layout.W_STACKS * 8, 8)).cast("Q")[0]
        found = self._records(layout.STACKS, n, records.read_stack)
        return {(run, started): text for _, run, started, text in found}

    def n_endings(self) -> int:
        """How many bad endings were written; `bad_endings` has the last of them.

        Raises:
            LayoutError: the file was cut short.
        """
        return (
            memoryview(self._read(layout.W_ENDINGS * 8, 8)).cast("Q")[0]
            if layout.ENDINGS in self.header.sections
            else 0
        )

    def bad_endings(self) -> list[BadEnding]:
        """The last bad endings, the oldest first; none of a ledger that keeps none.

        Raises:
            LayoutError: the file was cut short.
        """
        table = self.header.sections.get(layout.ENDINGS)
        if table is None:
            return []
        written = (
            self.n_endings()
        )  # first: what is written meanwhile may stand behind a record that is not yet complete
        found = bad_endings.read(self._read(table.offset, table.count * table.stride))
        return [one for one in found if one.sequence <= written]

    def resource(self) -> str:
        """What the spans of the process say about it, as JSON; an empty text where that is not known."""
        table = self.header.sections.get(layout.RESOURCE)
        return records.read_resource(self._read(table.offset, table.stride)) if table is not None else ""

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
                swallowed=lanes[layout.LANE_SWALLOWED],
                cancelled=lanes[LANE_CANCELLED : 3 * ENDING_LANES],
                collected=lanes[layout.LANE_COLLECTED],
                run_ns=total[:3], wait_ns=total[layout.SUM_WAIT],
                last_ended=total[layout.SUM_LAST : layout.SUM_LAST + 3],
            )  # fmt: skip
        return found

    def _routes(self, n_routes: int, n_links: int) -> list[RouteSnapshot]:
        routes = [RouteSnapshot(*record) for record in self._records(layout.ROUTES, n_routes, records.read_route)]
        for route, task, scheduled, missed in self._records(layout.LINKS, n_links, records.read_link):
            if route < len(routes):
                routes[route].tasks[task] = (scheduled, missed)
        return routes

    def _records(self, number: int, n: int, read: Callable[[bytes, int], _Record | None]) -> list[_Record]:
        """The first ``n`` records of a table; none of a table that an earlier release did not write."""
        table = self.header.sections.get(number)
        n = min(n, table.count) if table is not None else 0
        if table is None or not n:
            return []
        raw = self._read(table.offset, n * table.stride)
        return [record for index in range(n) if (record := read(raw, index)) is not None]

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
