"""The shapes that page, API and terminal show. Times in Unix seconds, durations in seconds, ids in hex.

0 is never a time here: what has not happened is None. Texts are the user's own names: whoever shows them escapes them.
"""

from dataclasses import dataclass, field
from typing import Final, Literal

#: A service, or everything: well; worth a look; work is lost or a worker is gone; nothing can be said.
HEALTH: Final = ("ok", "degraded", "bad", "blind")
Health = Literal["ok", "degraded", "bad", "blind"]
#: What an open run can be asked for by; the last two are waiting or running for too long.
STATES: Final = ("waiting", "running", "late", "overdue")
State = Literal["waiting", "running", "late", "overdue"]
#: The endings that are kept one by one.
BAD_ENDINGS: Final = ("lost", "dropped", "failed", "cancelled", "swallowed")
Ending = Literal["lost", "dropped", "failed", "cancelled", "swallowed"]


@dataclass(frozen=True, slots=True)
class Reason:
    """One thing that is wrong: in a sentence, with the alert whose runbook says what to do."""

    health: Health
    sentence: str
    alert: str
    service: str
    task: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Books:
    """One task's books, since its ledger directory was made; the law holds in every answer.

    scheduled = waiting + started + dropped + lost_waiting, started = running + succeeded + failed + cancelled +
    lost_running. ``equation`` is these two with the numbers put in. ``swallowed`` are among the succeeded.
    """

    scheduled: int
    waiting: int
    started: int
    running: int
    succeeded: int
    failed: int
    cancelled: int
    dropped: int
    lost_waiting: int
    lost_running: int
    swallowed: int
    overdue: int
    late: int
    dropped_by_reason: dict[str, int]
    lost_by_reason: dict[str, int]
    cancelled_by_reason: dict[str, int]
    errors: dict[str, int]
    balanced: bool
    equation: str


@dataclass(frozen=True, slots=True)
class Task:
    """One task of one service with its books, its limits, its habit, and what it did last."""

    service: str
    task: str
    kind: str
    importance: str
    owner: str
    health: Health
    books: Books
    deadline: float
    start_deadline: float
    every: float | None
    #: The bound that few runs ever exceeded; None while too few have ended.
    usual: float | None
    mean_run: float | None
    mean_wait: float | None
    oldest_waiting: float | None
    oldest_running: float | None
    last_success: float | None
    #: When the last bad ending that is kept happened.
    last_bad: float | None
    #: Bad endings of the last hour, by ending, as far as they are kept.
    recent: dict[str, int]


@dataclass(frozen=True, slots=True)
class Run:
    """One run that waits or runs now."""

    id: str
    service: str
    task: str
    kind: str
    state: State
    #: ``METHOD template``; empty where no route scheduled it.
    route: str
    pid: int
    process: str
    scheduled: float
    started: float | None
    #: Seconds since it was scheduled, or started, and how many of them it may take; None for a worker.
    age: float
    limit: float | None
    trace_id: str
    span_id: str
    #: Where it is stuck, the innermost call last; only of one that is overdue.
    stack: list[str]


@dataclass(frozen=True, slots=True)
class BadEnding:
    """One run that ended badly, as the history keeps it."""

    #: Its place in the history: later is larger. Pages are asked for by it.
    number: int
    id: str
    service: str
    task: str
    kind: str
    ending: Ending
    #: The exception's class, or the reason of the drop, the loss or the cancellation.
    reason: str
    #: Of a lost run what it was at: waiting or running.
    phase: str
    route: str
    pid: int
    process: str
    scheduled: float | None
    started: float | None
    ended: float
    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a run's timeline: what happened, when, and a word on it."""

    what: Literal["scheduled", "started", "due", "now", "ended"]
    at: float
    note: str


@dataclass(frozen=True, slots=True)
class RunDetail:
    """One run, open or ended badly: exactly one of ``run`` and ``ending`` is there."""

    run: Run | None
    ending: BadEnding | None
    timeline: list[Step]
    #: The alert that speaks of runs like this, and its runbook as Markdown.
    alert: str
    runbook: str
    trace_url: str


@dataclass(frozen=True, slots=True)
class Worker:
    """One task that lives as long as its application: whether it is there, and when it last got on."""

    service: str
    task: str
    importance: str
    running: int
    ended: int
    stalled: int
    #: When the one that is longest without progress last made some.
    progress: float | None
    stuck_at: list[str]
    health: Health


@dataclass(frozen=True, slots=True)
class Process:
    """One process that lives and keeps a ledger."""

    process: str
    service: str
    pid: int
    started: float
    state: Literal["running", "stopping"]
    waiting: int
    running: int
    #: How late the event loop's last tick was; how long it has not turned and whose step is on it.
    loop_lag: float
    loop_blocked: float | None
    on_loop: str
    pool_limit: int
    pool_busy: int
    pool_waiting: int
    ledger_bytes: int
    version: str


@dataclass(frozen=True, slots=True)
class Route:
    """One route that ever scheduled work or declares that it should: successful responses with and without it."""

    service: str
    method: str
    route: str
    scheduling: int
    without: int
    scheduled: dict[str, int]
    missed: dict[str, int]


@dataclass(frozen=True, slots=True)
class Service:
    """One service: its health, its processes, and the sums over its tasks."""

    service: str
    health: Health
    reasons: list[Reason]
    processes: int
    exits: dict[str, int]
    tasks: int
    waiting: int
    running: int
    overdue: int
    late: int
    #: Bad endings of the last hour, by ending, as far as they are kept.
    recent: dict[str, int]
    last_bad: float | None


@dataclass(frozen=True, slots=True)
class History:
    """What is kept of bad endings: how many of how many, since when, and how many were never kept one by one."""

    kept: int
    limit: int
    since: float | None
    missed: int
    problem: str


@dataclass(frozen=True, slots=True)
class Sidecar:
    """How well this sidecar sees."""

    version: str
    directory: str
    problem: str
    ledgers: int
    unreadable: dict[str, int]
    unknown: int
    unaccounted: dict[str, int]
    fold_errors: int
    scan_seconds: float
    started: float
    history: History
    spans_waiting: int
    spans_dropped: dict[str, int]


@dataclass(frozen=True, slots=True)
class Status:
    """The first screen: is work being lost? ``verdict`` is the worst health, ``sentence`` says why in one line."""

    at: float
    verdict: Health
    sentence: str
    reasons: list[Reason]
    services: list[Service]
    sidecar: Sidecar


@dataclass(frozen=True, slots=True)
class Probe:
    """A service's health as a probe asks for it: 200 unless it is bad or blind."""

    service: str
    health: Health
    reasons: list[Reason] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Series:
    """The last minutes in equal steps, the newest last: open runs at each moment, and totals that only grow."""

    step: float
    at: list[float]
    waiting: list[int]
    running: list[int]
    scheduled: list[int]
    succeeded: list[int]
    bad: list[int]


@dataclass(frozen=True, slots=True)
class Runbook:
    """What to do about an alert, as Markdown."""

    alert: str
    text: str
