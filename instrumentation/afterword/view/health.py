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
#: For so long a worker that died is missed, and a service without a process expected back, in seconds.
_DAY, _RETIRED = 86400.0, 3600.0
#: Of what is equally bad the first of these comes first.
_RANK: Final = {
    alert: place
    for place, alert in enumerate(
        ("AfterwordTaskLost", "AfterwordWorkerEnded", "AfterwordWorkerStalled", "AfterwordTaskDropped",
         "AfterwordTaskOverdue", "AfterwordTaskFailed")
    )
}  # fmt: skip
#: Recent bad endings by task and ending.
Recent = Mapping[TaskKey, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class _State:
    """Something that may be wrong with a task now: how many, the worst that is, what one and several do, its alert."""

    count: Callable[[TaskBooks], int]
    worst: Health
    one: str
    several: str
    alert: str


@dataclass(frozen=True, slots=True)
class _Event:
    """Something that may have happened to runs lately: the worst that is, to one and to several, its alert."""

    worst: Health
    one: str
    several: str
    alert: str


_OF_WORKERS: Final = (
    _State(lambda b: b.ended, "bad", "ended while its process goes on", "ended in {n} processes that go on",
           "AfterwordWorkerEnded"),
    _State(lambda b: b.stalled, "bad", "makes no progress", "makes no progress in {n} processes",
           "AfterwordWorkerStalled"),
)  # fmt: skip
_OF_RUNS: Final = (
    _State(lambda b: b.overdue, "degraded", "is running beyond its deadline", "are running beyond their deadline",
           "AfterwordTaskOverdue"),
    _State(lambda b: b.late, "degraded", "has been waiting to start for too long",
           "have been waiting to start for too long", "AfterwordTaskLate"),
)  # fmt: skip
_EVENTS: Final[Mapping[str, _Event]] = {
    words.LOST: _Event("bad", "was lost", "were lost", "AfterwordTaskLost"),
    words.DROPPED: _Event("bad", "was dropped", "were dropped", "AfterwordTaskDropped"),
    words.FAILED: _Event("degraded", "failed", "failed", "AfterwordTaskFailed"),
    words.SWALLOWED: _Event("degraded", "only logged an error", "only logged an error", "AfterwordTaskSwallowedError"),
    words.CANCELLED: _Event("degraded", "was cancelled", "were cancelled", "AfterwordTaskCancelled"),
}


def worst(found: Iterable[Health]) -> Health:
    """The worst of some; well if there are none."""
    return max(found, key=HEALTH.index, default="ok")


def reasons(scan: Scan, recent: Recent, window: float, history_problem: str = "") -> list[Reason]:
    """All that is wrong, the worst first.

    Args:
        scan: The books.
        recent: What ended badly within the window.
        window: How long that is, in seconds.
        history_problem: Why bad endings cannot be looked up one by one, if they cannot.
    """
    totals = scan.totals
    found = [*_of_the_sidecar(scan, history_problem)]
    for name, service in totals.services.items():
        found += _of_a_service(name, service, scan.at)
    for key, books in totals.tasks.items():
        if key.kind == words.WORKER:
            found += _of_a_worker(key, books, scan.at)
        else:
            found += _of_states(key, books)
        found += _of_events(key, books, recent.get(key, {}), window)
    return sorted(found, key=lambda reason: (-HEALTH.index(reason.health), _RANK.get(reason.alert, len(_RANK))))


def _of_a_worker(key: TaskKey, books: TaskBooks, now: float) -> Iterator[Reason]:
    for state in _OF_WORKERS:
        if n := state.count(books):
            does = state.one if n == 1 else state.several.format(n=n)
            yield _reason(key, books, state.worst, f"worker {key.task} {does}", state.alert)
    is_open = books.running or books.waiting or books.ended
    if not is_open and books.died > books.stopped and now - books.died < _DAY:
        yield _reason(key, books, "bad", f"worker {key.task} died with its process and runs in no other",
                      "AfterwordWorkerEnded")  # fmt: skip


def _of_states(key: TaskKey, books: TaskBooks) -> Iterator[Reason]:
    for state in _OF_RUNS:
        if n := state.count(books):
            yield _reason(key, books, state.worst, _said_of(key, n, state.one, state.several), state.alert)


def _of_events(key: TaskKey, books: TaskBooks, recent: Mapping[str, int], window: float) -> Iterator[Reason]:
    for ending, event in _EVENTS.items():
        dies_with_its_process = key.kind == words.WORKER and ending == words.LOST  # the next one begins another
        if (n := recent.get(ending, 0)) and not dies_with_its_process:
            sentence = f"{_said_of(key, n, event.one, event.several)} in the last {_lasting(window)}"
            yield _reason(key, books, event.worst, sentence, event.alert)


def _said_of(key: TaskKey, n: int, one: str, several: str) -> str:
    return f"1 run of {key.task} {one}" if n == 1 else f"{n:,} runs of {key.task} {several}"


def _lasting(seconds: float) -> str:
    return f"{seconds / 60:g} minutes" if seconds > 60 else f"{seconds:g} s"


def _reason(key: TaskKey, books: TaskBooks, health: Health, sentence: str, alert: str) -> Reason:
    how = health if books.importance == words.MUST_RUN else "degraded"
    return Reason(how, sentence, alert, key.service, key.task, key.kind)


def _of_a_service(name: str, service: ServiceBooks, now: float) -> Iterator[Reason]:
    if not service.processes and now - service.last_seen < _RETIRED:
        yield Reason("degraded", f"no process of {name} lives", "AfterwordServiceGone", name)
    for task, seconds in service.blocked.items():
        whose = f" by {task}" if task else ""
        yield Reason("degraded", f"an event loop of {name} is blocked{whose} for {seconds:.0f} s",
                     "AfterwordEventLoopBlocked", name, task)  # fmt: skip
    if service.pool_waiting:
        sentence = f"{service.pool_waiting} calls of {name} wait for a thread, {service.pool_busy} are busy"
        yield Reason("degraded", sentence, "AfterwordThreadPoolExhausted", name)


def _of_the_sidecar(scan: Scan, history_problem: str) -> Iterator[Reason]:
    listing, alert = scan.listing, "AfterwordLedgerDegraded"
    sees_books = bool(scan.ledgers or scan.totals.services)
    if listing.problem is not None:
        yield Reason("degraded" if sees_books and not listing.unlisted else "blind", listing.problem, alert, "")
    elif not sees_books:
        yield Reason("blind", "no ledger yet: does the application run as the same user with the same AFTERWORD_DIR?",
                     "", "")  # fmt: skip
    if history_problem:
        yield Reason("degraded", f"bad endings cannot be looked up one by one: {history_problem}", alert, "")
    for reason, n in listing.unreadable.items():
        yield Reason("degraded", f"{n} files are no ledgers that can be trusted ({reason})", alert, "")
    if listing.unknown:
        yield Reason("degraded", f"{listing.unknown} ledgers cannot be opened now", alert, "")
    for reason, n in listing.unaccounted.items():
        yield Reason("degraded", f"{n} processes keep no books ({reason})", alert, "")
