"""What lies in the directory: whose books it keeps, what could not be read, what nobody has fetched."""

import contextlib
import os
import shlex
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from afterword import __version__
from afterword.doctor.finding import Finding, counted, listed, note, ok, problem, warning
from afterword.doctor.processes import command_of, lock_holder, user
from afterword.doctor.scene import Scene

#: A sidecar folds a dead ledger within milliseconds; it is given this long, in seconds.
_FOLDED_WITHIN: Final = 1.0
#: Spans that wait for longer than this are not being taken, in seconds.
_SENT_WITHIN: Final = 120.0
_START: Final = "instrument and start the application: afterword.instrument(app), or afterword run -- uvicorn shop:app"
#: What helps, by why a file cannot be used.
_UNREADABLE: Final = {
    "newer": "upgrade this afterword, and the sidecar's: pip install -U afterword",
    "foreign": "move it elsewhere: it is no ledger",
    "link": "remove the link: no ledger of ours has a second name",
    "not_a_file": "move it elsewhere: it is no ledger",
    "wrong_owner": "run the applications that share a directory as one user",
    "renamed": "give it back its name, or move it elsewhere",
}
_KEEP: Final = "keep a copy for a report and move it elsewhere: what it holds is not counted"
#: What helps, by why a process has no ledger.
_UNACCOUNTED: Final = {
    "no_space": "make room (see the space of the directory), then restart the process",
    "denied": "make the directory writable for the process's user, then restart it",
    "read_only": "mount the directory read-write, then restart the process",
    "missing": "make the directory, then restart the process",
    "not_a_directory": "name a directory that is no link, then restart the process",
    "wrong_owner": "run application and sidecar as one user, then restart the process",
    "wrong_mode": "chmod 0700 the directory, then restart the process",
    "filesystem": "use a tmpfs or ext4, then restart the process",
    "no_descriptors": "raise the limit of open files (ulimit -n), then restart the process",
    "internal_errors": "look for 'afterword: internal error' on the process's stderr, report it, restart the process",
}


def living(scene: Scene) -> Iterator[Finding]:
    """Living processes keep ledgers in it."""
    found = scene.contents
    if found.problem is not None:
        yield problem(f"it cannot be listed: {found.problem}", "run doctor as the application's user")
        return
    services = Counter(ledger.header.service for ledger in found.living if not ledger.snapshot.continued)
    if services:
        told = listed([f"{name} ({counted(n, 'process', 'processes')})" for name, n in sorted(services.items())])
        yield ok(f"{counted(sum(services.values()), 'ledger')} of living processes: {told}")
    elif known := _known_services(scene):
        since = f"afterword lost --since 1h{_dir_option(scene)} says what {'it' if len(known) == 1 else 'they'} lost"
        yield warning(
            f"no process lives; the books know {listed(known)}",
            f"start {'it' if len(known) == 1 else 'them'} again ({since})",
        )
    else:
        yield warning("no living process keeps a ledger here", _START)


def _known_services(scene: Scene) -> list[str]:
    """Whose tasks the totals of the dead know, and whose ledgers wait to be added to them."""
    from afterword.books import carried

    found = {ledger.header.service for ledger in scene.contents.dead}
    with contextlib.suppress(OSError, ValueError):  # `ledgers.carried` says what is wrong with it
        found |= {key.service for key in carried.load(scene.directory).totals.tasks}
    return sorted(found)


def _dir_option(scene: Scene) -> str:
    return f" --dir {shlex.quote(str(scene.directory))}" if scene.keywords.get("dir") else ""


def dead(scene: Scene) -> Iterator[Finding]:
    """Somebody folds the ledgers of processes that are gone."""
    before = {ledger.name for ledger in scene.contents.dead}
    if not before:
        yield ok("no ledger of a dead process waits to be folded")
        return
    from afterword.doctor.contents import waiting_dead

    end, left = time.monotonic() + _FOLDED_WITHIN, before
    while left and time.monotonic() < end:
        time.sleep(0.1)
        left = before & waiting_dead(scene.directory)
    if not left:
        yield ok(f"{counted(len(before), 'ledger')} of dead processes, folded while this looked")
    else:
        yield warning(
            f"{counted(len(left), 'ledger')} of dead processes, and nobody folds them: what they lost is not told",
            f"afterword sidecar --dir {scene.directory}",
        )


