"""The claims of all alerts, by the file promtool reads them from."""

from collections.abc import Mapping, Sequence
from typing import Final

from tests.alert_cases import Case
from tests.claims import budget, endings, open_runs, processes, routes, telemetry, workers
from tests.claims.silence import SILENCE

FILES: Final[Mapping[str, Sequence[Case]]] = {
    "silence.test.yml": SILENCE,
    "AfterwordTaskLost.test.yml": endings.TASK_LOST,
    "AfterwordTaskFailed.test.yml": endings.TASK_FAILED,
    "AfterwordTaskSwallowedError.test.yml": endings.TASK_SWALLOWED,
    "AfterwordTaskCancelled.test.yml": endings.TASK_CANCELLED,
    "AfterwordTaskDropped.test.yml": endings.TASK_DROPPED,
    "AfterwordTaskOverdue.test.yml": open_runs.TASK_OVERDUE,
    "AfterwordTaskLate.test.yml": open_runs.TASK_LATE,
    "AfterwordTaskSlow.test.yml": open_runs.TASK_SLOW,
    "AfterwordTaskMissedSchedule.test.yml": open_runs.MISSED_SCHEDULE,
    "AfterwordBacklogGrowing.test.yml": open_runs.BACKLOG_GROWING,
    "AfterwordRouteStoppedScheduling.test.yml": routes.STOPPED_SCHEDULING,
    "AfterwordRouteMissedTask.test.yml": routes.MISSED_TASK,
    "AfterwordWorkerEnded.test.yml": workers.WORKER_ENDED,
    "AfterwordWorkerStalled.test.yml": workers.WORKER_STALLED,
    "AfterwordEventLoopBlocked.test.yml": processes.LOOP_BLOCKED,
    "AfterwordThreadPoolExhausted.test.yml": processes.POOL_EXHAUSTED,
    "AfterwordShutdownHangs.test.yml": processes.SHUTDOWN_HANGS,
    "AfterwordServiceGone.test.yml": processes.SERVICE_GONE,
    "AfterwordProcessDied.test.yml": processes.PROCESS_DIED,
    "AfterwordProcessCrashLoop.test.yml": processes.CRASH_LOOP,
    "AfterwordErrorBudgetBurn.test.yml": budget.BURN,
    "AfterwordErrorBudgetDrain.test.yml": budget.DRAIN,
    "AfterwordSidecarDown.test.yml": telemetry.SIDECAR_DOWN,
    "AfterwordLedgerDegraded.test.yml": telemetry.LEDGER_DEGRADED,
}

#: Groups with an interval of their own: what they count depends on it. Of the growing backlog none of the windows may
#: begin at a recorded sample: Prometheus 2 counts that in, and 3 does not.
EVERY: Final[Mapping[str, str]] = {
    "AfterwordBacklogGrowing.test.yml": "17s",
    **dict.fromkeys(("AfterwordErrorBudgetBurn.test.yml", "AfterwordErrorBudgetDrain.test.yml"), "1m"),
}
