"""A process's ledger without an application: for tests of the ledger and of the books."""

import os
from pathlib import Path
from typing import Any, NoReturn

from afterword import settings, words
from afterword.books.model import TaskKey, Totals
from afterword.books.one_ledger import clock_of, of_dead, of_living
from afterword.ledger import file, layout
from afterword.ledger.accounts import Account, Declaration
from afterword.ledger.owner import Owner
from afterword.ledger.reader import LedgerReader
from afterword.ledger.snapshot import Snapshot
from afterword.ledger.transitions import WriteContext

SERVICE = "shop"


def owner(directory: Path, **more: Any) -> Owner:
    """An owner with an open ledger in ``directory``; keywords are settings."""
    made = Owner(settings.load({"dir": str(directory), **more}, _fail, environment={}), "test", SERVICE)
    assert made.open(), made.unavailable
    return made


def account(of: Owner, name: str = "mail", kind: str = words.BACKGROUND) -> Account:
    """An account that declares nothing."""
    return of.account(name, kind, Declaration())


def path_of(one: Owner) -> Path:
    """The file of an open ledger."""
    assert one.path is not None
    return one.path


def context_of(one: Owner) -> WriteContext:
    """What the accounts of an open ledger write to."""
    assert one._ledger is not None
    return one._ledger.context


def close_file(one: Owner) -> None:
    """Unmap an open ledger without a word, as a kill does."""
    assert one._ledger is not None
    one._ledger.file.close()


def end(one: Owner) -> None:
    """Let the process of an open ledger exit cleanly, whatever is open."""
    one.mark(layout.STATE_CLOSED)
    close_file(one)


def reader(path: Path) -> LedgerReader:
    """A reader that trusts our own files."""
    return LedgerReader(path, frozenset({os.geteuid()}))


def snapshot(path: Path, *, dead: bool, now_ns: int = 0) -> Snapshot:
    """One reading of one file."""
    opened = reader(path)
    try:
        return opened.snapshot(dead=dead, now_ns=now_ns)
    finally:
        opened.close()


def totals(path: Path, *, dead: bool, boot_id: bytes | None = None) -> Totals:
    """One file's books, as if its owner lived or was dead; told from the present boot, or from another."""
    read = snapshot(path, dead=dead)
    clock = clock_of(read.header, file.boot_id(), file.namespace("time"))
    return of_dead(read, clock, boot_id or file.boot_id()) if dead else of_living(read, clock)


def key(task: str = "mail", kind: str = words.BACKGROUND) -> TaskKey:
    """The key of one of our tasks."""
    return TaskKey(SERVICE, task, kind)


def run_to_the_end(of: Account) -> None:
    """One run that succeeds."""
    run = of.schedule()
    of.succeed(run, of.start(run))


def _fail(sentence: str) -> NoReturn:
    raise AssertionError(sentence)
