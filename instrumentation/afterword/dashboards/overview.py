"""The overview: is anything lost, stuck or failing, since when, and which task is it."""

from typing import Any, Final

from grafana_foundation_sdk.models import dashboard as m

from afterword import contract, words
from afterword.alerts import links, thresholds
from afterword.alerts.clock import duration
from afterword.alerts.site import Site
from afterword.dashboards import parts, queries
from afterword.dashboards.frame import framed
from afterword.dashboards.going import said, to
from afterword.dashboards.layout import Place, Row
from afterword.dashboards.panels import bars, lanes, rates, stack, times, verdict
from afterword.dashboards.parts import Query
from afterword.dashboards.table import Column, rows

UID: Final = links.OVERVIEW_UID

RED, ORANGE, YELLOW, GREEN, BLUE, PURPLE = "red", "orange", "yellow", "green", "blue", "purple"
LIGHT_BLUE, DARK_ORANGE = "super-light-blue", "dark-orange"

#: Colours of the states, in the order of ``queries.STATES``.
STATES: Final = tuple(zip(queries.STATES, (GREEN, ORANGE, PURPLE, YELLOW, DARK_ORANGE, RED), strict=True))
WINDOW: Final = duration(thresholds.EVENT_WINDOW)


def dashboard(_: Site) -> m.Dashboard:
    """The whole dashboard, classic format."""
    return framed(
        "Overview",
        UID,
        "What the services owe after their responses: what is lost, overdue, late or failing, and which task it is.",
        (_verdict(), _status(), _flow(), _errors_and_time(), _worst()),
    )


def _verdict() -> Row:
    known = contract.SCHEDULED
    lost = queries.or_zero(f"sum({queries.happened(contract.LOST)})", known)
    failed = queries.or_zero(f"sum({queries.happened(contract.FINISHED, outcome=words.FAILED)})", known)
    dropped = queries.or_zero(f"sum({queries.happened(contract.DROPPED)})", known)
    panels = (
        verdict(
            "Lost",
            "Runs whose process ended before they did, in the chosen time range. Alert: AfterwordTaskLost.",
            lost,
            bad=parts.CRITICAL,
        ),
        verdict(
            "Overdue",
            "Runs that have been running longer than their task's deadline, now. Alert: AfterwordTaskOverdue.",
            queries.total(contract.OVERDUE),
            bad=parts.WARNING,
        ),
        verdict(
            "Late",
            "Runs that have been waiting longer than their task's start deadline, now. Alert: AfterwordTaskLate.",
            queries.total(contract.LATE),
            bad=parts.WARNING,
        ),
        verdict(
            "Failed",
            "Runs that ended with an exception, in the chosen time range. Alert: AfterwordTaskFailed.",
            failed,
            bad=parts.WARNING,
        ),
        verdict(
            "Dropped",
            "Runs that will never start, in the chosen time range. Alert: AfterwordTaskDropped.",
            dropped,
            bad=parts.WARNING,
        ),
        verdict(
            "Services",
            "Services that were seen before and have no living process, now. Alert: AfterwordServiceGone.",
            queries.services_gone(),
            bad=parts.CRITICAL,
            zero="all alive",
            unit="suffix: gone",
        ),
        verdict(
            "Processes",
            "Living processes that keep a ledger, now, over all chosen services.",
            queries.total(contract.PROCESSES),
            good=parts.CRITICAL,
            bad="semi-dark-blue",
            zero="all gone",
        ),
        verdict(
            "Blind targets",
            f"Sidecars that do not answer, or have not read their ledgers for {duration(thresholds.SCAN_STALE)}, now: "
            "what they watch is missing from the other numbers. Alert: AfterwordSidecarDown.",
            queries.blind_targets(),
            bad=parts.CRITICAL,
        ),
    )
    title = "Verdict: is anything wrong? Lost, failed and dropped in the chosen time range, the rest now"
    return Row(
        1,
        title,
        [Place(11 + n, panel, 3, 4) for n, panel in enumerate(panels)],
        "Green is *looked, and there is none*; grey is *nothing known*, which is no health: then look at "
        f"{said(links.TELEMETRY_UID)}. What was lost, and how to repeat it: {said(links.LOSSES_UID)}.",
    )


