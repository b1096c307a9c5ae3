"""The last bad endings of a directory, one by one: a small SQLite file, there as soon as a sidecar has asked for one.

Whoever folds a dead ledger, or looks at a living one, puts in what is new. What has been put in is known by its ledger
and its number there, so it is in once, whoever tries again. No mapping, no shared memory: a full disk is an error.
"""

import contextlib
import logging
import os
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Final

from afterword.books.ended import BY_DEATH, Ended
from afterword.books.model import TaskKey
from afterword.books.sqlite import MISSING, sqlite3

#: A connection to SQLite.
Connection = Any
FILE_NAME: Final = "history.sqlite3"
#: Bad endings that are kept: in all, and of one ending of one task, so that a storm leaves room for the others.
LIMIT, LIMIT_OF_ONE = 10_000, 1_000
_LOGGER: Final = logging.getLogger("afterword.sidecar")
_FORMAT: Final = 1
#: Seconds to wait for another bookkeeper.
_PATIENCE: Final = 0.25
_SCHEMA: Final = """
CREATE TABLE ended (
    number INTEGER PRIMARY KEY AUTOINCREMENT, uuid TEXT, sequence INTEGER, service TEXT, task TEXT, kind TEXT, run TEXT,
    ending TEXT, reason TEXT, phase TEXT, route TEXT, pid INTEGER, scheduled INTEGER, started INTEGER, ended INTEGER,
    trace TEXT, span TEXT, UNIQUE (uuid, sequence, run));
CREATE INDEX of_one ON ended (service, task, kind, ending, number);
CREATE INDEX by_run ON ended (run);
CREATE TABLE read (uuid TEXT PRIMARY KEY, sequence INTEGER, at INTEGER);
CREATE TABLE counted (name TEXT PRIMARY KEY, n INTEGER);
"""
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
    """The file of one directory. Each call opens it for itself: safe for threads and processes."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE_NAME
        self._problem = MISSING
        #: Whether this one looks after it: then it also puts in what living processes have kept.
        self.opened = False
        #: By ledger, the last sequence that was read; only to ask the file less often.
        self._read: dict[str, int] = {}

    @property
    def wanted(self) -> bool:
        """Whether somebody has asked for it."""
        return not MISSING and os.path.lexists(self._path)

    def open(self) -> None:
        """Keep bad endings from now on. Never raises: `counts` says what is wrong."""
        if MISSING:
            return
        self.opened = True
        if not self.wanted:
            with self._guarded(), self._connected(create=True):
                pass

    def refresh(self) -> None:
        """See what others have put in; here that is always seen."""

    # -- putting in

    def unread(self, uuid: str, written: int) -> bool:
        """Whether a ledger that has ``written`` so many bad endings has some that were not read here."""
        return self.opened and self._read.get(uuid, 0) < written

    def put_kept(self, uuid: str, found: Iterable[Ended]) -> None:
        """Put in what a process has kept itself (the last of its bad endings, the oldest first), if it is new.

        Never raises.
        """
        if not self.wanted:
            return
        with self._guarded(), self._connected() as file, file:
            file.execute("BEGIN IMMEDIATE")
            row = file.execute("SELECT sequence FROM read WHERE uuid = ?", (uuid,)).fetchone()
            last = row[0] if row else 0
            fresh = [one for one in found if one.sequence > last]
            newest = fresh[-1].sequence if fresh else last
            self._insert(file, fresh)
            self._count(file, "missed", newest - last - len(fresh))
            file.execute("INSERT OR REPLACE INTO read VALUES (?, ?, ?)", (uuid, newest, int(time.time())))
            self._read[uuid] = newest

    def put_dead(self, uuid: str, found: Iterable[Ended]) -> None:
        """Put in what a dead process has kept itself, and what died with it. Never raises."""
        ended = list(found)
        self.put_kept(uuid, (one for one in ended if one.sequence != BY_DEATH))
        lost = [one for one in ended if one.sequence == BY_DEATH]
        if lost and self.wanted:
            with self._guarded(), self._connected() as file, file:
                file.execute("BEGIN IMMEDIATE")
                self._count(file, "missed", len(lost) - LIMIT)
                self._insert(file, lost[-LIMIT:])

    def forget(self, uuid: str) -> None:
        """A ledger that is folded: nothing more will come from it."""
        self._read.pop(uuid, None)

    def sweep(self) -> None:
        """Forget how far ledgers were read that are long gone."""
        if self.wanted:
            with self._guarded(), self._connected() as file, file:
                file.execute("DELETE FROM read WHERE at < ?", (int(time.time()) - 86400 * 30,))

    def _insert(self, file: Connection, found: list[Ended]) -> None:
        marks = ", ".join("?" * 16)
        rows = [(one.uuid, one.sequence, *one.key, one.id, *astuple(one)[4:]) for one in found]
        file.executemany(f"INSERT OR IGNORE INTO ended ({_COLUMNS}) VALUES ({marks})", rows)  # noqa: S608 - constants
        for one in {(*one.key, one.ending) for one in found}:
            file.execute(
                f"DELETE FROM ended WHERE {_OF_ONE} AND number <= (SELECT number FROM ended WHERE {_OF_ONE}"  # noqa: S608 - constants
                " ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (*one, *one, LIMIT_OF_ONE),
            )
        oldest = "SELECT number FROM ended ORDER BY number DESC LIMIT 1 OFFSET ?"
        file.execute(f"DELETE FROM ended WHERE number <= ({oldest})", (LIMIT,))  # noqa: S608 - a constant

    def _count(self, file: Connection, name: str, n: int) -> None:
        if n > 0:
            more = "ON CONFLICT (name) DO UPDATE SET n = n + excluded.n"
            file.execute(f"INSERT INTO counted VALUES (?, ?) {more}", (name, n))  # noqa: S608 - a constant

    # -- looking up

    def page(self, query: Query) -> Kept:
        """What a query finds, the newest first; nothing while the file cannot be read. Never raises."""
        where, values = _conditions(query)
        found = Kept([], 0, more=False)
        if self.wanted:
            with self._guarded(), self._connected() as file:
                total = file.execute(f"SELECT count(*) FROM ended WHERE {where}", values).fetchone()[0]  # noqa: S608 - constants
                if query.before is not None:
                    where, values = f"{where} AND number < ?", [*values, query.before]
                rows = file.execute(
                    f"SELECT number, {_COLUMNS} FROM ended WHERE {where} ORDER BY number DESC LIMIT ?",  # noqa: S608 - constants
                    [*values, query.limit + 1],
                ).fetchall()
                found = Kept([(row[0], _ended(row[1:])) for row in rows[: query.limit]], total, len(rows) > query.limit)
        return found

    def recent(self, since: float) -> dict[TaskKey, tuple[dict[str, int], int]]:
        """By task, how many bad endings of each kind are kept since a moment (Unix seconds), and the last of all."""
        found: dict[TaskKey, tuple[dict[str, int], int]] = {}
        if self.wanted:
            with self._guarded(), self._connected() as file:
                rows = file.execute(
                    "SELECT service, task, kind, ending, sum(ended >= ?), max(ended) FROM ended"
                    " GROUP BY service, task, kind, ending",
                    (int(since * 1e9),),
                )
                for service, task, kind, ending, n, last in rows.fetchall():
                    key = TaskKey(service, task, kind)
                    counts, newest = found.get(key, ({}, 0))
                    found[key] = {**counts, **({ending: n} if n else {})}, max(newest, last)
        return found

    def counts(self) -> HistoryCounts:
        """Where it stands."""
        kept = since = missed = 0
        if self.wanted:
            with self._guarded(), self._connected() as file:
                kept, since = file.execute("SELECT count(*), coalesce(min(ended), 0) FROM ended").fetchone()
                row = file.execute("SELECT n FROM counted WHERE name = 'missed'").fetchone()
                missed = row[0] if row else 0
        return HistoryCounts(kept, since, missed, self._problem)

    # -- the file

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """What goes wrong is said once and costs the history, nothing else; a file that is no database is set aside."""
        try:
            yield
            self._problem = ""
        except (sqlite3.Error, OSError) as error:
            if type(error) is sqlite3.DatabaseError:
                self._set_aside()
            if not self._problem:
                _LOGGER.warning("bad endings cannot be kept one by one in %s: %s", self._path, error)
            self._problem = str(error)

    def _set_aside(self) -> None:
        """Keep what is no database under another name, for a person to look at."""
        with contextlib.suppress(OSError):
            self._path.rename(self._path.with_name(f"{FILE_NAME}.corrupt-{int(time.time())}"))

    @contextlib.contextmanager
    def _connected(self, *, create: bool = False) -> Iterator[Connection]:
        self._check(create=create)
        file = connect(self._path, "rw")
        try:
            # Not the write-ahead log: its index is shared memory, which a full disk turns into a fatal signal.
            file.execute("PRAGMA journal_mode = TRUNCATE")
            file.execute("PRAGMA synchronous = OFF")
            prepare(file)
            yield file
        finally:
            file.close()

    def _check(self, *, create: bool) -> None:
        """SQLite opens whatever a name leads to: only a plain file of our own, closed to others."""
        if create:
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK, 0o600))
        found = self._path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise OSError(f"{self._path} is no plain file")


def connect(path: Path, mode: str) -> Connection:
    """Open a file that is there, to read (``ro``) or to write as well (``rw``)."""
    return sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, timeout=_PATIENCE, isolation_level=None)


def prepare(file: Connection) -> None:
    """Make the tables of a new one.

    Raises:
        OSError: it was written by a release that makes others.
    """
    written_by = file.execute("PRAGMA user_version").fetchone()[0]
    if written_by == 0:
        file.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_FORMAT}; COMMIT;")
    elif written_by != _FORMAT:
        raise OSError(f"it has format {written_by}, this is format {_FORMAT}: written by another afterword")


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
    uuid, sequence, service, task, kind, *rest = row
    return Ended(uuid, sequence, TaskKey(service, task, kind), *rest)
