"""The books of a service, task and kind, and the law they keep.

scheduled = waiting + started + dropped + lost{phase="waiting"}
started   = running + succeeded + failed + cancelled + lost{phase="running"}
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from operator import add
from typing import NamedTuple

from afterword import words
from afterword.ledger.layout import BUCKETS, EXCEPTIONS_PER_TASK


class TaskKey(NamedTuple):
    """What every series of a task is labelled with, in the contract's order."""

    service: str
    task: str
    kind: str


class RouteKey(NamedTuple):
    """What every series of a route is labelled with, in the contract's order."""

    service: str
    route: str
    method: str


class Exemplar(NamedTuple):
    """A traced run that stands for the others in a bucket or an ending; ids in hex, seconds, Unix seconds."""

    trace: str
    span: str
    value: float
    at: float


#: What an exemplar is of, as keys of `TaskBooks.exemplars`: a bucket of the run time, a failure, a drop, a loss.
OF_BUCKET, OF_FAILED, OF_DROPPED, OF_LOST = "bucket", "failed", "dropped", "lost"


@dataclass(slots=True)
class RouteBooks:
    """One route's successful responses, and by task name how many scheduled it, and missed what was declared."""

    scheduling: int = 0
    without: int = 0
    scheduled: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)

    @property
    def speaks(self) -> bool:
        """Whether it ever scheduled anything, or declares that it should: all other routes are nobody's business."""
        return bool(self.scheduling or self.scheduled or self.missed)

    def add(self, other: "RouteBooks") -> None:
        """Take another ledger's into these."""
        self.scheduling += other.scheduling
        self.without += other.without
        self.scheduled.update(other.scheduled)
        self.missed.update(other.missed)


@dataclass(slots=True)
class TaskBooks:
    """One task's books. Histograms are counts by bucket of the contract's bounds; times in seconds."""

    started: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    finished: dict[str, list[int]] = field(default_factory=lambda: {o: [0] * BUCKETS for o in words.OUTCOMES})
    scheduled: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    lost: Counter[tuple[str, str]] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    cancelled: Counter[str] = field(default_factory=Counter)
    swallowed: int = 0
    wait_seconds: float = 0.0
    run_seconds: float = 0.0
    last_success: float = 0.0
    deadline: float = 0.0
    start_deadline: float = 0.0
    importance: str = words.MUST_RUN
    owner: str = ""
    overdue: int = 0
    late: int = 0
    oldest_waiting: float = 0.0
    oldest_running: float = 0.0
    every: float = 0.0
    #: Of a worker: how many ended and how many stalled in processes that live, and the oldest progress.
    ended: int = 0
    stalled: int = 0
    progress: float = 0.0
    #: When the last one died with its process, and when the last was stopped with it in order (Unix seconds).
    died: float = 0.0
    stopped: float = 0.0
    stuck: list[str] = field(default_factory=list)
    #: By what it is of and which of those (`OF_BUCKET`, "3"), the newest of all processes.
    exemplars: dict[tuple[str, ...], Exemplar] = field(default_factory=dict)

    @property
    def started_total(self) -> int:
        """Runs whose code began."""
        return sum(self.started)

    def lost_in(self, phase: str) -> int:
        """Runs lost in a phase, whatever the reason."""
        return sum(n for (_, lost_phase), n in self.lost.items() if lost_phase == phase) if self.lost else 0

    @property
    def waiting(self) -> int:
        """Runs scheduled and not started; never negative, also while a writer moves between two reads."""
        dropped = self.dropped.total() if self.dropped else 0
        return max(0, self.scheduled - self.started_total - dropped - self.lost_in(words.WAITING))

    @property
    def running(self) -> int:
        """Runs started and not ended."""
        ended = sum(map(sum, self.finished.values()))
        return max(0, self.started_total - ended - self.lost_in(words.RUNNING))

    def add(self, other: "TaskBooks") -> None:
        """Take another ledger's books of the same task into these."""
        self.scheduled += other.scheduled
        self.started = list(map(add, self.started, other.started))
        for outcome, buckets in other.finished.items():
            self.finished[outcome] = list(map(add, self.finished[outcome], buckets))
        if other.dropped:
            self.dropped.update(other.dropped)
        if other.lost:
            self.lost.update(other.lost)
        if other.errors:
            self.errors.update(other.errors)
            _bound(self.errors)
        if other.cancelled:
            self.cancelled.update(other.cancelled)
        self.swallowed += other.swallowed
        self.wait_seconds += other.wait_seconds
        self.run_seconds += other.run_seconds
        self.last_success = max(self.last_success, other.last_success)
        self.overdue += other.overdue
        self.late += other.late
        self.oldest_waiting = _older(self.oldest_waiting, other.oldest_waiting)
        self.oldest_running = _older(self.oldest_running, other.oldest_running)
        self.ended += other.ended
        self.stalled += other.stalled
        self.progress = _older(self.progress, other.progress)
        self.died, self.stopped = max(self.died, other.died), max(self.stopped, other.stopped)
        self.stuck += [place for place in other.stuck if place not in self.stuck]
        self.every = other.every or self.every
        for of, exemplar in other.exemplars.items():
            self.note_exemplar(of, exemplar)
        if other.deadline:
            self.deadline, self.start_deadline = other.deadline, other.start_deadline
            self.importance, self.owner = other.importance, other.owner

    def note_exemplar(self, of: tuple[str, ...], exemplar: Exemplar) -> None:
        """Take the newer of two."""
        known = self.exemplars.get(of)
        if known is None or exemplar.at > known.at:
            self.exemplars[of] = exemplar


