"""Whether applications can keep ledgers in the directory, and for how long they stay there."""

import contextlib
import os
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from afterword.doctor.finding import Finding, counted, note, ok, problem, warning
from afterword.doctor.processes import user
from afterword.doctor.scene import Scene
from afterword.settings import PREFIX, read_file

#: What a container has as /dev/shm unless it is given more, in bytes.
_CONTAINER_SHM: Final = 64 * 1024 * 1024
#: Processes that begin at once while as many still stop: a rolling restart.
_RESTART: Final = 2
_LEAST_PROCESSES: Final = 4
_FIRST_USER: Final = 1000
_TMPFS: Final = "mount a tmpfs and name a directory in it: AFTERWORD_DIR=/dev/shm/afterword"


def place(scene: Scene) -> Iterator[Finding]:
    """The directory exists, and is a directory and no link."""
    path, named = scene.directory, _named_by(scene)
    try:
        found = path.lstat()
    except FileNotFoundError:
        parent = _existing(path.parent)
        if not os.access(parent, os.W_OK | os.X_OK, effective_ids=True):
            yield problem(
                f"{path} does not exist, and {user(os.geteuid())} cannot make it in {parent}",
                f"sudo install -d -m 0700 -o {os.geteuid()} {_quoted(path)}",
            )
        elif named:
            yield problem(
                f"{path}, which {named} names, does not exist: no application and no sidecar has begun there",
                "start them as this user and with this AFTERWORD_DIR, or look elsewhere with --dir",
            )
        else:
            yield note(
                f"{path} does not exist yet: whoever begins first makes it, application or sidecar",
                "start the application as this user, or look elsewhere with --dir",
            )
        return
    except OSError as error:
        yield problem(f"{path} cannot be looked at: {error.strerror}", "run doctor as the application's user")
        return
    if stat.S_ISLNK(found.st_mode):
        target = path.readlink()
        yield problem(
            f"{path} is a link to {target}, and applications refuse links",
            f"set AFTERWORD_DIR to the directory itself: {target}",
        )
    elif not stat.S_ISDIR(found.st_mode):
        yield problem(f"{path} is no directory", f"mv {_quoted(path)} {_quoted(path)}.old")
    else:
        yield ok(f"{path} is a directory")


def owner(scene: Scene) -> Iterator[Finding]:
    """It belongs to the user of application and sidecar."""
    found = _stat(scene.directory)
    if found is None:
        return
    uid, me = found.st_uid, os.geteuid()
    if uid == me:
        yield ok(f"it belongs to {user(me)}, who runs this")
    elif me == 0:
        yield note(
            f"it belongs to {user(uid)}; this runs as root, to whom nothing is forbidden",
            f"sudo -u '#{uid}' afterword doctor",
        )
    elif uid == 0:
        yield note("it belongs to root, which is allowed")
    else:
        yield problem(
            f"it belongs to {user(uid)}, not to {user(me)}: a process of {user(me)} keeps no ledger in it",
            f"run all of them as one user (sudo -u '#{uid}' ...), or give each its own AFTERWORD_DIR",
        )


def mode(scene: Scene) -> Iterator[Finding]:
    """It is closed to everybody else: mode 0700."""
    found = _stat(scene.directory)
    if found is None:
        return
    bits = stat.S_IMODE(found.st_mode)
    line = f"chmod 0700 {_quoted(scene.directory)}"
    if bits & (stat.S_IWGRP | stat.S_IWOTH):
        yield problem(f"its mode is {bits:04o}: others may write to it, so applications refuse it", line)
    elif bits & stat.S_IRWXU != stat.S_IRWXU:
        yield problem(f"its mode is {bits:04o}: its own user may not do everything in it", line)
    elif bits & (stat.S_IRWXG | stat.S_IRWXO):
        yield note(f"its mode is {bits:04o}: others can list it, though not read what is in it", line)
    else:
        yield ok(f"its mode is {bits:04o}")


def writable(scene: Scene) -> Iterator[Finding]:
    """The user who runs this may write to it, and it is not mounted read-only."""
    if _stat(scene.directory) is None:
        return
    me = user(os.geteuid())
    if os.statvfs(scene.directory).f_flag & os.ST_RDONLY:
        yield problem(
            "it is mounted read-only: no process can keep a ledger in it",
            "mount it read-write, or set AFTERWORD_DIR to a tmpfs",
        )
    elif not os.access(scene.directory, os.W_OK | os.X_OK, effective_ids=True):
        yield problem(f"{me} may not write to it", "run doctor as the application's user, or change the owner")
    else:
        yield ok(f"{me} may write to it")


def filesystem(scene: Scene) -> Iterator[Finding]:
    """It is on a file system where a full disk cannot kill the application; no ledger in it is sparse."""
    from afterword.ledger.file import SAFE_FILESYSTEMS
    from afterword.ledger.file import filesystem as kind_of

    kind = kind_of(_existing(scene.directory))
    if kind is None:
        yield note("the kind of its file system is not known here", "a tmpfs is best")
    elif kind == "overlay":
        yield note("it is on overlay: it goes with the container, and the counters with it", _TMPFS)
    elif kind in SAFE_FILESYSTEMS:
        yield ok(f"it is on {kind}")
    else:
        remote = kind.startswith(("nfs", "cifs", "smb", "fuse", "9p", "ceph", "gluster"))
        why = (
            "locks and mappings of other machines tell nothing" if remote else "a full disk could kill the application"
        )
        yield problem(f"it is on {kind}, where {why}: applications refuse it", _TMPFS)
    sparse = [one.name for one in scene.contents.living if one.sparse]
    if sparse:
        yield warning(
            f"{counted(len(sparse), 'ledger')} of living processes not fully allocated ({sparse[0]}): "
            "a full disk would end those processes by SIGBUS",
            "restart them in a directory on a tmpfs, ext4 or xfs; copy no ledgers",
        )


