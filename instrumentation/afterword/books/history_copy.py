"""The history for somebody who only reads: a copy in memory, with what is not in the file yet."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from afterword.books.history import Connection, History, connect, prepare
from afterword.books.sqlite import MISSING, sqlite3


class HistoryCopy(History):
    """As `History`, and nothing is ever written to the directory. A copy is as old as its last `refresh`."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.opened = not MISSING
        self._turn = threading.RLock()
        self._memory = _empty() if self.opened else None

    @property
    def wanted(self) -> bool:
        """Wherever there can be one: a copy disturbs nobody."""
        return self.opened

    def open(self) -> None:
        """Nothing: there is no file to make."""

    def refresh(self) -> None:
        """Copy the file anew, if there is one. Never raises."""
        if self._memory is None:
            return
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
    def _file(self) -> Iterator[Connection]:
        self._check(create=False)
        with contextlib.closing(connect(self._path, "ro")) as file:
            yield file

    @contextlib.contextmanager
    def _connected(self, *, create: bool = False) -> Iterator[Connection]:  # noqa: ARG002 - nothing is made
        with self._turn:
            yield self._memory


def _empty() -> Connection:
    made = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    prepare(made)
    return made
