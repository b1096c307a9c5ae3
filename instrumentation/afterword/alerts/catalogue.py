"""Every alert by name: how it is set when nobody says otherwise, and how it may be set.

A ``for`` that lasts as long as what the alert counts, or a threshold that nothing can exceed, makes an alert
that cannot fire: the bounds here refuse both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from afterword.alerts import thresholds as t
from afterword.alerts.rule import Severity

_DAY: Final = 86400.0
_MANY: Final = 1e9


@dataclass(frozen=True, slots=True)
class Threshold:
    """The number an alert compares with."""

    value: float
    #: Completes "fires at".
    meaning: str
    low: float = 0.0
    high: float = _MANY
    whole: bool = False

    @property
    def allowed(self) -> str:
        """What may be chosen, in words."""
        kind = "a whole number" if self.whole else "a number"
        return f"{kind}, {self.low:g} or more" if self.high == _MANY else f"{kind} from {self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class Default:
    """How an alert is set when nobody says otherwise. Durations in seconds."""

    severity: Severity
    for_: float = 0.0
    threshold: Threshold | None = None
    #: What it counts is gone after this long, so a ``for`` has to be shorter.
    visible: float = _DAY
    #: Whether single tasks can be taken out.
    of_tasks: bool = True


def _events(severity: Severity, what: str, *, of_tasks: bool = True) -> Default:
    """An alert on what happens once, and is counted for a window."""
    meaning = f"more than this many {what} within 15 minutes"
    return Default(severity, threshold=Threshold(0, meaning, whole=True), visible=t.EVENT_WINDOW, of_tasks=of_tasks)


def _state(severity: Severity, for_: float, value: float, meaning: str, low: float, **more: bool) -> Default:
    """An alert on what lasts until it is over."""
    return Default(severity, for_, Threshold(value, meaning, low), **more)


_WORKERS: Final = Threshold(0, "more than this many of its workers", whole=True)

#: In the order of the rules file.
CATALOGUE: Final[Mapping[str, Default]] = {
    "AfterwordTaskLost": _events("critical", "runs lost"),
    "AfterwordTaskFailed": _events("warning", "runs failed"),
    "AfterwordTaskSwallowedError": _events("warning", "errors swallowed"),
    "AfterwordTaskCancelled": _events("warning", "runs cancelled"),
    "AfterwordTaskDropped": _events("warning", "runs dropped"),
    "AfterwordTaskOverdue": _state("warning", t.STATE_FOR, 1, "an age beyond this many times the deadline", 0.1),
    "AfterwordTaskLate": _state("warning", t.STATE_FOR, 1, "a wait beyond this many times the start deadline", 0.1),
    "AfterwordTaskSlow": _state("warning", t.SLOW_FOR, t.SLOW_TIMES, "an age beyond this many times the usual", 1),
    "AfterwordTaskMissedSchedule": _state(
        "warning", t.STATE_FOR, t.MISSED_INTERVALS, "no success for this many times the declared interval", 1
    ),
    "AfterwordBacklogGrowing": Default(
        "warning", t.BACKLOG_FOR, Threshold(t.BACKLOG_LEAST, "this many waiting at least, all the time", 1, whole=True)
    ),
    "AfterwordRouteStoppedScheduling": Default(
        "warning",
        t.ROUTE_FOR,
        Threshold(t.ROUTE_SILENT_RESPONSES, "this many responses without the task at least", 1, whole=True),
    ),
    "AfterwordRouteMissedTask": _events("warning", "responses without the declared task"),
    "AfterwordWorkerEnded": Default("critical", t.WORKER_ENDED_FOR, _WORKERS),
    "AfterwordWorkerStalled": Default("warning", t.STATE_FOR, _WORKERS),
    "AfterwordEventLoopBlocked": Default(
        "critical",
        threshold=Threshold(t.LOOP_BLOCKED, "a loop that did not turn for more than this many seconds", 1, 3600),
        visible=t.LOOP_BLOCKED_WINDOW,
    ),
    "AfterwordThreadPoolExhausted": Default(
        "warning",
        t.POOL_EXHAUSTED_FOR,
        Threshold(0, "more than this many calls waiting for a full pool", whole=True),
        of_tasks=False,
    ),
    "AfterwordShutdownHangs": _state(
        "warning", t.STATE_FOR, t.SHUTDOWN_HANGS, "a stop that takes more than this many seconds", 1, of_tasks=False
    ),
    "AfterwordServiceGone": Default(
        "critical",
        t.SERVICE_GONE_FOR,
        Threshold(1, "fewer than this many living processes", 1, whole=True),
        of_tasks=False,
    ),
    "AfterwordProcessDied": _events("warning", "processes dead", of_tasks=False),
    "AfterwordProcessCrashLoop": Default(
        "critical",
        threshold=Threshold(t.CRASH_LOOP_DEATHS, "this many deaths within 15 minutes", t.CRASH_LOOP_TIMES, whole=True),
        visible=t.EVENT_WINDOW,
        of_tasks=False,
    ),
    "AfterwordErrorBudgetBurn": Default("critical", t.BURN_FAST_FOR),
    "AfterwordErrorBudgetDrain": Default("warning", t.BURN_SLOW_FOR),
    "AfterwordSidecarDown": Default("critical", t.SIDECAR_DOWN_FOR, of_tasks=False),
    "AfterwordLedgerDegraded": Default("warning", t.DEGRADED_FOR, visible=t.EVENT_WINDOW, of_tasks=False),
}
