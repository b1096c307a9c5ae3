"""The workers: what runs as long as the application, whether it is there and gets anywhere."""

from typing import Final

from grafana_foundation_sdk.models import dashboard as m

from afterword import contract, words
from afterword.alerts import links
from afterword.alerts.promql import age
from afterword.alerts.site import Site
from afterword.dashboards import parts, queries
from afterword.dashboards.frame import framed
from afterword.dashboards.going import said
from afterword.dashboards.layout import Place, Row
from afterword.dashboards.panels import bars, lanes, times, verdict
from afterword.dashboards.parts import Query
from afterword.dashboards.table import Column, rows

UID: Final = links.WORKERS_UID

RED, ORANGE, YELLOW, GREEN = "red", "orange", "yellow", "green"
_KIND: Final = {"kind": words.WORKER}
_LANE: Final = ", ".join(queries.LANE)
STATES: Final = tuple(zip(queries.WORKER_STATES, (GREEN, YELLOW, ORANGE, RED), strict=True))


def dashboard(_: Site) -> m.Dashboard:
    """The whole dashboard, classic format."""
    return framed(
        "Workers",
        UID,
        "Workers of the lifespan and whatever else goes on for ever: are they there, and do they make progress?",
        (_verdict(), _status(), _progress(), _each()),
    )


def _verdict() -> Row:
    running = queries.of(contract.RUNNING_RUNS, **_KIND)
    panels = (
        verdict(
            "Running",
            "Workers that run, now, over all processes.",
            f"sum({running})",
            good=parts.GREY,
            bad="semi-dark-blue",
        ),
        verdict(
            "Ended",
            "Workers that ended while their process goes on, now. Alert: AfterwordWorkerEnded.",
            queries.total(contract.WORKERS_ENDED),
            bad=parts.CRITICAL,
        ),
        verdict(
            "Stalled",
            "Workers without progress for longer than their limit, now. Alert: AfterwordWorkerStalled.",
            queries.total(contract.WORKERS_STALLED),
            bad=parts.WARNING,
        ),
        verdict(
            "Swallowed errors",
            "Errors that workers logged and went on after, in the chosen time range. "
            "Alert: AfterwordTaskSwallowedError.",
            f"(sum({queries.happened(contract.SWALLOWED, **_KIND)})) or 0 * sum({running})",
            bad=parts.WARNING,
        ),
    )
    title = "Verdict: does every worker work? Errors in the chosen time range, the rest now"
    return Row(
        1,
        title,
        [Place(11 + n, panel, 6, 4) for n, panel in enumerate(panels)],
        "A worker that ended does nothing until its process is started again; a stalled one is there and does nothing. "
        f"Grey is *nothing known*: {said(links.TELEMETRY_UID)}.",
    )


def _status() -> Row:
    panel = lanes(
        "Workers",
        "The worst state of each worker at each moment. A gap means that nothing is known.",
        Query(queries.worker_state(), "{{service}} / {{task}}"),
        STATES,
    )
    return Row(
        2,
        "Status: since when, and which worker?",
        [Place(21, panel, 24, 7)],
        "A lane that turns red at a deploy was broken by it; one that turns orange by itself waits for somebody who "
        f"does not answer. Its processes: {said(links.RUNTIME_UID)}.",
    )


def _progress() -> Row:
    without = times(
        "Time without progress",
        "The worker of that name that is longest without any. One that rests, sleeps or waits for its queue makes "
        "progress: it is where it should be.",
        [Query(f"max by ({_LANE}) ({age(queries.of(contract.WORKER_PROGRESS))})", "{{task}}")],
    )
    errors = bars(
        "Errors they swallowed",
        parts.EACH_BAR,
        [
            Query(
                f"(sum by (task) ({queries.per_step(contract.SWALLOWED, **_KIND)})) or on () "
                f'label_replace(0 * sum({queries.of(contract.RUNNING_RUNS, **_KIND)}), "task", "none", "", "")',
                "{{task}}",
            )
        ],
    )
    title = "Progress: who stands still, and who fails in every round?"
    return Row(
        3,
        title,
        [Place(31, without, 12, 9), Place(32, errors, 12, 9)],
        "A line that climbs in one piece stands still. Errors in every round, and no alert of the worker itself: it "
        "catches them and goes on, and its log says what.",
    )


def _each() -> Row:
    columns = (
        Column(
            "State", queries.worker_state(), width=105, numeric=False, mapping=parts.states(STATES),
            description="The state now.",
        ),
        Column("Service", label="service", width=120, numeric=False),
        Column("Worker", label="task", numeric=False),
        Column("Running", _by(contract.RUNNING_RUNS, **_KIND), width=85, unit=parts.COUNT, decimals=0),
        Column("Ended", _by(contract.WORKERS_ENDED), width=80, unit=parts.COUNT, decimals=0),
        Column("Stalled", _by(contract.WORKERS_STALLED), width=80, unit=parts.COUNT, decimals=0),
        Column(
            "Last progress", f"1000 * min by ({_LANE}) ({queries.of(contract.WORKER_PROGRESS)} > 0)", width=150,
            unit="dateTimeFromNow",
        ),
    )  # fmt: skip
    panel = rows("Workers, worst first", "Over all processes of a service.", columns, sort="State")
    return Row(
        4,
        "Each worker: where is it, and since when?",
        [Place(41, panel, 24, 9)],
        "Over all processes of a service. Where a stalled worker stands, file and line, is in the last table of "
        f"{said(links.TASK_UID)} and in its log.",
    )


def _by(metric: contract.Metric, **equal: str) -> str:
    return f"sum by ({_LANE}) ({queries.of(metric, **equal)})"
