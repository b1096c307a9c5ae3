"""The history for somebody who only reads: a copy in memory, with what is not in the file yet."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

from afterword.books.history import History, connect, prepare


class HistoryCopy(History):
    """As `History`, and nothing is ever written to the directory. A copy is as old as its last `refresh`."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.opened = True
        self._turn = threading.RLock()
        self._memory = _empty()

    @property
    def wanted(self) -> bool:
        """Always: a copy disturbs nobody."""
        return True

    def open(self) -> None:
        """Nothing: there is no file to make."""

    def refresh(self) -> None:
        """Copy the file anew, if there is one. Never raises."""
        with self._turn, self._guarded():
            self._memory.close()
            self._memory = _empty()
            self._read.clear()
            with contextlib.suppress(FileNotFoundError), self._file() as file:
                file.backup(self._memory)
            prepare(self._memory)

    def _set_aside(self) -> None:
        """Nothing: whoever keeps it will."""

    @contextlib.contextmanager
    def _file(self) -> Iterator[sqlite3.Connection]:
        self._check(create=False)
        with contextlib.closing(connect(self._path, "ro")) as file:
            yield file

    @contextlib.contextmanager
    def _connected(self, *, create: bool = False) -> Iterator[sqlite3.Connection]:  # noqa: ARG002 - nothing is made
        with self._turn:
            yield self._memory


def _empty() -> sqlite3.Connection:
    made = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    prepare(made)
    return made
