"""What one ledger says at one moment, as plain values."""

from dataclasses import dataclass, field
from typing import NamedTuple

from afterword.ledger import layout
from afterword.ledger.accounts import Declaration


@dataclass(slots=True)
class OpenRuns:
    """The open runs of one task in one phase. ``oldest`` on the owner's monotonic clock, in ns; 0 for none."""

    oldest: int = 0
    over: int = 0


@dataclass(slots=True)
class TaskSnapshot:
    """One task's record and counters as one ledger has them."""

    number: int
    name: str
    kind: str
    declaration: Declaration
    scheduled: int
    started: list[int]
    finished: list[list[int]]
    dropped: list[int]
    run_ns: list[int]
    wait_ns: int
    #: When each outcome last happened.
    last_ended: list[int]
    #: Errors that were logged or recorded and failed no run; runs that the garbage collector ended.
    swallowed: int = 0
    collected: int = 0
    #: By `words.CANCEL_REASONS`.
    cancelled: list[int] = field(default_factory=list)
    waiting: OpenRuns = field(default_factory=OpenRuns)
    running: OpenRuns = field(default_factory=OpenRuns)
    #: Of a worker: the oldest progress, and how many made none for longer than their limit.
    progress: OpenRuns = field(default_factory=OpenRuns)
    #: Where overdue runs are stuck.
    stuck: list[str] = field(default_factory=list)


@dataclass(slots=True)
class RouteSnapshot:
    """One route's successful responses, with and without a task, and by task number: scheduled, missed or None."""

    name: str
    scheduling: int
    without: int
    tasks: dict[int, tuple[int, int | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a process says about itself beyond its tasks; times on its monotonic clock in ns, 0 for none."""

    on_loop: int = 0
    tick: int = 0
    tick_every: int = 0
    lag: int = 0
    pool_limit: int = 0
    pool_busy: int = 0
    pool_waiting: int = 0
    stopping: int = 0


class Exemplar(NamedTuple):
    """The last traced run of a task that fell into a bucket or came to an ending; times in ns, ``at`` monotonic."""

    task: int
    #: A bucket's number, `layout.EXEMPLAR_FAILED`, or `layout.EXEMPLAR_DROPPED` plus the reason.
    of: int
    trace: int
    span: int
    took: int
    at: int


@dataclass(slots=True)
class Snapshot:
    """One ledger at one moment."""

    header: layout.Header
    state: int
    tasks: dict[int, TaskSnapshot]
    exceptions: list[tuple[int, str, int]]
    bounds_hit: tuple[int, ...]
    internal_errors: int
    #: Its process has begun another ledger, because this one's file was removed.
    continued: bool
    repaired: int = 0
    runtime: Runtime = Runtime()
    routes: list[RouteSnapshot] = field(default_factory=list)
    exemplars: list[Exemplar] = field(default_factory=list)

    def route_name(self, number: int) -> str:
        """``METHOD template`` of a route by its number plus one; an empty text for none."""
        return self.routes[number - 1].name if 0 < number <= len(self.routes) else ""
