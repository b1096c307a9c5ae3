"""What is wrong now, in sentences, and what that makes of the health of a task, a service, and everything.

Workers that must run and are gone, and work that must run and was lost within the window, are bad; what may yet come
right is degraded. With nothing to look at nothing can be said.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from afterword import words
from afterword.books.model import ServiceBooks, TaskBooks, TaskKey
from afterword.books.scan import Scan
from afterword.view.model import HEALTH, Health, Reason

#: Seconds for which lost work keeps a service from being well.
WINDOW: Final = 300.0
#: Recent bad endings by task and ending.
Recent = Mapping[TaskKey, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class _State:
    """Something that may be wrong with a task now: how many, the worst it can be, its sentence and its alert."""

    count: Callable[[TaskKey, TaskBooks], int]
    worst: Health
    sentence: str
    alert: str


_IS_NOW: Final = (
    _State(lambda _, b: b.ended, "bad", "{n} of worker {task} ended while the process goes on", "AfterwordWorkerEnded"),
    _State(lambda _, b: b.stalled, "bad", "{n} of worker {task} made no progress", "AfterwordWorkerStalled"),
    _State(lambda _, b: b.overdue, "degraded", "{n} of {task} running beyond their deadline", "AfterwordTaskOverdue"),
    _State(lambda _, b: b.late, "degraded", "{n} of {task} waiting beyond their start deadline", "AfterwordTaskLate"),
)
#: By ending: the worst it can be, and its alert.
_HAPPENED: Final[Mapping[str, tuple[Health, str]]] = {
    words.LOST: ("bad", "AfterwordTaskLost"),
    words.DROPPED: ("bad", "AfterwordTaskDropped"),
    words.FAILED: ("degraded", "AfterwordTaskFailed"),
    words.SWALLOWED: ("degraded", "AfterwordTaskSwallowedError"),
    words.CANCELLED: ("degraded", "AfterwordTaskCancelled"),
}


def worst(found: Iterable[Health]) -> Health:
    """The worst of some; well if there are none."""
    return max(found, key=HEALTH.index, default="ok")


def reasons(scan: Scan, recent: Recent) -> list[Reason]:
    """All that is wrong, the worst first."""
    totals = scan.totals
    found = [*_of_the_sidecar(scan)]
    for name, service in totals.services.items():
        found += _of_a_service(name, service)
    for key, books in totals.tasks.items():
        stops = bool(totals.services[key.service].stopping) if key.service in totals.services else False
        found += _of_a_task(key, books, recent.get(key, {}), stops=stops)
    return sorted(found, key=lambda reason: -HEALTH.index(reason.health))


def _of_a_task(key: TaskKey, books: TaskBooks, recent: Mapping[str, int], *, stops: bool) -> Iterator[Reason]:
    must_run = books.importance == words.MUST_RUN
    for state in _IS_NOW:
        if n := state.count(key, books):
            yield _reason(key, state.worst, state.sentence.format(n=n, task=key.task), state.alert, must_run=must_run)
    is_open = books.running or books.waiting or books.ended
    is_gone = books.started_total and not is_open and not sum(books.finished[words.SUCCEEDED]) and not stops
    if key.kind == words.WORKER and is_gone:
        yield _reason(key, "bad", f"worker {key.task} runs in no process", "AfterwordWorkerEnded", must_run=must_run)
    for ending, (how_bad, alert) in _HAPPENED.items():
        dies_with_its_process = key.kind == words.WORKER and ending == words.LOST  # the next one begins another
        if (n := recent.get(ending, 0)) and not dies_with_its_process:
            sentence = f"{n} of {key.task} {ending}" + (" an error" if ending == words.SWALLOWED else "")
            yield _reason(key, how_bad, sentence, alert, must_run=must_run)


def _reason(key: TaskKey, health: Health, sentence: str, alert: str, *, must_run: bool) -> Reason:
    return Reason(health if must_run else "degraded", sentence, alert, key.service, key.task)


def _of_a_service(name: str, service: ServiceBooks) -> Iterator[Reason]:
    if not service.processes:
        yield Reason("degraded", f"no process of {name} lives", "AfterwordServiceGone", name)
    for task, seconds in service.blocked.items():
        whose = f" by {task}" if task else ""
        yield Reason("degraded", f"an event loop of {name} is blocked{whose} for {seconds:.0f} s",
                     "AfterwordEventLoopBlocked", name, task)  # fmt: skip
    if service.pool_waiting:
        sentence = f"{service.pool_waiting} calls of {name} wait for a thread, {service.pool_busy} are busy"
        yield Reason("degraded", sentence, "AfterwordThreadPoolExhausted", name)


def _of_the_sidecar(scan: Scan) -> Iterator[Reason]:
    listing, alert = scan.listing, "AfterwordLedgerDegraded"
    if listing.problem is not None:
        yield Reason("blind", listing.problem, alert, "")
    elif not scan.ledgers and not scan.totals.services:
        yield Reason("blind", "no ledger yet: does the application run as the same user with the same AFTERWORD_DIR?",
                     "AfterwordSidecarDown", "")  # fmt: skip
    for reason, n in listing.unreadable.items():
        yield Reason("degraded", f"{n} files are no ledgers that can be trusted ({reason})", alert, "")
    if listing.unknown:
        yield Reason("degraded", f"{listing.unknown} ledgers cannot be opened now", alert, "")
    for reason, n in listing.unaccounted.items():
        yield Reason("degraded", f"{n} processes keep no books ({reason})", alert, "")
