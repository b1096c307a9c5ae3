"""The last bad endings of a directory, one by one: in a small SQLite file that a sidecar asks for.

Whoever folds a dead ledger, or looks at a living one, puts in what is new. What has been put in is known by its ledger
and its number there, so it is in once, whoever tries again.
"""

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from afterword.books.ended import BY_DEATH, Ended
from afterword.books.history_file import FILE_NAME, Connection, HistoryFile
from afterword.books.model import TaskKey

T = TypeVar("T")
__all__ = ["FILE_NAME", "LIMIT", "History", "HistoryCounts", "Kept", "Query"]

#: Bad endings that are kept: in all, and of one ending of one task, so that a storm leaves room for the others.
LIMIT, LIMIT_OF_ONE = 10_000, 1_000
#: For so long it is remembered how far a ledger was read that is gone, in seconds.
_REMEMBER: Final = 3600
#: What a clock may be ahead by, in seconds.
_SLACK: Final = 60.0
_COLUMNS: Final = """uuid, sequence, service, task, kind, run, ending, reason, phase, route, pid,
    scheduled, started, ended, trace, span"""
_OF_ONE: Final = "service = ? AND task = ? AND kind = ? AND ending = ?"


@dataclass(frozen=True, slots=True)
class Query:
    """Which bad endings; None and empty for all. Times in Unix seconds; ``before`` a number of an earlier answer."""

    service: str | None = None
    task: str | None = None
    kind: str | None = None
    ending: tuple[str, ...] = ()
    reason: str | None = None
    run: str | None = None
    since: float | None = None
    until: float | None = None
    before: int | None = None
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Kept:
    """What a query found: the newest first with their numbers, how many there are in all, whether there are more."""

    items: list[tuple[int, Ended]]
    total: int
    more: bool


@dataclass(frozen=True, slots=True)
class HistoryCounts:
    """How many are kept, since when (Unix ns), how many went by unseen, and what keeps it from keeping."""

    kept: int = 0
    since: int = 0
    missed: int = 0
    problem: str = ""


class History:
    """The bad endings of one directory. Nothing here raises: `counts` says what is wrong."""

    def __init__(self, directory: Path) -> None:
        self._file = HistoryFile(directory)
        #: Whether this one looks after it: then it also puts in what living processes have kept.
        self.opened = False
        #: By ledger, the last sequence that was read; only to ask the file less often.
        self._read: dict[str, int] = {}
        #: Dead ledgers that are in already, and bad endings that could not be put in, to be counted when that goes.
        self._dead: set[str] = set()
        self._missed = 0

    @property
    def wanted(self) -> bool:
        """Whether somebody has asked for it."""
        return self._file.there

    def open(self) -> None:
        """Keep bad endings from now on."""
        self.opened = True
        if not self.wanted:
            self._file.make()

    def refresh(self) -> None:
        """See what others have put in; here that is always seen."""

    # -- putting in

    def unread(self, uuid: str, written: int) -> bool:
        """Whether a ledger that has ``written`` so many bad endings has some that were not read here."""
        return self.opened and self._read.get(uuid, 0) < written

    def put(self, found: Mapping[str, Sequence[Ended]]) -> bool:
        """Put in what is new, in one transaction. False if that could not be done now: then nothing was.

        Args:
            found: By ledger its bad endings: those that its process kept itself, the oldest first, and behind them
                those that died with it.
        """
        fresh = {uuid: ended for uuid, ended in found.items() if uuid not in self._dead}
        if not self.wanted or not (any(fresh.values()) or self._missed):
            return True
        read: dict[str, int] = {}
        with self._file.guarded("write"), self._file.connected("write") as file:
            for uuid, ended in fresh.items():
                read[uuid] = self._put_one(file, uuid, ended)
            _count_missed(file, self._missed)
            _trim(file, {(*one.key, one.ending) for ended in fresh.values() for one in ended})
        done = not self._file.problem_of("write")
        if done:
            self._missed = 0
            self._read |= read
            self._dead |= {uuid for uuid, ended in fresh.items() if any(one.sequence == BY_DEATH for one in ended)}
        return done

    def give_up(self, found: Sequence[Ended]) -> None:
        """Count what could not be put in for too long; the books have it in any case."""
        self._missed += len(found) if self.wanted else 0

    def forget(self, uuid: str) -> None:
        """A ledger that is folded: nothing more will come from it."""
        self._read.pop(uuid, None)
        self._dead.discard(uuid)

    def sweep(self, known: Collection[str]) -> None:
        """Forget how far ledgers were read that are long gone; those that are ``known`` are not."""
        if not self.wanted:
            return
        with self._file.guarded("write"), self._file.connected("write") as file:
            old = file.execute("SELECT uuid FROM read WHERE at < ?", (int(time.time()) - _REMEMBER,)).fetchall()
            file.executemany("DELETE FROM read WHERE uuid = ?", [row for row in old if row[0] not in known])

    def _put_one(self, file: Connection, uuid: str, ended: Sequence[Ended]) -> int:
        row = file.execute("SELECT sequence FROM read WHERE uuid = ?", (uuid,)).fetchone()
        last: int = row[0] if row else 0
        kept = [one for one in ended if one.sequence > last]
        lost = [one for one in ended if one.sequence == BY_DEATH]
        newest = kept[-1].sequence if kept else last
        _insert(file, kept + lost[-LIMIT:])
        _count_missed(file, newest - last - len(kept) + max(0, len(lost) - LIMIT))
        if kept:
            file.execute("INSERT OR REPLACE INTO read VALUES (?, ?, ?)", (uuid, newest, int(time.time())))
        return newest

    # -- looking up

    def page(self, query: Query) -> Kept:
        """What a query finds, the newest first; nothing while the file cannot be read."""
        return self._ask(lambda file: _page(file, query), Kept([], 0, more=False))

    def recent(self, since: float) -> dict[TaskKey, tuple[dict[str, int], int]]:
        """By task, how many bad endings of each kind are kept since a moment (Unix seconds), and the last of all."""
        return self._ask(lambda file: _recent(file, since), {})

    def counts(self) -> HistoryCounts:
        """Where it stands."""
        kept, since, missed = self._ask(_counts, (0, 0, 0))
        return HistoryCounts(kept, since, missed + self._missed, self._file.problem)

    def _ask(self, question: Callable[[Connection], T], nothing: T) -> T:
        if self.wanted:
            with self._file.guarded("read"), self._file.connected("read") as file:
                return question(file)
        return nothing


