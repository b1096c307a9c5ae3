"""One task, from the response that handed it over to its end: where its runs go, how long they take, why they fail."""

from typing import Final

from grafana_foundation_sdk.models import dashboard as m

from afterword import contract, words
from afterword.alerts import links
from afterword.alerts.site import Site
from afterword.dashboards import parts, queries
from afterword.dashboards.frame import framed
from afterword.dashboards.going import said
from afterword.dashboards.layout import Place, Row
from afterword.dashboards.panels import bars, heatmap, levels, rates, times, verdict
from afterword.dashboards.parts import Query
from afterword.dashboards.table import Column, rows

UID: Final = links.TASK_UID

RED, ORANGE, YELLOW, GREEN, BLUE, PURPLE = "red", "orange", "yellow", "green", "blue", "purple"
LIGHT_BLUE, DARK_ORANGE = "super-light-blue", "dark-orange"


def dashboard(site: Site) -> m.Dashboard:
    """The whole dashboard, classic format, with the thresholds of ``site``."""
    return framed(
        "Task",
        UID,
        "One task (choose it at the top): where its runs go, how long they wait and take, and why they fail.",
        (_verdict(), _way(), _open(site), _time(), _why(), _declared()),
    )


def _verdict() -> Row:
    known = contract.SCHEDULED
    counts = {
        "Lost": (contract.LOST, {}, parts.CRITICAL, "Runs whose process ended before they did", "AfterwordTaskLost"),
        "Failed": (
            contract.FINISHED,
            {"outcome": words.FAILED},
            parts.WARNING,
            "Runs that ended with an exception",
            "AfterwordTaskFailed",
        ),
        "Dropped": (contract.DROPPED, {}, parts.WARNING, "Runs that will never start", "AfterwordTaskDropped"),
        "Cancelled": (contract.CANCELLED, {}, "semi-dark-blue", "Runs cut short by cancel()", "AfterwordTaskCancelled"),
        "Swallowed": (
            contract.SWALLOWED,
            {},
            parts.WARNING,
            "Errors logged in runs that ended well",
            "AfterwordTaskSwallowedError",
        ),
    }
    panels = [
        verdict(
            title,
            f"{what}, in the chosen time range. Alert: {alert}.",
            queries.or_zero(f"sum({queries.happened(metric, **equal)})", known),
            bad=color,
        )
        for title, (metric, equal, color, what, alert) in counts.items()
    ]
    panels.append(
        verdict(
            "Open",
            "Runs that wait or run, now. That there are some is what work looks like.",
            f"{queries.total(contract.WAITING_RUNS)} + {queries.total(contract.RUNNING_RUNS)}",
            good=parts.GREY,
            bad="semi-dark-blue",
        )
    )
    return Row(
        1,
        "Verdict: does it get done? Open is now, the rest in the chosen time range",
        [Place(11 + n, panel, 4, 4) for n, panel in enumerate(panels)],
        "Green is *looked, and there is none*; grey is *nothing known*. With no task chosen these are sums over all "
        f"of them: choose one at the top, or come from the table in {said(links.OVERVIEW_UID)}.",
    )


def _way() -> Row:
    finished = [(words.SUCCEEDED, GREEN), (words.FAILED, ORANGE), (words.CANCELLED, parts.GREY)]
    responses = f"sum(rate({queries.of(contract.ROUTE_SCHEDULED)}[$__rate_interval]))"
    speed = rates(
        "From response to end, per second",
        "Responses that handed it over, then its runs. On a healthy task the lines lie on each other; a gap between "
        "two of them is where runs are lost from sight.",
        [
            Query(responses, "responses", PURPLE, dashed=True),
            Query(queries.rate(contract.SCHEDULED), "scheduled", LIGHT_BLUE, dashed=True),
            Query(queries.rate(contract.STARTED), "started", BLUE),
            *(Query(queries.rate(contract.FINISHED, outcome=outcome), outcome, color) for outcome, color in finished),
        ],
    )
    failed = f"sum({queries.per_step(contract.FINISHED, outcome=words.FAILED)})"
    not_done = bars(
        "Not done",
        parts.EACH_BAR,
        [
            Query(
                queries.or_zero(f"sum({queries.per_step(contract.LOST)})", contract.SCHEDULED),
                "lost",
                RED,
                exemplars=True,
            ),
            parts.traced(failed, "failed", ORANGE),
            Query(
                queries.or_zero(f"sum({queries.per_step(contract.DROPPED)})", contract.SCHEDULED),
                "dropped",
                PURPLE,
                exemplars=True,
            ),
        ],
        legend=parts.beside(["sum"]),
    )
    return Row(
        2,
        "Way: does every run that is handed over come to a good end?",
        [Place(21, speed, 12, 9), Place(22, not_done, 12, 9)],
        "`responses` above `scheduled` does not happen; a route whose responses no longer hand it over is on "
        f"{said(links.RUNTIME_UID)}. What was lost, and how to repeat it: {said(links.LOSSES_UID)}.",
    )


