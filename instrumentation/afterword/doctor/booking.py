"""The processes behind the living ledgers: whether they book, and with the settings that this shell has."""

import time
from collections.abc import Iterator, Mapping
from typing import Final

from afterword.doctor.finding import Finding, counted, listed, note, ok, warning
from afterword.doctor.processes import command_of, environment_of, environments, pid_here, program_of
from afterword.doctor.scene import Scene, without_password
from afterword.settings import PREFIX, SETTINGS

#: A process that has booked nothing for this long was perhaps never asked for anything, in seconds.
_SILENT: Final = 60.0
#: What a person's shell need not share with the application; the directory has a check of its own.
_ELSEWHERE: Final = frozenset({"dir", "listen", "metrics_listen", "allowed_hosts", "otlp_endpoint"})
#: Our own commands, which keep no ledger; what runs applications, and is named before other programs; how many are.
_OURS: Final = "afterword"
_SERVERS: Final = frozenset({"uvicorn", "gunicorn", "hypercorn", "granian", "daphne", "fastapi", "multiprocessing"})
_NAMED: Final = 3
_BOUNDS: Final = ("AFTERWORD_SLOTS", "task names", "exception classes", "routes")


def events(scene: Scene) -> Iterator[Finding]:
    """Every living process has booked something, without errors of afterword's own and within its bounds."""
    for ledger in scene.contents.living:
        header = ledger.header
        age = max(0.0, time.time() - header.wall_ns / 1e9)
        who = f"process {header.pid} of {header.service}"
        if ledger.snapshot.internal_errors:
            yield warning(
                f"{who} met {counted(ledger.snapshot.internal_errors, 'error')} of afterword's own, or of how "
                "it is used",
                "look for lines that begin with afterword: on its stderr",
            )
        full = [name for name, hits in zip(_BOUNDS, ledger.snapshot.bounds_hit, strict=True) if hits]
        if full:
            yield warning(
                f"{who} is out of room for {', '.join(full)}: sums stay right, detail is missing",
                "raise AFTERWORD_SLOTS, or use fewer names",
            )
        told = f"{who} has kept its ledger for {_ago(age)}"
        if ledger.snapshot.continued:
            continue
        if ledger.booked:
            yield ok(
                f"{told} and knows {counted(len(ledger.snapshot.tasks), 'task')}: "
                f"{counted(sum(task.scheduled for task in ledger.snapshot.tasks.values()), 'run')} booked"
            )
        elif age > _SILENT:
            yield note(
                f"{told} and has booked nothing yet",
                "make a request that adds a background task; afterword doctor --app shop:app looks at the code",
            )
        else:
            yield ok(f"{told}; nothing has been booked yet")


def environment(scene: Scene) -> Iterator[Finding]:
    """The processes were started with the AFTERWORD_* variables that this shell has, and on the real clock."""
    read = same = 0
    for ledger in scene.contents.living:
        pid = pid_here(ledger.header)
        theirs = environment_of(pid) if pid is not None else None
        if pid is None or theirs is None:
            continue
        read += 1
        different = _different(theirs, scene.environment)
        same += not different
        for name, value, ours in different:
            yield note(
                f"process {pid} ({command_of(pid)}) was started with {name}={value}, here it is {ours}",
                "what is shown here of settings is not what that process runs with",
            )
        if theirs.get(f"{PREFIX}TIME_SCALE", "1") not in ("", "1", "1.0"):
            yield warning(
                f"process {pid} ({command_of(pid)}) runs with AFTERWORD_TIME_SCALE="
                f"{theirs[f'{PREFIX}TIME_SCALE']}: its deadlines are those of a demo",
                "unset AFTERWORD_TIME_SCALE in production",
            )
    unseen = len(scene.contents.living) - read
    if unseen:
        yield note(
            f"the environment of {counted(unseen, 'process', 'processes')} cannot be seen from here",
            "run doctor as the application's user, in its container",
        )
    if same:
        yield ok(f"{counted(same, 'process', 'processes')} started with the AFTERWORD_* variables of this shell")


def elsewhere(scene: Scene) -> Iterator[Finding]:
    """No Python process was started with another AFTERWORD_DIR."""
    others: dict[str, list[tuple[bool, int]]] = {}
    for pid, named in environments(f"{PREFIX}DIR"):
        program = program_of(pid) if named != str(scene.directory) else ""
        if program and program != _OURS:
            others.setdefault(named, []).append((program not in _SERVERS, pid))
    level = note if scene.contents.living else warning
    for named, found in sorted(others.items()):
        told = listed([f"{pid} ({command_of(pid)})" for _, pid in sorted(found)], _NAMED)
        yield level(
            f"{counted(len(found), 'process', 'processes')} started with AFTERWORD_DIR={named}, this looks at "
            f"{scene.directory}: {told}",
            "if that is the application: give the sidecar the same AFTERWORD_DIR, and look there with --dir",
        )
    if not others:
        yield ok("no Python process that can be seen was started with another AFTERWORD_DIR")


def _different(theirs: Mapping[str, str], ours: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """Name, their value and ours, of each variable of the application that differs; no secrets."""
    found = []
    for setting in SETTINGS:
        name = setting.variable
        if setting.name in _ELSEWHERE or setting.secret or theirs.get(name, "") == ours.get(name, ""):
            continue
        shown = [without_password(values.get(name) or "unset") for values in (theirs, ours)]
        found.append((name, shown[0], shown[1]))
    return found


def _ago(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
