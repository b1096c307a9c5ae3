"""Every alert by name: how it is set when nobody says otherwise, and how it may be set.

A ``for`` that lasts as long as what the alert counts, or a threshold that nothing can exceed, makes an alert
that cannot fire: the bounds here refuse both.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from afterword.alerts import links
from afterword.alerts import thresholds as t
from afterword.alerts.clock import duration
from afterword.alerts.rule import Severity

_DAY: Final = 86400.0
_MANY: Final = 1e9
_WINDOW: Final = duration(t.EVENT_WINDOW)


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
    #: The dashboard that shows its subject.
    dashboard: str = links.TASK_UID


def _events(severity: Severity, what: str, dashboard: str = links.TASK_UID, *, of_tasks: bool = True) -> Default:
    """An alert on what happens once, and is counted for a window."""
    threshold = Threshold(0, f"more than this many {what} within {_WINDOW}", whole=True)
    return Default(severity, threshold=threshold, visible=t.EVENT_WINDOW, of_tasks=of_tasks, dashboard=dashboard)


def _state(severity: Severity, for_: float, value: float, meaning: str, low: float) -> Default:
    """An alert on runs that last too long."""
    return Default(severity, for_, Threshold(value, meaning, low))


_WORKERS: Final = Threshold(0, "more than this many of its workers", whole=True)

#: In the order of the rules file.
CATALOGUE: Final[Mapping[str, Default]] = {
    "AfterwordTaskLost": _events("critical", "runs lost", links.LOSSES_UID),
    "AfterwordTaskFailed": _events("warning", "runs failed"),
    "AfterwordTaskSwallowedError": _events("warning", "errors swallowed"),
    "AfterwordTaskCancelled": _events("warning", "runs cancelled"),
    "AfterwordTaskDropped": _events("warning", "runs dropped", links.LOSSES_UID),
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
        dashboard=links.RUNTIME_UID,
    ),
    "AfterwordRouteMissedTask": _events("warning", "responses without the declared task", links.RUNTIME_UID),
    "AfterwordWorkerEnded": Default("critical", t.WORKER_ENDED_FOR, _WORKERS, dashboard=links.WORKERS_UID),
    "AfterwordWorkerStalled": Default("warning", t.STATE_FOR, _WORKERS, dashboard=links.WORKERS_UID),
    "AfterwordEventLoopBlocked": Default(
        "critical",
        threshold=Threshold(t.LOOP_BLOCKED, "a loop that did not turn for more than this many seconds", 1, 3600),
        visible=t.LOOP_BLOCKED_WINDOW,
        dashboard=links.RUNTIME_UID,
    ),
    "AfterwordThreadPoolExhausted": Default(
        "warning",
        t.POOL_EXHAUSTED_FOR,
        Threshold(0, "more than this many calls waiting for a full pool", whole=True),
        of_tasks=False,
        dashboard=links.RUNTIME_UID,
    ),
    "AfterwordShutdownHangs": Default(
        "warning",
        t.STATE_FOR,
        Threshold(t.SHUTDOWN_HANGS, "a stop that takes more than this many seconds", 1),
        of_tasks=False,
        dashboard=links.RUNTIME_UID,
    ),
    "AfterwordServiceGone": Default(
        "critical",
        t.SERVICE_GONE_FOR,
        Threshold(1, "fewer than this many living processes", 1, whole=True),
        of_tasks=False,
        dashboard=links.RUNTIME_UID,
    ),
    "AfterwordProcessDied": _events("warning", "processes dead", links.RUNTIME_UID, of_tasks=False),
    "AfterwordProcessCrashLoop": Default(
        "critical",
        threshold=Threshold(t.CRASH_LOOP_DEATHS, f"this many deaths within {_WINDOW}", t.CRASH_LOOP_TIMES, whole=True),
        visible=t.EVENT_WINDOW,
        of_tasks=False,
        dashboard=links.RUNTIME_UID,
    ),
    "AfterwordErrorBudgetBurn": Default("critical", t.BURN_FAST_FOR),
    "AfterwordErrorBudgetDrain": Default("warning", t.BURN_SLOW_FOR),
    "AfterwordSidecarDown": Default("critical", t.SIDECAR_DOWN_FOR, of_tasks=False, dashboard=links.TELEMETRY_UID),
    "AfterwordLedgerDegraded": Default(
        "warning", t.DEGRADED_FOR, visible=t.EVENT_WINDOW, of_tasks=False, dashboard=links.TELEMETRY_UID
    ),
}