def unreadable(scene: Scene) -> Iterator[Finding]:
    """Every ledger can be read; each that cannot by its file and the reason."""
    found = scene.contents
    for name, reason, detail in found.unreadable:
        yield warning(f"{name} is left aside ({reason}): {detail}", _UNREADABLE.get(reason, _KEEP))
    for name, why in found.unknown:
        yield warning(
            f"{name} cannot be opened by {user(os.geteuid())}: {why}",
            "run sidecar and doctor as the user of the application",
        )
    if not found.unreadable and not found.unknown:
        yield ok("every ledger can be read")


def unaccounted(scene: Scene) -> Iterator[Finding]:
    """Every process that was instrumented has a ledger; each that has none by its pid and the reason."""
    for left in scene.contents.notes:
        pid = lock_holder(left.inode)
        who = f"process {pid} ({command_of(pid)})" if pid is not None else f"a living process ({left.name})"
        yield problem(
            f"{who} books nothing: {left.reason}",
            _UNACCOUNTED.get(left.reason, "look for a line that begins with afterword: on its stderr"),
        )
    if not scene.contents.notes:
        yield ok("no process says that it books nothing")


def versions(scene: Scene) -> Iterator[Finding]:
    """The ledgers were written by this version of afterword."""
    found = scene.contents
    others = Counter(ledger.header.version for ledger in found.living if ledger.header.version != __version__)
    for version, n in sorted(others.items()):
        yield note(
            f"{counted(n, 'process', 'processes')} with afterword {version}, here is {__version__}: each reads "
            "the other's ledgers",
            "restart the application after an upgrade",
        )
    if not others and found.living:
        yield ok(f"written by afterword {__version__}")


def leftovers(scene: Scene) -> Iterator[Finding]:
    """Nothing is left over that nobody comes back for, or that belongs to another user."""
    found = scene.contents
    if found.leftovers:
        yield note(
            f"{counted(len(found.leftovers), 'leftover')} of processes that died while they began "
            f"({listed(found.leftovers, 2)})",
            "a running sidecar removes them",
        )
    for uid, n in sorted(Counter(uid for _, uid in found.of_others).items()):
        name = next(name for name, whose in found.of_others if whose == uid)
        yield warning(
            f"{counted(n, 'file')} of {user(uid)} ({name}): another user's sidecar was here, and what is its "
            "own cannot be read by others",
            "run sidecar and applications as one user, then chown the files",
        )
    if not found.leftovers and not found.of_others:
        yield ok("nothing is left over")


def carried(scene: Scene) -> Iterator[Finding]:
    """The totals of dead processes are whole, and none was ever set aside."""
    from afterword.books import carried as carried_

    yield from set_aside(
        scene, carried_.FILE_NAME, "a total that could not be understood was set aside", "counters began from zero"
    )
    try:
        found = carried_.load(scene.directory)
    except carried_.CarriedCorruptError as error:
        yield problem(
            f"{carried_.FILE_NAME} cannot be understood ({error}): the next fold sets it aside and counters "
            "begin from zero",
            "restore it from a copy if you have one",
        )
    except OSError as error:
        yield problem(
            f"{carried_.FILE_NAME} cannot be read: {error.strerror}",
            "run sidecar and doctor as the application's user, and chown what is root's",
        )
    else:
        yield ok(f"the totals of the dead are whole: {counted(len(found.totals.tasks), 'task')}")


def outbox(scene: Scene) -> Iterator[Finding]:
    """The spans of lost runs are sent and do not wait."""
    from afterword.books.outbox import MAX_AGE
    from afterword.doctor.contents import spans_waiting

    waiting = spans_waiting(scene.directory)
    age = time.time() - waiting[0] if waiting else 0.0
    if age > _SENT_WITHIN:
        yield warning(
            f"spans of {counted(len(waiting), 'dead process', 'dead processes')} wait to be sent, the oldest for "
            f"{age / 60:.0f} minutes; after {MAX_AGE / 60:.0f} they are given up",
            "see the sidecar's log: is the collector of AFTERWORD_OTLP_ENDPOINT reached?",
        )
    else:
        yield ok(f"spans of {counted(len(waiting), 'dead process', 'dead processes')} wait to be sent")


def set_aside(scene: Scene, file: str, what: str, since: str) -> Iterator[Finding]:
    """Copies of a file that was no good, by when that was found."""
    for name in scene.contents.set_aside:
        if name.startswith(f"{file}."):
            stamp = name.rpartition("-")[2]
            when = f" at {datetime.fromtimestamp(int(stamp[:11]), UTC):%Y-%m-%d %H:%M} UTC" if stamp.isdecimal() else ""
            yield warning(
                f"{name}: {what}{when}, {since}", "keep it for a report; remove it when it is no longer needed"
            )
