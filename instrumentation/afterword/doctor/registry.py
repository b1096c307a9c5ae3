"""All checks in the order of the report, and how they are run: one that fails or hangs is a finding of its own.

A check that has nothing to look at, the rules of a Prometheus that is not there, finds nothing.
"""

import inspect
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Final

from afterword.doctor import (
    booking,
    directory,
    given,
    history,
    ledgers,
    prometheus,
    rules,
    selftest,
    sidecar,
    versions,
)
from afterword.doctor.bounded import TookTooLongError, within
from afterword.doctor.finding import Finding, problem
from afterword.doctor.scene import Scene

#: Seconds for one check, which may ask several things; each of them is bounded by itself as well.
_PATIENCE: Final = 20.0


@dataclass(frozen=True, slots=True)
class Check:
    """One claim. ``name`` is ``group.subject``; what it claims is the docstring of ``run``."""

    name: str
    run: Callable[[Scene], Iterable[Finding]]
    #: Whether it reads ledgers, which needs the file locks of POSIX.
    of_ledgers: bool = False
    #: Whether it looks into the directory: where there is none it has nothing to say.
    inside: bool = False
    seconds: float = _PATIENCE

    @property
    def group(self) -> str:
        """The part of the report it stands in."""
        return self.name.partition(".")[0]

    @property
    def claims(self) -> str:
        """What is so on a machine where all is well."""
        return inspect.getdoc(self.run) or ""


CHECKS: Final = (
    Check("directory.place", directory.place, of_ledgers=True),
    Check("directory.owner", directory.owner, of_ledgers=True),
    Check("directory.mode", directory.mode, of_ledgers=True),
    Check("directory.writable", directory.writable, of_ledgers=True),
    Check("directory.filesystem", directory.filesystem, of_ledgers=True, inside=True),
    Check("directory.space", directory.space, of_ledgers=True, inside=True),
    Check("directory.shm", directory.shm, of_ledgers=True),
    Check("directory.lasting", directory.lasting, of_ledgers=True, inside=True),
    Check("directory.elsewhere", directory.elsewhere, of_ledgers=True),
    Check("ledgers.living", ledgers.living, of_ledgers=True),
    Check("ledgers.dead", ledgers.dead, of_ledgers=True, inside=True),
    Check("ledgers.unreadable", ledgers.unreadable, of_ledgers=True, inside=True),
    Check("ledgers.unaccounted", ledgers.unaccounted, of_ledgers=True, inside=True),
    Check("ledgers.versions", ledgers.versions, of_ledgers=True),
    Check("ledgers.leftovers", ledgers.leftovers, of_ledgers=True, inside=True),
    Check("ledgers.carried", ledgers.carried, of_ledgers=True, inside=True),
    Check("ledgers.history", history.history, of_ledgers=True, inside=True),
    Check("ledgers.outbox", ledgers.outbox, of_ledgers=True, inside=True),
    Check("processes.events", booking.events, of_ledgers=True),
    Check("processes.environment", booking.environment, of_ledgers=True),
    Check("processes.elsewhere", booking.elsewhere, of_ledgers=True),
    Check("versions.system", versions.system),
    Check("versions.python", versions.python),
    Check("versions.packages", versions.packages),
    Check("versions.neighbours", versions.neighbours),
    Check("settings.values", given.values),
    Check("settings.wrong", given.wrong),
    Check("settings.disabled", given.disabled),
    Check("settings.time_scale", given.time_scale),
    Check("settings.debugging", given.debugging),
    Check("settings.alerts", given.alerts),
    Check("selftest.booked", selftest.booked, of_ledgers=True, seconds=selftest.SECONDS + _PATIENCE),
    Check("sidecar.answers", sidecar.answers),
    Check("sidecar.ready", sidecar.ready),
    Check("sidecar.version", sidecar.version, of_ledgers=True),
    Check("sidecar.scan", sidecar.scan),
    Check("sidecar.directory", sidecar.directory, of_ledgers=True),
    Check("sidecar.owner", sidecar.owner, of_ledgers=True),
    Check("sidecar.history", sidecar.history),
    Check("prometheus.answers", prometheus.answers),
    Check("prometheus.targets", prometheus.targets),
    Check("prometheus.series", prometheus.series),
    Check("prometheus.loaded", rules.loaded),
    Check("prometheus.current", rules.current),
    Check("prometheus.exemplars", prometheus.exemplars),
    Check("prometheus.alertmanagers", prometheus.alertmanagers),
    Check("prometheus.firing", prometheus.firing),
)


def examine(scene: Scene, checks: Iterable[Check] = CHECKS) -> Iterator[Finding]:
    """Run all checks, one after the other; findings come as they are found."""
    locks = find_spec("fcntl") is not None
    for check in checks:
        if check.of_ledgers and not locks:
            continue  # `versions.system` says so
        for found in _run(check, scene):
            yield replace(found, check=check.name)


def _run(check: Check, scene: Scene) -> list[Finding]:
    """What one check found, up to where it failed."""
    found: list[Finding] = []
    try:
        within(check.seconds, lambda: found.extend(check.run(scene) if _has_subject(check, scene) else ()))
    except TookTooLongError as error:
        return [
            *found,
            problem(f"this check did not come to an end: {error}", "something it asks hangs: a mount, or a server"),
        ]
    except Exception as error:  # noqa: BLE001 - one check that fails does not cost the others
        text = f"{type(error).__name__}: {error}"
        return [*found, problem(f"this check failed ({text})", "please report it with this output")]
    return found


def _has_subject(check: Check, scene: Scene) -> bool:
    """`directory.place` says what is missing."""
    return not check.inside or os.path.isdir(scene.directory)  # noqa: PTH112 - Path's raises where a parent is closed
