"""What the system tells about other processes, where it does: all of it from /proc, and empty where there is none."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from afterword.ledger.layout import Header

_PROC: Final = Path("/proc")
_LISTEN: Final = "0A"


def pid_here(header: Header) -> int | None:
    """The pid of a ledger's process as this process sees it; None in another namespace, or if another has it now."""
    from afterword.ledger.file import namespace

    if header.pid_namespace != namespace("pid"):
        return None
    try:
        began = int((_PROC / str(header.pid) / "stat").read_bytes().rsplit(b")", 1)[1].split()[19])
    except (OSError, IndexError, ValueError):
        return None
    return header.pid if began == header.process_started else None


def environment_of(pid: int) -> dict[str, str] | None:
    """What a process was started with; None where that may not be read."""
    try:
        raw = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return None
    pairs = (entry.partition(b"=") for entry in raw.split(b"\0") if entry)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def environments(name: str) -> Iterator[tuple[int, str]]:
    """Pid and value of every process that was started with a variable; without this one and those that began it."""
    mine = set(_ancestors(os.getpid()))
    try:
        pids = sorted(int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal())
    except OSError:
        return
    for pid in pids:
        value = (environment_of(pid) or {}).get(name) if pid not in mine else None
        if value:
            yield pid, value


def _ancestors(pid: int) -> Iterator[int]:
    while pid > 0:
        yield pid
        try:
            pid = int((_PROC / str(pid) / "stat").read_bytes().rsplit(b")", 1)[1].split()[1])
        except (OSError, IndexError, ValueError):
            return


def command_of(pid: int) -> str:
    """A process's command line, short; its name where it has none."""
    try:
        raw = (_PROC / str(pid) / "cmdline").read_bytes() or (_PROC / str(pid) / "comm").read_bytes()
    except OSError:
        return "?"
    words = [os.fsdecode(word) for word in raw.strip(b"\0\n").split(b"\0")]
    return " ".join([Path(words[0]).name, *words[1:]])[:80]


def program_of(pid: int) -> str:
    """What a Python process runs, ``uvicorn`` for instance: the name of its script or module; empty for another one."""
    try:
        interpreter = (_PROC / str(pid) / "exe").readlink().name
        raw = (_PROC / str(pid) / "cmdline").read_bytes()
    except OSError:
        return ""
    if not interpreter.startswith(("python", "pypy")):
        return ""
    first, *words = [os.fsdecode(word) for word in raw.strip(b"\0\n").split(b"\0")]
    if not Path(first).name.startswith(("python", "pypy")):
        return first.partition(":")[0].strip()  # it gave itself a title: "gunicorn: worker [shop:app]"
    return _program(words) or "python"


def _program(words: list[str]) -> str:
    """What the interpreter's arguments name; of code that is given by itself, the module that it takes from first."""
    left = iter(words)
    for word in left:
        if word in ("-W", "-X"):
            next(left, "")
        elif word == "-c":
            return next(left, "").removeprefix("from ").partition(" ")[0].partition(".")[0]
        elif word.startswith("-m"):
            return (word[2:] or next(left, "")).partition(".")[0]
        elif not word.startswith("-"):
            return Path(word).name
    return ""


def lock_holder(inode: int) -> int | None:
    """Who holds the lock of a file, by its inode; None if that is not told."""
    try:
        lines = (_PROC / "locks").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if "FLOCK" in words and "->" not in words and len(words) > 5 and words[5].rpartition(":")[2] == str(inode):
            pid = int(words[4])
            return pid if pid > 0 else None
    return None


def listener(port: int) -> int | None:
    """The uid of whoever listens on a port of this network namespace; None if nobody does."""
    for table in ("tcp", "tcp6"):
        try:
            lines = (_PROC / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            words = line.split()
            if len(words) > 7 and words[3] == _LISTEN and int(words[1].rpartition(":")[2], 16) == port:
                return int(words[7])
    return None


def user(uid: int) -> str:
    """``uid 1000 (shop)``."""
    try:
        import pwd

        return f"uid {uid} ({pwd.getpwuid(uid).pw_name})"
    except (ImportError, KeyError):
        return f"uid {uid}"
