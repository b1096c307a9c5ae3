"""The history for somebody who only reads: a copy in memory, with what is not in the file yet."""

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from afterword.books.history import History
from afterword.books.history_file import FILE_NAME, Connection, HistoryFile, connect, prepare
from afterword.books.sqlite import MISSING, sqlite3


class HistoryCopy(History):
    """As `History`, and nothing is ever written to the directory. A copy is as old as its last `refresh`."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.opened = not MISSING
        self._file: _Copy = _Copy(directory)

    @property
    def wanted(self) -> bool:
        """Wherever there can be one: a copy disturbs nobody."""
        return self.opened

    def open(self) -> None:
        """Nothing: there is no file to make."""

    def refresh(self) -> None:
        """Copy the file anew, if there is one."""
        self._read.clear()
        self._dead.clear()
        if self.opened:
            self._file.copy()


class _Copy(HistoryFile):
    """A file that is copied before it is read; what was wrong with the original stays so until the next copy."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._turn = threading.RLock()
        self._memory: Connection = None
        self._uncopied = ""

    @property
    def problem(self) -> str:
        """What kept it from being copied."""
        return self._uncopied or super().problem

    def copy(self) -> None:
        """Take a copy of what is there now. Never raises."""
        with self._turn:
            self._memory, self._rests_until = _empty(), float("-inf")
            with self.guarded("copy"), contextlib.suppress(FileNotFoundError):
                self.check()
                self._take(self._path)
            self._uncopied = self._problems.pop("copy", "")

    def set_aside(self) -> None:
        """Nothing: whoever keeps it will."""

    @contextlib.contextmanager
    def connected(self, what: str) -> Iterator[Connection]:  # noqa: ARG002 - both are done in memory
        """The copy."""
        with self._turn:
            if self._memory is None:
                self._memory = _empty()
            yield self._memory

    def _take(self, path: Path) -> None:
        try:
            self._read_from(path)
        except sqlite3.OperationalError:
            journal = path.with_name(f"{FILE_NAME}-journal")
            if not journal.exists() or not journal.stat().st_size:
                raise
            # Whoever wrote it was killed in the middle, and only who may write can take that back: in a copy.
            with tempfile.TemporaryDirectory() as aside:
                for one in (path, journal):
                    shutil.copyfile(one, Path(aside, one.name))
                self._read_from(Path(aside, path.name), "rw")

    def _read_from(self, path: Path, mode: str = "ro") -> None:
        with contextlib.closing(connect(path, mode)) as file:
            # Before the backup, which would wait for a lock for ever: this waits for as long as it is told.
            file.execute("BEGIN")
            file.execute("SELECT count(*) FROM sqlite_master").fetchone()
            file.backup(self._memory)
        prepare(self._memory)


def _empty() -> Connection:
    made = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    prepare(made)
    return made
