"""The SQLite file of the history: who may have written it, how it is opened, and what happens when it cannot be.

No write-ahead log and no mapping: their shared memory would turn a full disk into a fatal signal.
"""

import contextlib
import logging
import os
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from afterword.books.sqlite import MISSING, sqlite3

#: A connection to SQLite.
Connection = Any
FILE_NAME: Final = "history.sqlite3"
_LOGGER: Final = logging.getLogger("afterword.sidecar")
_FORMAT: Final = 1
#: Seconds to wait for whoever writes it now, and for which nobody tries again after that was in vain.
_PATIENCE, _REST = 0.1, 2.0
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
#: Whatever a file that somebody else has written, or a damaged ledger, can make of a call.
_ERRORS: Final = (*(() if MISSING else (sqlite3.Error,)), OSError, OverflowError, ValueError, TypeError)
_ONE_AT_A_TIME: Final = threading.Lock()


class HistoryFile:
    """The file of one directory. Each use opens it anew: safe for threads, forks and processes."""

    def __init__(self, directory: Path) -> None:
        self._directory, self._path = directory, directory / FILE_NAME
        self._rests_until = float("-inf")
        #: Why it could not be read, or written, the last time that was tried.
        self._problems: dict[str, str] = {"read": "", "write": ""}

    @property
    def problem(self) -> str:
        """What keeps it from being what it should be; an empty text for nothing."""
        return MISSING or self._problems["write"] or self._problems["read"]

    def problem_of(self, what: str) -> str:
        """The same for reading or writing alone."""
        return MISSING or self._problems[what]

    @property
    def there(self) -> bool:
        """Whether somebody has made it."""
        return not MISSING and os.path.lexists(self._path)

    def make(self) -> None:
        """Have one from now on. Never raises."""
        if MISSING:
            return
        with _ONE_AT_A_TIME, self.guarded("write"):
            self._create()
            with self.connected("write"):
                pass

    @contextlib.contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """What goes wrong within is said once and remembered until ``what`` (read, write) goes well again."""
        try:
            yield
            self._problems[what] = ""
        except _ERRORS as error:
            if type(error) is sqlite3.DatabaseError:
                self.set_aside()
            elif not self._is_resting() and isinstance(error, sqlite3.OperationalError):
                self._rests_until = time.monotonic() + _REST
            if not self.problem:
                _LOGGER.warning("bad endings cannot be kept one by one in %s: %s", self._path, error)
            self._problems[what] = str(error) or type(error).__name__

    @contextlib.contextmanager
    def connected(self, what: str) -> Iterator[Connection]:
        """The open file, within one transaction if it is to be written."""
        if self._is_resting():
            raise OSError(self.problem or "it is in use by somebody else")
        self.check()
        with contextlib.closing(connect(self._path, "rw")) as file:
            file.execute("PRAGMA synchronous = OFF")
            prepare(file)
            if what == "read":
                yield file
                return
            file.execute("BEGIN IMMEDIATE")
            with file:
                yield file

    def check(self) -> None:
        """SQLite opens whatever a name leads to: only a plain file of our own, closed to others.

        Raises:
            OSError: it is something else.
        """
        found = self._path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise OSError(f"{self._path} is no plain file")
        if found.st_uid not in (os.geteuid(), self._directory.stat().st_uid) or found.st_mode & 0o022:
            raise OSError(f"{self._path} belongs to uid {found.st_uid} or can be written by others")

    def set_aside(self) -> None:
        """Keep what is no database under another name, for a person to look at."""
        with contextlib.suppress(OSError):
            self._path.rename(self._path.with_name(f"{FILE_NAME}.corrupt-{int(time.time())}"))

    def _is_resting(self) -> bool:
        return time.monotonic() < self._rests_until

    def _create(self) -> None:
        """Only what is not there: to close a descriptor of a file that is in use would drop SQLite's locks on it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self._path, flags, 0o600))


def connect(path: Path, mode: str) -> Connection:
    """Open a file that is there, to read (``ro``) or to write as well (``rw``)."""
    return sqlite3.connect(f"{path.as_uri()}?mode={mode}", uri=True, timeout=_PATIENCE, isolation_level=None)


def prepare(file: Connection) -> None:
    """Make the tables of a new one.

    Raises:
        OSError: it was written by a release that makes others.
    """
    written_by = _version_of(file)
    if written_by == 0:
        file.execute("BEGIN IMMEDIATE")
        with file:
            if _version_of(file) == 0:  # somebody else may have been faster
                for statement in _SCHEMA.split(";"):
                    file.execute(statement)
                file.execute(f"PRAGMA user_version = {_FORMAT}")
    elif written_by != _FORMAT:
        raise OSError(f"it has format {written_by}, this is format {_FORMAT}: written by another afterword")


def _version_of(file: Connection) -> int:
    version: int = file.execute("PRAGMA user_version").fetchone()[0]
    return version
