"""Making a ledger file: hidden, locked, preallocated, mapped, headed, then renamed into place."""

import contextlib
import fcntl
import mmap
import os
import stat
import time
import uuid as uuids
from pathlib import Path
from typing import Final

from afterword.ledger import layout

SUFFIX: Final = ".ledger"
NEWBORN_SUFFIX: Final = ".new"
#: An empty, locked file that says: this process runs without a ledger, for the reason in its name.
OFF_SUFFIX: Final = ".off"

#: File systems on which a store into a preallocated, mapped file cannot fail with SIGBUS.
#: btrfs is not among them: it kills the writer of a full disk even then (research, measured).
SAFE_FILESYSTEMS: Final = frozenset({"tmpfs", "ext2", "ext3", "ext4", "xfs", "overlay", "ramfs"})


class LedgerUnavailableError(Exception):
    """No ledger can be kept here; ``reason`` is a short, countable word, the text one sentence."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class LedgerFile:
    """A mapped, locked ledger of this process. ``words`` is the whole file as 64-bit words.

    The lock lives as long as the mapping: nothing else keeps the file open.
    """

    def __init__(self, path: Path, header: layout.Header, mapping: mmap.mmap, inode: int) -> None:
        self.path = path
        self.header = header
        self.inode = inode
        self.mapping = mapping
        self._view = memoryview(mapping)
        self.words = self._view.cast("Q")

    def close(self) -> None:
        """Unmap, and with the last mapping drop the lock: readers now call the process dead."""
        with contextlib.suppress(BufferError):
            self.words.release()
            self._view.release()
            self.mapping.close()

    def still_there(self) -> bool:
        """Whether the path still leads to this file (a cleaner may have removed it)."""
        try:
            return self.path.stat(follow_symlinks=False).st_ino == self.inode
        except OSError:
            return False
        except Exception:  # noqa: BLE001 - tools that refuse system calls on an event loop raise what they like
            return True


def create(
    directory: Path, service: str, version: str, slots: int = layout.DEFAULT_SLOTS, *, linked: bool = False
) -> LedgerFile:
    """Make this process's ledger in ``directory``, which is made when missing; ``linked`` has room for span links.

    Raises:
        LedgerUnavailableError: with a reason and one sentence; nothing is left behind.
    """
    prepare_directory(directory)
    table, size = layout.sections(slots, linked=linked)
    return _materialise(directory, _header_of_this_process(service, version, size, table))


def _materialise(directory: Path, header: layout.Header) -> LedgerFile:
    """A new file for ``header``, locked before it is visible."""
    content = layout.pack_header(header)
    name = header.uuid.hex()
    newborn, final = directory / f".{name}{NEWBORN_SUFFIX}", directory / f"{name}{SUFFIX}"
    try:
        fd = os.open(newborn, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unavailable(directory, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _preallocate(fd, header.file_size)
        mapping = mmap.mmap(fd, header.file_size)
        mapping[: len(content)] = content
        newborn.rename(final)
        return LedgerFile(final, header, mapping, os.fstat(fd).st_ino)
    except (OSError, ValueError) as error:
        with contextlib.suppress(OSError):
            newborn.unlink()
        raise _unavailable(directory, error) from error
    finally:
        os.close(fd)


def prepare_directory(directory: Path) -> None:
    """Make the directory if need be, and refuse one that others could tamper with.

    Raises:
        LedgerUnavailableError: missing, unwritable, a link, someone else's, open to others, or unsafe.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = directory.lstat()
    except OSError as error:
        raise _unavailable(directory, error) from error
    if not stat.S_ISDIR(found.st_mode):
        raise LedgerUnavailableError("not_a_directory", f"{directory} is not a directory (a link counts as none)")
    if found.st_uid not in (os.geteuid(), 0) and os.geteuid() != 0:
        raise LedgerUnavailableError("wrong_owner", f"{directory} belongs to uid {found.st_uid}, not to {os.geteuid()}")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        mode = stat.S_IMODE(found.st_mode)
        raise LedgerUnavailableError(
            "wrong_mode", f"{directory} is writable by others (mode {mode:04o}); it must be 0700"
        )
    kind = filesystem(directory)
    if kind is not None and kind not in SAFE_FILESYSTEMS:
        raise LedgerUnavailableError(
            "filesystem", f"{directory} is on {kind}, where a full disk could kill the application; use a tmpfs or ext4"
        )


def leave_note(directory: Path, reason: str) -> int | None:
    """Tell the sidecar that this process runs without a ledger: an empty file needs no space.

    Returns:
        The descriptor whose lock says that the process lives, or None if not even this was possible.
    """
    path = directory / f"{uuids.uuid4().hex}.{reason}{OFF_SUFFIX}"
    try:
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        return None
    return fd


def filesystem(path: Path) -> str | None:
    """The type of the file system that holds ``path``, as the kernel names it; None if unknown."""
    try:
        device = path.stat().st_dev
        wanted = f"{os.major(device)}:{os.minor(device)}"
        with Path("/proc/self/mountinfo").open(encoding="utf-8", errors="replace") as mounts:
            for line in mounts:
                left, _, right = line.partition(" - ")
                if left.split(" ", 3)[2] == wanted:
                    return right.split(" ", 1)[0]
    except (OSError, IndexError):
        return None
    return None


def boot_id() -> bytes:
    """16 bytes that change with each boot; zeros where the system has none."""
    try:
        return uuids.UUID(Path("/proc/sys/kernel/random/boot_id").read_text().strip()).bytes
    except (OSError, ValueError):
        return bytes(16)


def namespace(kind: str) -> int:
    """The inode of this process's ``pid`` or ``time`` namespace; 0 where there is none."""
    try:
        return Path(f"/proc/self/ns/{kind}").stat().st_ino
    except OSError:
        return 0


def _preallocate(fd: int, size: int) -> None:
    """Claim every block now: a later store into a sparse file would end the process by SIGBUS."""
    available = os.fstatvfs(fd)
    if available.f_bavail * available.f_frsize < 2 * size:
        raise OSError(28, f"less than {2 * size // 1024} KiB free")
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    else:
        os.pwrite(fd, bytes(size), 0)


def _header_of_this_process(service: str, version: str, size: int, table: dict[int, layout.Section]) -> layout.Header:
    return layout.Header(
        uuid=uuids.uuid4().bytes,
        boot_id=boot_id(),
        pid=os.getpid(),
        pid_namespace=namespace("pid"),
        time_namespace=namespace("time"),
        process_started=_process_started(),
        uid=os.geteuid(),
        wall_ns=time.time_ns(),
        monotonic_ns=time.monotonic_ns(),
        service=service,
        version=version,
        file_size=size,
        sections=table,
    )


def _process_started() -> int:
    """Clock ticks after boot at which this process began, from /proc; 0 where there is none."""
    try:
        return int(Path("/proc/self/stat").read_bytes().rsplit(b")", 1)[1].split()[19])
    except (OSError, IndexError, ValueError):
        return 0


def _unavailable(directory: Path, error: Exception) -> LedgerUnavailableError:
    number = getattr(error, "errno", None)
    reason = {1: "denied", 2: "missing", 13: "denied", 17: "not_a_directory", 20: "not_a_directory", 28: "no_space",
              30: "read_only", 24: "no_descriptors", 23: "no_descriptors"}.get(number or 0, "error")  # fmt: skip
    text = getattr(error, "strerror", None) or str(error)
    return LedgerUnavailableError(reason, f"no ledger can be written in {directory}: {text}")
