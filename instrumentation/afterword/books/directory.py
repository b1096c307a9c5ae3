"""What lies in a ledger directory: ledgers, notes of processes without one, and what cannot be trusted."""

import logging
import os
import stat
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from afterword.ledger.file import NEWBORN_SUFFIX, OFF_SUFFIX, SUFFIX
from afterword.ledger.layout import LayoutError
from afterword.ledger.reader import CannotOpenError, LedgerReader, Liveness, liveness_of_file

_LOGGER: Final = logging.getLogger("afterword.sidecar")
#: Ledgers looked at in one scan; more than this many processes on one machine are not believed.
MAX_LEDGERS: Final = 10_000
_STALE_NEWBORN_SECONDS: Final = 60


@dataclass(slots=True)
class Listing:
    """One look into the directory."""

    ledgers: dict[str, LedgerReader] = field(default_factory=dict)
    unreadable: Counter[str] = field(default_factory=Counter)
    unaccounted: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    problem: str | None = None


class LedgerDirectory:
    """Keeps the readers of the ledgers it has found, and what it has told about the rest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._readers: dict[str, LedgerReader] = {}
        self._told: set[tuple[str, int, str]] = set()

    def look(self) -> Listing:
        """List the directory; a bad file costs one counter and one log line, never the rest."""
        listing = Listing(problem=problem_with(self.path))
        entries = self._entries(listing)
        for name, entry in entries.items():
            if name.endswith(SUFFIX) and not name.startswith("."):
                self._ledger(name, entry, listing)
            elif name.endswith(OFF_SUFFIX):
                self._note(name, listing)
        self._keep_deleted(listing)
        return listing

    def forget(self, uuid: str) -> None:
        """A ledger that has been folded."""
        reader = self._readers.pop(uuid, None)
        if reader is not None:
            reader.close()

    def set_aside(self, uuid: str, error: LayoutError, listing: Listing) -> None:
        """A file that turned out to be no good when it was read."""
        reader = listing.ledgers.pop(uuid)
        self._tell(reader.path.name, reader.inode, error, listing)
        self.forget(uuid)

    def sweep(self, now: float) -> None:
        """Remove what nobody will come back for: notes of dead processes, births that were killed."""
        for name, entry in self._entries(Listing()).items():
            stale = name.endswith(NEWBORN_SUFFIX) and now - entry.stat(follow_symlinks=False).st_mtime > (
                _STALE_NEWBORN_SECONDS
            )
            if (stale or name.endswith(OFF_SUFFIX)) and liveness_of_file(self.path / name) is Liveness.DEAD:
                (self.path / name).unlink(missing_ok=True)

    def _entries(self, listing: Listing) -> dict[str, "os.DirEntry[str]"]:
        try:
            with os.scandir(self.path) as found:
                return {entry.name: entry for entry in sorted(found, key=lambda entry: entry.name)[:MAX_LEDGERS]}
        except OSError as error:
            listing.problem = listing.problem or f"{self.path}: {error.strerror}"
            return {}

    def _ledger(self, name: str, entry: "os.DirEntry[str]", listing: Listing) -> None:
        known = self._readers.get(name.removesuffix(SUFFIX))
        inode = entry.inode()
        if known is not None and known.inode == inode:
            listing.ledgers[known.header.uuid.hex()] = known
            return
        try:
            reader = LedgerReader(self.path / name, self._allowed_uids())
        except LayoutError as error:
            self._tell(name, inode, error, listing)
            return
        except CannotOpenError:
            listing.unknown += 1
            return
        uuid = reader.header.uuid.hex()
        if uuid != name.removesuffix(SUFFIX):
            reader.close()
            self._tell(name, inode, LayoutError("renamed", "its name is not the one it was made with"), listing)
            return
        self.forget(uuid)
        self._readers[uuid] = listing.ledgers[uuid] = reader

    def _keep_deleted(self, listing: Listing) -> None:
        """A ledger removed from under a living process is still open here: it goes on counting."""
        for uuid, reader in list(self._readers.items()):
            if uuid not in listing.ledgers:
                listing.ledgers[uuid] = reader

    def _note(self, name: str, listing: Listing) -> None:
        if liveness_of_file(self.path / name) is Liveness.ALIVE:
            listing.unaccounted[name.removesuffix(OFF_SUFFIX).rpartition(".")[2]] += 1

    def _allowed_uids(self) -> frozenset[int]:
        owner = os.stat(self.path).st_uid
        return frozenset({os.geteuid(), owner})

    def _tell(self, name: str, inode: int, error: LayoutError, listing: Listing) -> None:
        listing.unreadable[error.reason] += 1
        key = (name, inode, error.reason)
        if key not in self._told:
            if len(self._told) < MAX_LEDGERS:
                self._told.add(key)
            _LOGGER.warning("%r is left aside: %s", name, error)


def problem_with(path: Path) -> str | None:
    """Why applications cannot keep ledgers in this directory; None when they can."""
    try:
        found = path.lstat()
    except OSError as error:
        return f"{path}: {error.strerror}"
    if not stat.S_ISDIR(found.st_mode):
        return f"{path} is not a directory"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"{path} is writable by others (mode {stat.S_IMODE(found.st_mode):04o}); it must be 0700"
    if not os.access(path, os.W_OK | os.X_OK):
        return f"{path} is not writable for uid {os.geteuid()}"
    space = os.statvfs(path)
    if space.f_flag & os.ST_RDONLY:
        return f"{path} is mounted read-only"
    free = space.f_bavail * space.f_frsize
    if free < 1024 * 1024:
        return f"{path} has {free // 1024} KiB left; a ledger needs 1 MiB"
    return None
