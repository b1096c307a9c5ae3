"""What lies in a ledger directory, read as the sidecar reads it and with the names of the files. Nothing is changed."""

import os
import stat
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from afterword.books import outbox
from afterword.books.directory import MAX_LEDGERS
from afterword.ledger.file import NEWBORN_SUFFIX, OFF_SUFFIX, SUFFIX
from afterword.ledger.layout import Header, LayoutError
from afterword.ledger.reader import CannotOpenError, LedgerReader, Liveness, liveness_of_file
from afterword.ledger.snapshot import Snapshot

#: A birth younger than this is not touched: even a look at its lock could cost that process its ledger.
STALE_SECONDS: Final = 60.0
_CORRUPT: Final = ".corrupt-"


@dataclass(frozen=True, slots=True)
class Ledger:
    """One readable ledger. ``sparse``: not all its blocks are claimed."""

    name: str
    header: Header
    snapshot: Snapshot
    sparse: bool

    @property
    def booked(self) -> int:
        """What it has booked so far: runs handed over, and runs that began."""
        return sum(task.scheduled + sum(task.started) for task in self.snapshot.tasks.values())


@dataclass(frozen=True, slots=True)
class Note:
    """A living process that books nothing, and why."""

    name: str
    reason: str
    inode: int


@dataclass(slots=True)
class Contents:
    """One look. Names are those of files; ``problem`` is why nothing could be listed."""

    living: list[Ledger] = field(default_factory=list)
    dead: list[Ledger] = field(default_factory=list)
    #: Name, countable reason, and what is wrong with it.
    unreadable: list[tuple[str, str, str]] = field(default_factory=list)
    #: Neither alive nor dead: name and why it could not be opened.
    unknown: list[tuple[str, str]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
    #: Files of a bookkeeper or a process of another user, with its uid.
    of_others: list[tuple[str, int]] = field(default_factory=list)
    bytes: int = 0
    problem: str | None = None


def look(directory: Path) -> Contents:
    """Read the directory once; one that is not there has no contents."""
    found = Contents()
    try:
        owner = directory.stat().st_uid
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries)
    except FileNotFoundError:
        return found
    except OSError as error:
        found.problem = f"{directory}: {error.strerror}"
        return found
    for name in names[:MAX_LEDGERS]:
        _entry(directory / name, name, owner, found)
    return found


def waiting_dead(directory: Path) -> set[str]:
    """The dead ledgers that lie there now, by name."""
    return {ledger.name for ledger in look(directory).dead}


def spans_waiting(directory: Path) -> list[float]:
    """When each file of spans was put into the outbox, in Unix seconds, the oldest first."""
    box = outbox.Outbox(directory)
    found = []
    for name in box.names():
        try:
            found.append((box.path / name).stat(follow_symlinks=False).st_mtime)
        except OSError:
            continue  # taken meanwhile
    return found


def _entry(path: Path, name: str, owner: int, found: Contents) -> None:
    try:
        status = path.lstat()
    except OSError:
        return  # folded or swept meanwhile
    found.bytes += status.st_blocks * 512
    if status.st_uid != owner and not (owner == 0 and status.st_uid == os.geteuid()):
        found.of_others.append((name, status.st_uid))
    if _CORRUPT in name:
        found.set_aside.append(name)
    elif name.endswith(SUFFIX) and not name.startswith("."):
        _ledger(path, status, owner, found)
    elif name.endswith(OFF_SUFFIX):
        _note(path, status, found)
    elif name.endswith(NEWBORN_SUFFIX) and time.time() - status.st_mtime > STALE_SECONDS:
        found.leftovers.append(name)


def _ledger(path: Path, status: os.stat_result, owner: int, found: Contents) -> None:
    try:
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISLNK(status.st_mode):
            raise LayoutError("not_a_file", "it is not a regular file")  # a device is not even opened
        reader = LedgerReader(path, frozenset({os.geteuid(), owner}))
    except LayoutError as error:
        found.unreadable.append((path.name, error.reason, str(error)))
    except CannotOpenError as error:
        if not isinstance(error.__cause__, FileNotFoundError):
            found.unknown.append((path.name, getattr(error.__cause__, "strerror", None) or str(error)))
    else:
        try:
            _read(reader, status, found)
        finally:
            reader.close()


def _read(reader: LedgerReader, status: os.stat_result, found: Contents) -> None:
    name = reader.path.name
    liveness = reader.liveness()
    try:
        if f"{reader.header.uuid.hex()}{SUFFIX}" != name:
            raise LayoutError("renamed", "its name is not the one it was made with")
        snapshot = reader.snapshot(dead=liveness is Liveness.DEAD)
    except LayoutError as error:
        found.unreadable.append((name, error.reason, str(error)))
    except OSError as error:
        found.unknown.append((name, error.strerror or str(error)))
    else:
        ledger = Ledger(name, reader.header, snapshot, sparse=status.st_blocks * 512 < status.st_size)
        (found.dead if liveness is Liveness.DEAD else found.living).append(ledger)


def _note(path: Path, status: os.stat_result, found: Contents) -> None:
    if not stat.S_ISREG(status.st_mode):
        return
    liveness = liveness_of_file(path)
    if liveness is Liveness.ALIVE:
        reason = path.name.removesuffix(OFF_SUFFIX).rpartition(".")[2]
        found.notes.append(Note(path.name, reason, status.st_ino))
    elif liveness is Liveness.DEAD and time.time() - status.st_mtime > STALE_SECONDS:
        found.leftovers.append(path.name)
