"""Reading this process's own ledger, and those of a private directory, as the books of one test."""

import os
from typing import TYPE_CHECKING, NamedTuple

from afterword.books.directory import LedgerDirectory
from afterword.books.model import TaskBooks, Totals
from afterword.books.one_ledger import clock_of, of_dead, of_living
from afterword.hooks.process import PROCESS
from afterword.ledger import file
from afterword.ledger.reader import LedgerReader, Liveness

if TYPE_CHECKING:
    from pathlib import Path


class Key(NamedTuple):
    """A task as a test knows it: whatever the service is called."""

    task: str
    kind: str


class Ledgers:
    """The ledgers a test is read from.

    Its private directory, with everything in it, and the ledger that the process writes elsewhere if an application was
    instrumented before. Nothing but the process's own is read there: other processes have nothing to do with the test.
    """

    def __init__(self, directory: "Path") -> None:
        self.directory = directory
        self._private = LedgerDirectory(directory)
        self._own: dict[Path, LedgerReader] = {}
        self._boot_id, self._time_namespace = file.boot_id(), file.namespace("time")

    def read(self) -> dict[Key, TaskBooks]:
        """The books of every task, of all services together."""
        self._open_own()
        found: dict[Key, TaskBooks] = {}
        for reader in [*self._private.look().ledgers.values(), *self._own.values()]:
            for key, books in self._totals(reader).tasks.items():
                found.setdefault(Key(key.task, key.kind), TaskBooks()).add(books)
        return found

    def close(self) -> None:
        """Let the files go."""
        for uuid in self._private.look().ledgers:
            self._private.forget(uuid)
        for reader in self._own.values():
            reader.close()
        self._own.clear()

    def _open_own(self) -> None:
        """The process goes on in another ledger when it is instrumented anew; what the first one says stays."""
        path = PROCESS.owner.path if PROCESS.owner is not None else None
        if path is not None and path not in self._own and path.parent != self.directory:
            self._own[path] = LedgerReader(path, frozenset({os.geteuid()}))

    def _totals(self, reader: LedgerReader) -> Totals:
        clock = clock_of(reader.header, self._boot_id, self._time_namespace)
        if reader.liveness() is Liveness.DEAD:
            return of_dead(reader.snapshot(dead=True), clock, self._boot_id)
        return of_living(reader.snapshot(dead=False), clock)
