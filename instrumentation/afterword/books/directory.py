"""What lies in a ledger directory: ledgers, notes of processes without one, and what cannot be trusted."""

import contextlib
import functools
import logging
import os
import re
import resource
import stat
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from afterword.books.carried import REMEMBER_FOLDED
from afterword.ledger.file import NEWBORN_SUFFIX, OFF_SUFFIX, SAFE_FILESYSTEMS, SUFFIX, filesystem
from afterword.ledger.layout import LayoutError, sections
from afterword.ledger.reader import CannotOpenError, LedgerReader, Liveness, liveness_of_file

_LOGGER: Final = logging.getLogger("afterword.sidecar")
#: Ledgers looked at in one scan; more than this many processes on one machine are not believed.
MAX_LEDGERS: Final = 10_000
#: What a process needs free to begin a ledger of the default size, in bytes.
_SPACE_NEEDED: Final = 2 * sections()[1]
_STALE_SECONDS: Final = 60
_REASON: Final = re.compile(r"[a-z_]{1,32}")


@dataclass(slots=True)
class Listing:
    """One look into the directory."""

    ledgers: dict[str, LedgerReader] = field(default_factory=dict)
    unreadable: Counter[str] = field(default_factory=Counter)
    unaccounted: Counter[str] = field(default_factory=Counter)
    unknown: int = 0
    problem: str | None = None
    #: Whether the directory could not even be listed: what is known of it is from before.
    unlisted: bool = False


class LedgerDirectory:
    """Keeps the readers of the ledgers it has found, and what it has told about the rest."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._readers: dict[str, LedgerReader] = {}
        self._told: set[tuple[str, int, str]] = set()
        self._max_readers = _half_of_our_descriptors()
        self._looked = now_on_both_clocks()

    def look(self) -> Listing:
        """List the directory; a bad file costs one counter and one log line, never the rest."""
        listing = Listing(problem=problem_with(self.path))
        entries = self._entries(listing)
        allowed = self._allowed_uids()
        ledgers = [entry for entry in entries if entry.name.endswith(SUFFIX) and not entry.name.startswith(".")]
        listing.unreadable.update({"too_many": len(ledgers) - MAX_LEDGERS} if len(ledgers) > MAX_LEDGERS else {})
        for entry in ledgers[:MAX_LEDGERS]:
            self._ledger(entry, allowed, listing)
        for entry in entries:
            if entry.name.endswith(OFF_SUFFIX):
                self._note(entry.name, listing)
        self._keep_deleted(listing)
        return listing

    def known(self) -> list[LedgerReader]:
        """The ledgers of the last look, without another."""
        return list(self._readers.values())

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
        for entry in self._entries(Listing()):
            if entry.name.endswith((NEWBORN_SUFFIX, OFF_SUFFIX)):
                with contextlib.suppress(OSError):
                    _remove_stale(entry, now)

    def _entries(self, listing: Listing) -> "list[os.DirEntry[str]]":
        try:
            with os.scandir(self.path) as found:
                return sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            listing.problem, listing.unlisted = listing.problem or f"{self.path}: {error.strerror}", True
            return []

    def _ledger(self, entry: "os.DirEntry[str]", allowed: frozenset[int], listing: Listing) -> None:
        name = entry.name
        known = self._readers.get(name.removesuffix(SUFFIX))
        if known is not None and known.inode == entry.inode():
            listing.ledgers[known.header.uuid.hex()] = known
            return
        if known is None and len(self._readers) >= self._max_readers:
            listing.unknown += 1
            return
        try:
            reader = self._open(entry, known, allowed)
        except LayoutError as error:
            self._tell(name, entry.inode(), error, listing)
        except CannotOpenError as error:
            gone = isinstance(error.__cause__, FileNotFoundError)  # folded by another bookkeeper meanwhile
            listing.unknown += not gone
        else:
            uuid = reader.header.uuid.hex()
            self.forget(uuid)
            self._readers[uuid] = listing.ledgers[uuid] = reader

    def _open(self, entry: "os.DirEntry[str]", known: LedgerReader | None, allowed: frozenset[int]) -> LedgerReader:
        """A reader of what is named right, is a plain file, and is not a copy of what we read already."""
        if entry.is_symlink():
            raise LayoutError("link", "it is a symbolic link")
        if not entry.is_file():  # a device is not even opened: that can have effects
            raise LayoutError("not_a_file", "it is not a regular file")
        reader = LedgerReader(self.path / entry.name, allowed)
        problem = None
        if reader.header.uuid.hex() != entry.name.removesuffix(SUFFIX):
            problem = LayoutError("renamed", "its name is not the one it was made with")
        elif known is not None:  # no process writes two files of one name
            problem = LayoutError("copy", "it was put in the place of a ledger that we have read")
        if problem is not None:
            reader.close()
            raise problem
        return reader

    def _keep_deleted(self, listing: Listing) -> None:
        """A ledger removed from under a living process is still open here: it goes on counting.

        One that is deleted *and* dead may have been folded by another bookkeeper. As long as we look
        often, its uuid still stands in the carried totals, and is not counted again; after a pause it
        may be forgotten there, so it must be forgotten here.
        """
        paused = paused_since(self._looked)
        self._looked = now_on_both_clocks()
        for uuid, reader in list(self._readers.items()):
            if uuid in listing.ledgers:
                continue
            if paused and reader.liveness() is Liveness.DEAD:
                self.forget(uuid)
            else:
                listing.ledgers[uuid] = reader

    def _note(self, name: str, listing: Listing) -> None:
        if liveness_of_file(self.path / name) is Liveness.ALIVE:
            reason = name.removesuffix(OFF_SUFFIX).rpartition(".")[2]
            listing.unaccounted[reason if _REASON.fullmatch(reason) else "error"] += 1

    def _allowed_uids(self) -> frozenset[int]:
        try:
            return frozenset({os.geteuid(), self.path.stat().st_uid})
        except OSError:
            return frozenset({os.geteuid()})

    def _tell(self, name: str, inode: int, error: LayoutError, listing: Listing) -> None:
        listing.unreadable[error.reason] += 1
        key = (name, inode, error.reason)
        if key not in self._told and len(self._told) < MAX_LEDGERS:
            self._told.add(key)
            _LOGGER.warning("%r is left aside: %s", name, error)


def _remove_stale(entry: "os.DirEntry[str]", now: float) -> None:
    """Remove a plain file that is old enough to have been locked by its maker, and is not."""
    if entry.is_file(follow_symlinks=False) and now - entry.stat(follow_symlinks=False).st_mtime > _STALE_SECONDS:
        path = Path(entry.path)
        if liveness_of_file(path) is Liveness.DEAD:
            path.unlink(missing_ok=True)


def _half_of_our_descriptors() -> int:
    """The other half is for answering, or for the application this runs in."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_LEDGERS if soft == resource.RLIM_INFINITY else max(1, soft // 2)


