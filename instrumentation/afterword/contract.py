"""The metric contract: every name, type, unit, label and help text that leaves afterword.

Hooks, sidecar, dashboards, rules, docs and tests take their names from here and from nowhere else.
All units are base units: seconds, or a plain count. ``service`` is the name the process gave itself.
"""

from dataclasses import dataclass
from typing import Final, Literal

MetricType = Literal["counter", "gauge", "histogram", "info"]

#: Upper bounds of the wait and run histograms, in seconds; a last bucket takes the rest.
#: They are part of the ledger format (docs/ledger-format.md): changing them is a new format.
BUCKET_BOUNDS: Final = (0.01, 0.05, 0.25, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0)

#: A run longer than this is overdue, unless its task declares a deadline. The founding article
#: alerts on a gap that stays for five minutes. Seconds.
DEFAULT_DEADLINE: Final = 300.0
#: A run that waits longer than this to start is late, unless its task declares otherwise. Seconds.
DEFAULT_START_DEADLINE: Final = 60.0


TASK_LABELS: Final = ("service", "task", "kind")
ROUTE_LABELS: Final = ("service", "route", "method")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric family: ``name`` without suffix, as prometheus_client takes it."""

    name: str
    type: MetricType
    labels: tuple[str, ...]
    help: str

    @property
    def sample(self) -> str:
        """The series a query reads: counters end in ``_total``."""
        return f"{self.name}_total" if self.type == "counter" else self.name

    @property
    def created(self) -> str:
        """The series that says since when a counter has existed, in Unix seconds."""
        return f"{self.name}_created"

    @property
    def bucket(self) -> str:
        """The bucket series of a histogram."""
        return f"{self.name}_bucket"

    @property
    def series(self) -> tuple[str, ...]:
        """The name of every series that it may have."""
        if self.type == "counter":
            return self.sample, self.created
        if self.type == "histogram":
            return self.bucket, f"{self.name}_sum", f"{self.name}_count"
        return (self.sample,)


def _task(name: str, type_: MetricType, help_: str, *more: str) -> Metric:
    return Metric(f"afterword_{name}", type_, (*TASK_LABELS, *more), help_)


SCHEDULED = _task("tasks_scheduled", "counter", "Runs handed over (add_task, a task set on a Response).")
STARTED = _task("tasks_started", "counter", "Runs whose code began.")
FINISHED = _task("tasks_finished", "counter", "Runs whose code ended, by outcome.", "outcome")
DROPPED = _task("tasks_dropped", "counter", "Runs that will never start, by reason.", "reason")
LOST = _task(
    "tasks_lost",
    "counter",
    "Runs that were waiting or running when their process ended: no end was recorded.",
    "reason",
    "phase",
)
ERRORS = _task("task_errors", "counter", "Failed runs by exception class (bounded).", "exception")
WAITING_RUNS = _task("tasks_waiting", "gauge", "Runs scheduled and not started, now.")
RUNNING_RUNS = _task("tasks_running", "gauge", "Runs started and not ended, now.")
OVERDUE = _task("tasks_overdue", "gauge", "Runs that have been running longer than their deadline, now.")
LATE = _task("tasks_late", "gauge", "Runs that have been waiting longer than their start deadline, now.")
OLDEST_WAITING = _task(
    "task_oldest_waiting_timestamp_seconds",
    "gauge",
    "When the run that waits longest was scheduled, in Unix seconds; 0 when none waits.",
)
OLDEST_RUNNING = _task(
    "task_oldest_running_timestamp_seconds",
    "gauge",
    "When the run that runs longest was started, in Unix seconds; 0 when none runs.",
)
WAIT = _task("task_wait_seconds", "histogram", "Seconds between scheduled and started.")
RUN = _task("task_run_seconds", "histogram", "Seconds between started and ended, whatever the outcome.")
LAST_SUCCESS = _task(
    "task_last_success_timestamp_seconds", "gauge", "When a run last succeeded, in Unix seconds; 0 for never."
)
DEADLINE = _task("task_deadline_seconds", "gauge", "Running longer than this is overdue.")
START_DEADLINE = _task("task_start_deadline_seconds", "gauge", "Waiting longer than this is late.")
CANCELLED = _task("tasks_cancelled", "counter", "Cancelled runs by who cancelled them.", "reason")
SWALLOWED = _task(
    "tasks_swallowed",
    "counter",
    "Runs that succeeded although an error was logged or recorded in them, or they said no.",
)
USUAL = _task("task_usual_seconds", "gauge", "Few runs ever took longer than this; 0 while too few are known.")
INTERVAL = _task("task_expected_interval_seconds", "gauge", "Declared by every=: how often the task has to succeed.")
STUCK = _task("task_stuck_info", "gauge", "Always 1: where an overdue run is stuck, as file:line in function.", "at")
WORKERS_ENDED = _task("workers_ended", "gauge", "Workers that ended while their process goes on, now.")
WORKERS_STALLED = _task("workers_stalled", "gauge", "Workers without progress for longer than their limit, now.")
WORKER_PROGRESS = _task(
    "worker_progress_timestamp_seconds",
    "gauge",
    "When the worker that is longest without progress last made some, in Unix seconds.",
)
INFO = _task("task_info", "gauge", "Always 1: what the task declares about itself.", "importance", "owner")

PROCESSES = Metric(
    "afterword_processes", "gauge", ("service",), "Living processes that keep a ledger; 0 when all are gone."
)
PROCESS_EXITS = Metric(
    "afterword_process_exits", "counter", ("service", "cause"), "Processes that ended, by how they ended."
)

STOPPING = Metric(
    "afterword_process_stopping_timestamp_seconds",
    "gauge",
    ("service",),
    "When the process that stops longest was asked to, in Unix seconds; 0 when none is stopping.",
)
LOOP_LAG = Metric(
    "afterword_event_loop_lag_seconds", "gauge", ("service",), "How late timers ran in the last second, worst process."
)
LOOP_BLOCKED = Metric(
    "afterword_event_loop_blocked_seconds",
    "gauge",
    ("service", "task"),
    "Since when an event loop has not turned, by the task that is on it; empty if it is none we know.",
)
POOL_LIMIT = Metric("afterword_threadpool_limit", "gauge", ("service",), "Threads the pool for sync code may have.")
POOL_BUSY = Metric("afterword_threadpool_busy", "gauge", ("service",), "Threads of the pool that are taken, now.")
POOL_WAITING = Metric("afterword_threadpool_waiting", "gauge", ("service",), "Calls that wait for a thread, now.")

ROUTE_RESPONSES = Metric(
    "afterword_route_responses",
    "counter",
    (*ROUTE_LABELS, "scheduled"),
    "Successful responses of routes that schedule work, by whether this one did.",
)
ROUTE_SCHEDULED = Metric(
    "afterword_route_scheduled",
    "counter",
    (*ROUTE_LABELS, "task"),
    "Successful responses of a route that scheduled the task.",
)
ROUTE_MISSED = Metric(
    "afterword_route_missed",
    "counter",
    (*ROUTE_LABELS, "task"),
    "Successful responses that did not schedule the task their route declares with expects().",
)

SIDECAR_SCAN = Metric(
    "afterword_sidecar_last_scan_timestamp_seconds", "gauge", (), "When the ledgers were last read, in Unix seconds."
)
SIDECAR_SCAN_DURATION = Metric(
    "afterword_sidecar_scan_duration_seconds", "gauge", (), "How long the last reading of all ledgers took."
)
SIDECAR_LEDGERS = Metric("afterword_sidecar_ledgers", "gauge", (), "Ledger files read in the last scan.")
SIDECAR_UNREADABLE = Metric(
    "afterword_sidecar_unreadable_ledgers", "gauge", ("reason",), "Files left aside because they cannot be trusted."
)
SIDECAR_UNKNOWN = Metric(
    "afterword_sidecar_unknown_ledgers", "gauge", (), "Ledgers that could not be opened: neither alive nor dead."
)
SIDECAR_UNACCOUNTED = Metric(
    "afterword_sidecar_unaccounted_processes",
    "gauge",
    ("reason",),
    "Living processes that run without a ledger, by reason.",
)
SIDECAR_DIRECTORY = Metric(
    "afterword_sidecar_directory_usable", "gauge", (), "1 if applications can keep ledgers in the directory."
)
SIDECAR_FOLD_ERRORS = Metric(
    "afterword_sidecar_fold_errors",
    "counter",
    (),
    "Attempts to fold dead ledgers that failed; they stay and are retried.",
)
SPANS_SENT = Metric(
    "afterword_sidecar_spans_sent", "counter", (), "Spans of lost and overdue runs that the collector has taken."
)
SPANS_DROPPED = Metric(
    "afterword_sidecar_spans_dropped",
    "counter",
    ("reason",),
    "Spans of lost runs given up: nobody took them for an hour, too many waited, or they could not be kept.",
)
SPANS_WAITING = Metric(
    "afterword_sidecar_spans_waiting", "gauge", (), "Dead processes whose spans wait for the collector, now."
)
SIDECAR_BUILD = Metric("afterword_sidecar_build_info", "gauge", ("version", "python"), "Always 1: what is running.")
OVERFLOW = Metric(
    "afterword_ledger_overflow",
    "counter",
    ("service", "bound"),
    "Times a bound was hit (slots, tasks, exceptions); totals stay right, detail is lost.",
)
INTERNAL_ERRORS = Metric(
    "afterword_internal_errors", "counter", ("service",), "Errors inside afterword that the application never saw."
)

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