def _status() -> Row:
    panel = lanes(
        "Tasks",
        "The worst state of each task at each moment. Losing work, dropping and failing stay for "
        f"{WINDOW}, as their alerts do. A gap means that nothing is known.",
        Query(queries.state(), "{{service}} / {{task}}"),
        STATES,
    )
    return Row(
        2,
        "Status: since when, and which task?",
        [Place(21, panel, 24, 8)],
        "A lane keeps its colour as long as the alert of that name does. Find the moment it changed, narrow the time "
        f"range to it, and choose the task for {said(links.TASK_UID)}.",
    )


def _flow() -> Row:
    finished = [(words.SUCCEEDED, GREEN), (words.FAILED, ORANGE), (words.CANCELLED, parts.GREY)]
    speed = rates(
        "Runs per second",
        "Handed over, begun and ended. On a healthy service the lines lie on each other.",
        [
            Query(queries.rate(contract.SCHEDULED), "scheduled", LIGHT_BLUE, dashed=True),
            Query(queries.rate(contract.STARTED), "started", BLUE),
            *(Query(queries.rate(contract.FINISHED, outcome=outcome), outcome, color) for outcome, color in finished),
        ],
    )
    gap = stack(
        "Open runs, by cause",
        "What was handed over and has no end: in time is normal, late and overdue are not, and what is lost will never "
        f"end (shown for {WINDOW}).",
        [
            Query(
                f"{queries.total(contract.WAITING_RUNS)} - {queries.total(contract.LATE)}",
                "waiting, in time",
                LIGHT_BLUE,
            ),
            Query(
                f"{queries.total(contract.RUNNING_RUNS)} - {queries.total(contract.OVERDUE)}", "running, in time", BLUE
            ),
            Query(queries.total(contract.LATE), "late", YELLOW),
            Query(queries.total(contract.OVERDUE), "overdue", DARK_ORANGE),
            Query(
                queries.or_zero(f"sum({queries.recently(contract.LOST)})", contract.SCHEDULED),
                f"lost in the last {WINDOW}",
                RED,
            ),
        ],
    )
    gone = bars(
        "Lost and dropped runs",
        parts.EACH_BAR,
        [
            Query(
                queries.or_zero(f"sum({queries.per_step(contract.LOST)})", contract.SCHEDULED),
                "lost",
                RED,
                exemplars=True,
            ),
            Query(
                queries.or_zero(f"sum({queries.per_step(contract.DROPPED)})", contract.SCHEDULED),
                "dropped",
                PURPLE,
                exemplars=True,
            ),
        ],
        legend=parts.beside(["sum"]),
    )
    title = "Flow: does everything that is handed over come to an end?"
    return Row(
        3,
        title,
        [Place(31, speed, 12, 9), Place(32, gap, 12, 9), Place(33, gone, 24, 6)],
        "In time is what work looks like. Late runs wait for a thread or the event loop "
        f"({said(links.RUNTIME_UID)}); red will never be done ({said(links.LOSSES_UID)}).",
    )