def _open(site: Site) -> Row:
    waiting, running = (f"sum by (instance) ({queries.of(m)})" for m in (contract.WAITING_RUNS, contract.RUNNING_RUNS))
    counted = levels(
        "Open runs, by machine",
        "Waiting and running. A machine whose waiting runs only grow is not keeping up: AfterwordBacklogGrowing.",
        [Query(waiting, "waiting {{instance}}"), Query(running, "running {{instance}}")],
    )
    age = times(
        "Age of the oldest open run",
        "Beyond a dashed line it is late or overdue: AfterwordTaskLate, AfterwordTaskOverdue. No line: nothing is "
        "open.",
        [
            Query(f"max({queries.oldest(contract.OLDEST_WAITING)})", "oldest wait", LIGHT_BLUE),
            Query(f"max({queries.oldest(contract.OLDEST_RUNNING)})", "oldest run", BLUE),
            _limit(site, "AfterwordTaskLate", contract.START_DEADLINE, "start deadline", YELLOW),
            _limit(site, "AfterwordTaskOverdue", contract.DEADLINE, "deadline", RED),
        ],
    )
    return Row(
        3,
        "Open: is something waiting or running for too long?",
        [Place(31, counted, 12, 8), Place(32, age, 12, 8)],
        "Where an overdue run is stuck is in the last table. Many waiting and none late is a burst; late ones wait for "
        f"a thread or for the event loop: {said(links.RUNTIME_UID)}.",
    )


def _limit(site: Site, alert: str, deadline: contract.Metric, name: str, color: str) -> Query:
    times_ = site.threshold(alert)
    factor = "" if times_ == 1 else f"{site.limit(alert)} * "
    return Query(f"{factor}min({queries.of(deadline)})", name, color, dashed=True)


def _time() -> Row:
    spread = {
        contract.WAIT: ("Time waiting to start", "From being handed over to the first line of its code."),
        contract.RUN: ("Time running", "From the first line of its code to its end, however it ended."),
    }
    panels = [
        panel
        for histogram, (title, what) in spread.items()
        for panel in (
            heatmap(
                f"{title}, all runs", f"{what} The darker, the more runs ended with that time.", _buckets(histogram)
            ),
            times(
                f"{title}, percentiles",
                f"{what} Estimated from buckets; points are traces of single runs, where the data source has "
                f"exemplars.",
                [
                    Query(queries.quantile(q, histogram), f"p{q * 100:g}", color, exemplars=q == 0.99)
                    for q, color in ((0.5, LIGHT_BLUE), (0.95, BLUE), (0.99, "dark-blue"))
                ],
            ),
        )
    ]
    return Row(
        4,
        "Time: how long do runs wait and take?",
        [Place(41 + n, panel, 12, 8) for n, panel in enumerate(panels)],
        "A second band far above the first is a second kind of run: a retry, a timeout, a slow dependency. "
        f"Waiting that grows with running means that they wait for each other: {said(links.RUNTIME_UID)}.",
    )


def _buckets(histogram: contract.Metric) -> str:
    selector = queries.of_bucket(histogram)
    return f"sum by (le) (increase({selector}[$__rate_interval]))"


