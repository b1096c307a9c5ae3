"""What dead ledgers left behind: one small JSON file, replaced as a whole, so counters never go back.

A ledger is folded by writing a new file that holds its totals *and* its uuid, then unlinking the
ledger. A kill anywhere leaves the sums right: a ledger whose uuid is in the file is not counted
again. The uuids are kept for a while, so that a reader that lists, then reads, then looks here
cannot miss a fold in between.
"""

import contextlib
import json
import math
import os
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from afterword import words
from afterword.books.model import Exemplar, RouteBooks, RouteKey, ServiceBooks, TaskBooks, TaskKey, Totals
from afterword.ledger.layout import BUCKETS

FILE_NAME: Final = "carried.json"
FORMAT: Final = 1
_MAX_SIZE: Final = 64 * 1024 * 1024
#: Seconds a folded uuid is remembered; a scan takes milliseconds.
REMEMBER_FOLDED: Final = 300.0


class CarriedCorruptError(ValueError):
    """The file cannot be understood; it is set aside and everything starts from zero."""


@dataclass(slots=True)
class Carried:
    """Totals of folded ledgers, when each series was born, and which ledgers are in the totals.

    ``born`` maps a series' key to Unix seconds; ``folded`` a ledger's uuid to when it was folded.
    """

    totals: Totals = field(default_factory=Totals)
    born: dict[str, float] = field(default_factory=dict)
    folded: dict[str, float] = field(default_factory=dict)

    def forget_old_folds(self, now: float, keep: Collection[str]) -> None:
        """Drop uuids whose ledgers have long been unlinked; those in ``keep`` still lie there."""
        self.folded = {uuid: at for uuid, at in self.folded.items() if now - at < REMEMBER_FOLDED or uuid in keep}


def load(directory: Path) -> Carried:
    """Read the file; a missing one is an empty one.

    Raises:
        CarriedCorruptError: it is not what `save` writes.
        OSError: it could not be read now.
    """
    try:
        fd = os.open(directory / FILE_NAME, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return Carried()
    with os.fdopen(fd, "rb") as file:
        raw = file.read(_MAX_SIZE)
    try:
        return _from_json(json.loads(raw))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise CarriedCorruptError(str(error)) from error


def save(directory: Path, carried: Carried) -> None:
    """Replace the file in one step.

    Raises:
        OSError: nothing has changed.
    """
    aside = directory / f".{FILE_NAME}.new"
    try:
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(json.dumps(_to_json(carried), separators=(",", ":")).encode())
            file.flush()
            os.fsync(file.fileno())
        aside.rename(directory / FILE_NAME)
    except OSError:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise


def set_aside(directory: Path, now: float) -> None:
    """Keep an unreadable file under another name, for a person to look at."""
    (directory / FILE_NAME).rename(directory / f"{FILE_NAME}.corrupt-{int(now)}")


def _to_json(carried: Carried) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "services": {name: _service_to_json(books) for name, books in carried.totals.services.items()},
        "tasks": [[*key, _task_to_json(books)] for key, books in carried.totals.tasks.items()],
        "routes": [
            [*key, books.scheduling, books.without, books.scheduled, books.missed]
            for key, books in carried.totals.routes.items()
        ],
        "born": carried.born,
        "folded": carried.folded,
    }


def _from_json(data: dict[str, Any]) -> Carried:
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']}")
    totals = Totals()
    for name, service in data["services"].items():
        totals.services[name] = _service_from_json(service)
    for service, task, kind, books in data["tasks"]:
        totals.tasks[TaskKey(service, task, kind)] = _task_from_json(books)
    for service, route, method, scheduling, without, scheduled, missed in data.get("routes", []):
        totals.routes[RouteKey(str(service), str(route), str(method))] = RouteBooks(
            _count(scheduling), _count(without), _counts(scheduled), _counts(missed)
        )
    born = {str(key): _seconds(at) for key, at in data["born"].items()}
    return Carried(totals, born, {str(key): _seconds(at) for key, at in data["folded"].items()})


def _service_to_json(books: ServiceBooks) -> dict[str, Any]:
    return {"exits": books.exits, "overflow": books.overflow, "internal_errors": books.internal_errors,
            "last_seen": books.last_seen}  # fmt: skip


def _service_from_json(data: dict[str, Any]) -> ServiceBooks:
    return ServiceBooks(
        exits=_counts(data["exits"]),
        overflow=_counts(data["overflow"]),
        internal_errors=_count(data["internal_errors"]),
        last_seen=_seconds(data.get("last_seen", 0)),
    )


def _task_to_json(books: TaskBooks) -> dict[str, Any]:
    return {
        "scheduled": books.scheduled,
        "started": books.started,
        "exemplars": [[list(of), *exemplar] for of, exemplar in books.exemplars.items()],
        "finished": books.finished,
        "dropped": books.dropped,
        "lost": [[*key, n] for key, n in books.lost.items()],
        "errors": books.errors,
        "cancelled": books.cancelled,
        "swallowed": books.swallowed,
        "every": books.every,
        "died": books.died,
        "stopped": books.stopped,
        "wait_seconds": books.wait_seconds,
        "run_seconds": books.run_seconds,
        "last_success": books.last_success,
        "deadline": books.deadline,
        "start_deadline": books.start_deadline,
        "importance": books.importance,
        "owner": books.owner,
    }


def _task_from_json(data: dict[str, Any]) -> TaskBooks:
    if data["importance"] not in words.IMPORTANCES:
        raise ValueError(f"importance {data['importance']!r}")
    return TaskBooks(
        scheduled=_count(data["scheduled"]),
        started=_buckets(data["started"]),
        finished={outcome: _buckets(data["finished"][outcome]) for outcome in words.OUTCOMES},
        dropped=_counts(data["dropped"]),
        lost=Counter({(str(reason), str(phase)): _count(n) for reason, phase, n in data["lost"]}),
        errors=_counts(data["errors"]),
        cancelled=_counts(data.get("cancelled", {})),
        swallowed=_count(data.get("swallowed", 0)),
        exemplars={
            tuple(map(str, of)): Exemplar(str(trace), str(span), _seconds(value), _seconds(at))
            for of, trace, span, value, at in data.get("exemplars", [])
        },
        every=_seconds(data.get("every", 0)),
        died=_seconds(data.get("died", 0)),
        stopped=_seconds(data.get("stopped", 0)),
        wait_seconds=_seconds(data["wait_seconds"]),
        run_seconds=_seconds(data["run_seconds"]),
        last_success=_seconds(data["last_success"]),
        deadline=_seconds(data["deadline"]),
        start_deadline=_seconds(data["start_deadline"]),
        importance=data["importance"],
        owner=str(data["owner"]),
    )


def _buckets(data: Any) -> list[int]:
    if not isinstance(data, list) or len(data) != BUCKETS:
        raise ValueError(f"{BUCKETS} buckets expected")
    return [_count(n) for n in data]


def _counts(data: dict[str, Any]) -> Counter[str]:
    return Counter({str(name): _count(n) for name, n in data.items()})


def _seconds(value: Any) -> float:
    number = float(value)
    if not 0 <= number < math.inf:
        raise ValueError(f"{value!r} is no number of seconds")
    return number


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no count")
    return value