def _errors_and_time() -> Row:
    failed = f"sum by (task) ({queries.per_step(contract.FINISHED, outcome=words.FAILED)})"
    errors = f"sum by (exception) ({queries.per_step_unborn(contract.ERRORS)})"
    note = (
        "All chosen tasks together, estimated from buckets: from 15 minutes to an hour there is only one, so read "
        "anything above 15 minutes as longer than that. Dashed: the shortest deadline among them."
    )
    panels = (
        bars(
            "Failed runs, by task",
            parts.EACH_BAR,
            [Query(queries.or_none(failed, "task"), "{{task}}", exemplars=True)],
        ),
        bars(
            "Failed runs, by exception",
            "Classes only: messages stay in the application's log.",
            [Query(queries.or_none(errors, "exception"), "{{exception}}")],
        ),
        _times("Time waiting to start", note, contract.WAIT, contract.START_DEADLINE),
        _times("Time running", note, contract.RUN, contract.DEADLINE),
    )
    places = [Place(41 + n, panel, 12, 10 if n < 2 else 8) for n, panel in enumerate(panels)]
    return Row(
        4,
        "Errors and time: what fails, and how long does it take?",
        places,
        "Bars say what fails and since when; the percentiles say whether it got slow before it failed. One task at a "
        f"time: {said(links.TASK_UID)}. What runs for ever: {said(links.WORKERS_UID)}.",
    )


def _times(title: str, note: str, histogram: contract.Metric, limit: contract.Metric) -> Any:
    shades = ((0.5, "super-light-blue"), (0.95, "blue"), (0.99, "dark-blue"))
    asked = [Query(queries.quantile(q, histogram), f"p{q * 100:g}", color) for q, color in shades]
    deadline = Query(f"min({queries.of(limit)})", "shortest deadline", RED, dashed=True)
    return times(title, note, [*asked, deadline])


def _worst() -> Row:
    lane = queries.LANE
    lost = f"sum by ({', '.join(lane)}) ({queries.happened(contract.LOST)})"
    failed = f"sum by ({', '.join(lane)}) ({queries.happened(contract.FINISHED, outcome=words.FAILED)})"
    success = f"1000 * max by ({', '.join(lane)}) ({queries.of_runs(contract.LAST_SUCCESS)})"
    started = f"60 * sum by ({', '.join(lane)}) (rate({queries.of(contract.STARTED)}[$__rate_interval]))"
    link = to(links.TASK_UID, service="Service", task="Task")
    never = m.ValueMap(options={"0": m.ValueMappingResult(text="never", index=0)})
    columns = (
        Column(
            "State",
            queries.state(),
            width=105,
            numeric=False,
            mapping=parts.states(STATES),
            description="The state now.",
        ),
        Column("Service", label="service", width=100, numeric=False),
        Column("Task", label="task", link=link, numeric=False),
        Column("Runs", started, width=95, unit="suffix:/min", decimals=1, description="Started, per minute, now."),
        Column("Failed", queries.key_or_zero(failed), width=75, unit=parts.COUNT, decimals=0, steps=_from_one(ORANGE)),
        Column("Lost", queries.key_or_zero(lost), width=70, unit=parts.COUNT, decimals=0, steps=_from_one(RED)),
        Column("Oldest wait", queries.oldest(contract.OLDEST_WAITING), width=100, unit=parts.SECONDS, decimals=0),
        Column("Oldest run", queries.oldest(contract.OLDEST_RUNNING), width=95, unit=parts.SECONDS, decimals=0),
        Column(
            "Of deadline",
            queries.overrun(),
            width=100,
            unit=parts.SHARE,
            decimals=0,
            steps=_from_one(DARK_ORANGE),
            description="The age of the oldest run as a share of the deadline; 100 % and more is overdue.",
        ),
        Column(
            "p95",
            queries.quantile_of_range(0.95, contract.RUN, lane),
            width=85,
            unit=parts.SECONDS,
            decimals=1,
            description="Nothing where no run ended.",
        ),
        Column("Last success", success, width=145, unit="dateTimeFromNow", mapping=never),
    )
    panel = rows(
        "Tasks, worst first",
        "Failed and lost are exact numbers of the chosen time range. Click a task to see only that one.",
        columns,
        sort="State",
    )
    return Row(
        5,
        "Worst tasks: where to look first?",
        [Place(51, panel, 24, 12)],
        "Click a task to see where its runs go, how long they take and why they fail. Sorted by the state; click the "
        "head of a column to sort by that.",
    )


def _from_one(color: str) -> parts.Steps:
    return [(None, "text"), (1, color)]