def _why() -> Row:
    errors = f"sum by (exception) ({queries.per_step_unborn(contract.ERRORS)})"
    by_reason = {
        "Dropped, by reason": (contract.DROPPED, "reason", "They will never start."),
        "Cancelled, by reason": (contract.CANCELLED, "reason", "Somebody called cancel(), or their process stopped."),
        "Lost, by reason": (contract.LOST, "reason", "Their process ended first, or nobody held them."),
    }
    panels = [
        bars(
            "Failed, by exception",
            f"Classes only: messages stay in the application's log. {parts.EACH_BAR}",
            [Query(queries.or_none(errors, "exception"), "{{exception}}")],
        ),
        *(
            bars(
                title,
                f"{what} {parts.EACH_BAR}",
                [
                    Query(
                        queries.or_none(f"sum by ({label}) ({queries.per_step(metric)})", label),
                        f"{{{{{label}}}}}",
                        exemplars=metric is contract.DROPPED,
                    )
                ],
            )
            for title, (metric, label, what) in by_reason.items()
        ),
    ]
    return Row(
        5,
        "Why: what keeps it from being done?",
        [Place(51 + n, panel, 12, 9) for n, panel in enumerate(panels)],
        "Each reason has a paragraph in the runbook of its alert. Exceptions are counted by class; the message and the "
        "traceback are in the application's log, at the time of the bar.",
    )


def _declared() -> Row:
    lane = ", ".join((*queries.LANE, "kind"))
    never = m.ValueMap(options={"0": m.ValueMappingResult(text="never", index=0)})
    none = m.ValueMap(options={"0": m.ValueMappingResult(text="not yet", index=0)})
    columns = (
        Column("Service", label="service", width=130, numeric=False),
        Column("Task", label="task", numeric=False),
        Column("Kind", label="kind", width=110, numeric=False),
        Column("Importance", label="importance", width=110, numeric=False),
        Column("Owner", label="owner", width=110, numeric=False),
        Column("Deadline", _with_info(lane), width=110, unit=parts.SECONDS, decimals=0),
        Column("Start deadline", _max(lane, contract.START_DEADLINE), width=120, unit=parts.SECONDS, decimals=0),
        Column(
            "Usual", _max(lane, contract.USUAL), width=110, unit=parts.SECONDS, decimals=1, mapping=none,
            description="Few runs ever took longer. Ten times this is AfterwordTaskSlow.",
        ),
        Column(
            "Last success", f"1000 * {_max(lane, contract.LAST_SUCCESS)}", width=160, unit="dateTimeFromNow",
            mapping=never,
        ),
    )  # fmt: skip
    declared = rows(
        "Limits and habit", "What it declares, or the defaults, and what is usual for it.", columns, sort="Task"
    )
    stuck = rows(
        "Stuck at",
        "Where overdue runs were found, once for each: file, line and function. Empty: none was.",
        (
            Column("Service", label="service", width=130, numeric=False),
            Column("Task", label="task", width=260, numeric=False),
            Column("At", label="at", numeric=False),
            Column("Runs", _stuck(), width=80, unit=parts.COUNT, decimals=0),
        ),
        sort="Runs",
    )
    return Row(
        6,
        "Limits: what is expected of it, and where is it stuck?",
        [Place(61, declared, 24, 7), Place(62, stuck, 24, 6)],
        "Limits are declared in code, `@afterword.task(deadline=, start_deadline=, every=)`, and reach the rules as "
        "metrics: nothing has to be edited here.",
    )


def _with_info(lane: str) -> str:
    """The deadline, and what the task says about itself; one sidecar's word, during a deploy they may disagree."""
    info = f"topk by ({lane}) (1, {queries.of(contract.INFO)})"
    return f"{_max(lane, contract.DEADLINE)} * on ({lane}) group_left (importance, owner) {info}"


def _max(lane: str, metric: contract.Metric) -> str:
    return f"max by ({lane}) ({queries.of(metric)})"


def _stuck() -> str:
    found = f"sum by ({', '.join((*queries.LANE, 'at'))}) ({queries.of(contract.STUCK)})"
    return queries.or_none(found, "at")