def space(scene: Scene) -> Iterator[Finding]:
    """There is room for the ledgers of more processes, in bytes and in file entries (inodes)."""
    found, size = os.statvfs(_existing(scene.directory)), _ledger_size(scene)
    free, wanted = found.f_bavail * found.f_frsize, max(_LEAST_PROCESSES, len(scene.contents.living))
    room = max(0, free // size - 1)  # a process wants twice what it takes
    what = f"{counted(room, 'more ledger')} of {size // 1024} KiB"
    do = f"make the file system larger ({wanted} ledgers are {wanted * size >> 10} KiB), or lower AFTERWORD_SLOTS"
    if not room:
        yield problem(f"no room for one more ledger: {free // 1024} KiB free, {2 * size // 1024} needed", do)
    elif room < wanted:
        yield warning(f"room for only {what}: a restart of all processes may find none", do)
    else:
        yield ok(f"room for {what}")
    if found.f_files and found.f_favail < wanted:
        level = warning if found.f_favail else problem
        yield level(
            f"{found.f_favail} file entries (inodes) left of {found.f_files}",
            "remove files, or mount it with more (-o nr_inodes=)",
        )


def shm(scene: Scene) -> Iterator[Finding]:
    """The shared memory, /dev/shm, of which a container has 64 MiB by default, is large enough for a restart."""
    base = Path("/dev/shm")  # noqa: S108 - it is looked at
    if not base.is_dir():
        yield note("there is no /dev/shm here: ledgers lie in the temporary directory, on a disk perhaps", _TMPFS)
        return
    found = os.statvfs(base)
    total, size, living = found.f_blocks * found.f_frsize, _ledger_size(scene), len(scene.contents.living)
    fits = f"{base} has {total >> 20} MiB, for at most {counted(total // size, 'ledger')} of {size // 1024} KiB"
    if not scene.directory.is_relative_to(base):
        yield ok(f"{base} is not used")
    elif total // size < _RESTART * max(living, _LEAST_PROCESSES):
        yield warning(
            f"{fits}; with {counted(living, 'process', 'processes')} a restart needs twice as many",
            "docker run --shm-size=256m (compose: shm_size), or a tmpfs volume of its own",
        )
    elif total <= _CONTAINER_SHM:
        yield note(
            f"{fits}: the default of a container, shared with whatever else uses it",
            "docker run --shm-size=256m (compose: shm_size) when workers are many",
        )
    else:
        yield ok(fits)


def lasting(scene: Scene) -> Iterator[Finding]:
    """It stays when a service stops, a user logs out, or old files are cleaned up."""
    path, uid = scene.directory, os.geteuid()
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    systemd = Path("/run/systemd/system").is_dir()
    if runtime and path.is_relative_to(runtime):
        yield warning(f"it is below {runtime}, which is removed when the user logs out", "set AFTERWORD_DIR elsewhere")
    elif systemd and path.is_relative_to("/dev/shm") and uid >= _FIRST_USER:  # noqa: S108 - it is looked at
        yield note(
            "systemd removes what a user who is no system user has in /dev/shm when that user logs out",
            "loginctl enable-linger, RemoveIPC=no in logind.conf, or a system user",
        )
    elif systemd and path.is_relative_to("/tmp"):  # noqa: S108 - it is looked at
        yield note(
            "systemd cleans /tmp of old files, and PrivateTmp= hides it from other units",
            "AFTERWORD_DIR=/run/shop/afterword with RuntimeDirectory=shop (docs/deployment.md)",
        )
    else:
        yield ok("nothing here is known to remove it while the machine runs")


def elsewhere(scene: Scene) -> Iterator[Finding]:
    """No ledgers lie in the default directory of another user."""
    from afterword.settings import default_directory

    mine, busy = default_directory(), []
    for other in sorted({mine, *mine.parent.glob("afterword-*")} - {scene.directory}):
        try:
            n = sum(1 for one in other.iterdir() if one.suffix == ".ledger")
            uid = other.stat().st_uid
        except OSError:
            continue
        if n and (other == mine or other.name == f"afterword-{uid}"):
            busy.append((other, n, uid))
    level = note if scene.contents.living else warning
    for other, n, uid in busy:
        yield level(
            f"{counted(n, 'ledger')} in {other}, of {user(uid)}: an application keeps its books there",
            f"if it is yours: afterword doctor --dir {_quoted(other)}, as that user",
        )
    if not busy:
        yield ok("no other default directory has ledgers")


def _named_by(scene: Scene) -> str:
    """Where somebody named the directory; empty where it is the default."""
    file, where = read_file(scene.environment, lambda _: None)
    variable = f"{PREFIX}DIR"
    given = (
        ("--dir", scene.keywords.get("dir")),
        (variable, scene.environment.get(variable)),
        (where, file.get("dir")),
    )
    return next((source for source, value in given if value), "")


def _stat(path: Path) -> os.stat_result | None:
    """Of a directory that is there; `place` says what is wrong with any other."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found if stat.S_ISDIR(found.st_mode) else None


def _existing(path: Path) -> Path:
    """The directory, or where it would be made; what may not be looked at is not there."""
    for one in (path, *path.parents):
        with contextlib.suppress(OSError):
            one.stat()
            return one
    return Path("/")


def _ledger_size(scene: Scene) -> int:
    from afterword.ledger.layout import sections

    return sections(scene.settings.slots, linked=scene.settings.trace == "link")[1]


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