def now_on_both_clocks() -> tuple[float, float]:
    """A pause counts on whichever clock saw it, on a suspended machine or one set forward."""
    return time.time(), time.monotonic()


def paused_since(then: tuple[float, float]) -> bool:
    """Whether so much time has passed that a ledger folded meanwhile may no longer be remembered by name."""
    return any(at - began > REMEMBER_FOLDED / 2 for began, at in zip(then, now_on_both_clocks(), strict=True))


def problem_with(path: Path) -> str | None:
    """Why applications of this uid cannot keep ledgers in this directory; None when they can."""
    try:
        return _problem_of_mode(path, path.lstat()) or _problem_of_space(path)
    except OSError as error:
        return f"{path}: {error.strerror}"


def _problem_of_mode(path: Path, found: os.stat_result) -> str | None:
    uid = os.geteuid()
    if not stat.S_ISDIR(found.st_mode):
        return f"{path} is not a directory (a link counts as none)"
    if uid not in (0, found.st_uid) and found.st_uid != 0:
        return f"{path} belongs to uid {found.st_uid}, not to {uid}"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"{path} is writable by others (mode {stat.S_IMODE(found.st_mode):04o}); it must be 0700"
    kind = _filesystem(path, found.st_dev)
    if kind is not None and kind not in SAFE_FILESYSTEMS:
        return f"{path} is on {kind}, where a full disk could kill the application; use a tmpfs or ext4"
    return None


def _problem_of_space(path: Path) -> str | None:
    space = os.statvfs(path)
    if space.f_flag & os.ST_RDONLY:
        return f"{path} is mounted read-only"
    if not os.access(path, os.W_OK | os.X_OK, effective_ids=True):
        return f"{path} is not writable for uid {os.geteuid()}"
    free = space.f_bavail * space.f_frsize
    if free < _SPACE_NEEDED:
        return f"{path} has {free // 1024} KiB left; a ledger needs {_SPACE_NEEDED // 1024} KiB"
    if space.f_files and not space.f_favail:
        return f"{path} has no file entries (inodes) left"
    return None


@functools.lru_cache(maxsize=8)
def _filesystem(path: Path, _device: int) -> str | None:
    """Asked once per device: the table of mounts can be long, and a scrape is often."""
    return filesystem(path)