@dataclass(slots=True)
class ServiceBooks:
    """What is known of a service beyond its tasks."""

    processes: int = 0
    exits: Counter[str] = field(default_factory=Counter)
    overflow: Counter[str] = field(default_factory=Counter)
    internal_errors: int = 0
    #: The last sign of life of a process that is gone (Unix seconds).
    last_seen: float = 0.0
    #: Of the processes that live: when the first was asked to stop (Unix seconds), the worst loop lag and, by the
    #: task on it, how long a loop has not turned (seconds), the thread pools together.
    stopping: float = 0.0
    lag: float = 0.0
    blocked: dict[str, float] = field(default_factory=dict)
    pool_limit: int = 0
    pool_busy: int = 0
    pool_waiting: int = 0

    def add(self, other: "ServiceBooks") -> None:
        """Take another ledger's into these."""
        self.processes += other.processes
        self.exits.update(other.exits)
        self.overflow.update(other.overflow)
        self.internal_errors += other.internal_errors
        self.last_seen = max(self.last_seen, other.last_seen)
        self.stopping = _older(self.stopping, other.stopping)
        self.lag = max(self.lag, other.lag)
        for task, seconds in other.blocked.items():
            self.blocked[task] = max(seconds, self.blocked.get(task, 0.0))
        self.pool_limit += other.pool_limit
        self.pool_busy += other.pool_busy
        self.pool_waiting += other.pool_waiting


@dataclass(slots=True)
class Totals:
    """Books by task and by service; ledgers and carried totals add up to them."""

    tasks: dict[TaskKey, TaskBooks] = field(default_factory=dict)
    services: dict[str, ServiceBooks] = field(default_factory=dict)
    routes: dict[RouteKey, RouteBooks] = field(default_factory=dict)

    def task(self, key: TaskKey) -> TaskBooks:
        """The books of a task, opened on first demand."""
        books = self.tasks.get(key)
        if books is None:
            books = self.tasks[key] = TaskBooks()
        return books

    def service(self, name: str) -> ServiceBooks:
        """The books of a service, opened on first demand."""
        return self.services.setdefault(name, ServiceBooks())

    def route(self, key: RouteKey) -> RouteBooks:
        """The books of a route, opened on first demand."""
        return self.routes.setdefault(key, RouteBooks())

    def add(self, other: "Totals", admits: Callable[[TaskKey], bool] | None = None) -> None:
        """Take ``other`` in; a task that ``admits`` refuses is booked under ``__other__``."""
        for route, traffic in other.routes.items():
            self.route(route).add(traffic)
        for name, service in other.services.items():
            self.service(name).add(service)
        for key, books in other.tasks.items():
            if admits is not None and not admits(key):
                key = key._replace(task=words.OTHER)  # noqa: PLW2901 - the key it is booked under
            self.task(key).add(books)

    def unbalanced(self) -> Iterator[str]:
        """A sentence for each task whose books break the law."""
        for key, books in self.tasks.items():
            started, dropped, lost = books.started_total, books.dropped.total(), books.lost_in(words.WAITING)
            if books.scheduled != books.waiting + started + dropped + lost:
                yield (
                    f"{key.task}: scheduled {books.scheduled} != waiting {books.waiting} + started {started}"
                    f" + dropped {dropped} + lost waiting {lost}"
                )
            ended = {outcome: sum(buckets) for outcome, buckets in books.finished.items()}
            lost = books.lost_in(words.RUNNING)
            if started != books.running + sum(ended.values()) + lost:
                yield f"{key.task}: started {started} != running {books.running} + ended {ended} + lost running {lost}"


def _bound(errors: Counter[str]) -> None:
    """The least frequent of too many exception classes go under ``__other__``."""
    if len(errors) > EXCEPTIONS_PER_TASK + 1:
        for name, n in errors.most_common()[EXCEPTIONS_PER_TASK:]:
            if name != words.OTHER:
                del errors[name]
                errors[words.OTHER] += n


def _older(a: float, b: float) -> float:
    return min(a, b) if a and b else a or b