def _page(file: Connection, query: Query) -> Kept:
    where, values = _conditions(query)
    total = file.execute(f"SELECT count(*) FROM ended WHERE {where}", values).fetchone()[0]  # noqa: S608 - constants
    if query.before is not None:
        where, values = f"{where} AND number < ?", [*values, query.before]
    rows = file.execute(
        f"SELECT number, {_COLUMNS} FROM ended WHERE {where} ORDER BY number DESC LIMIT ?",  # noqa: S608 - constants
        [*values, min(query.limit, LIMIT) + 1],
    ).fetchall()
    return Kept([(row[0], _ended(row[1:])) for row in rows[: query.limit]], total, len(rows) > query.limit)


def _recent(file: Connection, since: float) -> dict[TaskKey, tuple[dict[str, int], int]]:
    found: dict[TaskKey, tuple[dict[str, int], int]] = {}
    rows = file.execute(
        "SELECT service, task, kind, ending, sum(ended >= ? AND ended <= ?), max(ended) FROM ended"
        " WHERE typeof(ended) = 'integer' GROUP BY service, task, kind, ending",
        (int(since * 1e9), int((time.time() + _SLACK) * 1e9)),
    )
    for service, task, kind, ending, n, last in rows.fetchall():
        key = TaskKey(service, task, kind)
        counts, newest = found.get(key, ({}, 0))
        found[key] = {**counts, **({ending: n} if n else {})}, max(newest, last)
    return found


def _counts(file: Connection) -> tuple[int, int, int]:
    kept, since = file.execute("SELECT count(*), coalesce(min(ended), 0) FROM ended").fetchone()
    row = file.execute("SELECT n FROM counted WHERE name = 'missed'").fetchone()
    return int(kept), int(since), int(row[0]) if row else 0


def _insert(file: Connection, found: Sequence[Ended]) -> None:
    marks = ", ".join("?" * 16)
    rows = [(one.uuid, one.sequence, *one.key, one.id, *astuple(one)[4:]) for one in found]
    file.executemany(f"INSERT OR IGNORE INTO ended ({_COLUMNS}) VALUES ({marks})", rows)  # noqa: S608 - constants


def _trim(file: Connection, touched: Collection[tuple[str, ...]]) -> None:
    """The oldest of too many give way."""
    for one in touched:
        file.execute(
            f"DELETE FROM ended WHERE {_OF_ONE} AND number <= (SELECT number FROM ended WHERE {_OF_ONE}"  # noqa: S608 - constants
            " ORDER BY number DESC LIMIT 1 OFFSET ?)",
            (*one, *one, LIMIT_OF_ONE),
        )
    oldest = "SELECT number FROM ended ORDER BY number DESC LIMIT 1 OFFSET ?"
    file.execute(f"DELETE FROM ended WHERE number <= ({oldest})", (LIMIT,))  # noqa: S608 - a constant


def _count_missed(file: Connection, n: int) -> None:
    if n > 0:
        more = "ON CONFLICT (name) DO UPDATE SET n = n + excluded.n"
        file.execute(f"INSERT INTO counted VALUES ('missed', ?) {more}", (n,))  # noqa: S608 - a constant


def _conditions(query: Query) -> tuple[str, list[Any]]:
    exact: Mapping[str, str | None] = {
        "service": query.service, "task": query.task, "kind": query.kind, "reason": query.reason, "run": query.run,
    }  # fmt: skip
    where = [f"{column} = ?" for column, value in exact.items() if value is not None]
    values: list[Any] = [value for value in exact.values() if value is not None]
    if query.ending:
        where.append(f"ending IN ({', '.join('?' * len(query.ending))})")
        values += query.ending
    for comparison, moment in (("ended >= ?", query.since), ("ended <= ?", query.until)):
        if moment is not None:
            where.append(comparison)
            values.append(int(moment * 1e9))
    return " AND ".join(where) or "1", values


def _ended(row: tuple[Any, ...]) -> Ended:
    uuid, sequence, service, task, kind, run, ending, reason, phase, route, pid, scheduled, started, ended, *ids = row
    return Ended(
        str(uuid), int(sequence), TaskKey(str(service), str(task), str(kind)), str(run), str(ending), str(reason),
        str(phase), str(route), int(pid), int(scheduled), int(started), int(ended), str(ids[0]), str(ids[1]),
    )  # fmt: skip
