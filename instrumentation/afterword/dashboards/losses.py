"""Losses and recovery: which runs nobody will ever finish, when that was, and which ones can be repeated."""

from typing import Final

from grafana_foundation_sdk.models import dashboard as m

from afterword import contract, words
from afterword.alerts import links
from afterword.alerts.site import Site
from afterword.dashboards import parts, queries
from afterword.dashboards.exits import by_cause
from afterword.dashboards.frame import framed
from afterword.dashboards.going import said, to
from afterword.dashboards.layout import Place, Row
from afterword.dashboards.panels import bars, verdict
from afterword.dashboards.parts import Query
from afterword.dashboards.table import Column, rows

UID: Final = links.LOSSES_UID

RED, PURPLE = "red", "purple"


def dashboard(_: Site) -> m.Dashboard:
    """The whole dashboard, classic format."""
    return framed(
        "Losses",
        UID,
        "What was promised and will not be done: which runs, when, why, and which of them can be repeated as they are.",
        (_verdict(), _when(), _ledger(), _dropped()),
    )


def _verdict() -> Row:
    lost, known = queries.happened, contract.SCHEDULED
    tasks = f"count(sum by (job, service, task) ({lost(contract.LOST)}) > 0)"
    panels = (
        verdict(
            "Lost",
            "Runs whose process ended before they did, in the chosen time range. Alert: AfterwordTaskLost.",
            queries.or_zero(f"sum({lost(contract.LOST)})", known),
            bad=parts.CRITICAL,
        ),
        verdict(
            "Never began",
            "Of the lost ones: they were waiting, none of their code ran, they can be repeated as they are.",
            queries.or_zero(f"sum({lost(contract.LOST, phase=words.WAITING)})", known),
            bad=parts.WARNING,
        ),
        verdict(
            "Half done, perhaps",
            "Of the lost ones: they were running. Ask the outside world before you repeat one that is not idempotent.",
            queries.or_zero(f"sum({lost(contract.LOST, phase=words.RUNNING)})", known),
            bad=parts.CRITICAL,
        ),
        verdict("Tasks concerned", "How many tasks lost runs, in the chosen time range.", queries.or_zero(tasks, known),
                bad=parts.WARNING),
        verdict(
            "Dropped",
            "Runs that were handed over and will never start, in the chosen time range. Alert: AfterwordTaskDropped.",
            queries.or_zero(f"sum({lost(contract.DROPPED)})", known),
            bad=parts.WARNING,
        ),
        verdict(
            "Processes killed",
            "Without a word, in the chosen time range. Alert: AfterwordProcessDied.",
            queries.or_zero(f"sum({lost(contract.PROCESS_EXITS, cause=words.EXIT_KILLED)})", contract.PROCESSES),
            bad=parts.WARNING,
        ),
    )  # fmt: skip
    return Row(
        1,
        "Verdict: is anything owed that nobody will do? In the chosen time range",
        [Place(11 + n, panel, 4, 4) for n, panel in enumerate(panels)],
        "`Never began` can be repeated without a thought; of what was running nobody knows how far it got. The runbook "
        "of AfterwordTaskLost says how to find the requests they belong to.",
    )


def _when() -> Row:
    reasons = f"sum by (reason) ({queries.per_step(contract.LOST)})"
    lost = bars(
        "Lost runs, by reason",
        f"Killed: without a word. Shutdown: in order, but too early. Reboot: with the machine. {parts.EACH_BAR}",
        [Query(queries.or_none(reasons, "reason"), "{{reason}}", exemplars=True)],
    )
    exits = by_cause(f"Right below the losses, on the same time axis: what they died of. {parts.EACH_BAR}")
    return Row(
        2,
        "When: at which moment, and what else happened then?",
        [Place(21, lost, 24, 9), Place(22, exits, 24, 7)],
        "A loss under a red bar: a process was killed (memory, a supervisor's timeout, a crash). Under a green one: a "
        f"deploy that did not wait. Under none: a task nobody held. Processes and their loops: "
        f"{said(links.RUNTIME_UID)}.",
    )


def _ledger() -> Row:
    key = ("service", "task", "kind", "instance", "reason", "phase")
    by_key = ", ".join(key)
    born = f"{queries.without_workers(contract.LOST, queries.created(contract.LOST), like=contract.LOST.created)}"
    first = f"1000 * min by ({by_key}) ({born})"
    known = queries.or_none(f"sum by ({by_key}) ({queries.happened(contract.LOST)})", "reason")
    columns = (
        Column("Lost", known, width=80, unit=parts.COUNT, decimals=0, steps=[(None, "text"), (1, RED)],
               description="In the chosen time range, exactly."),
        Column("Service", label="service", width=120, numeric=False),
        Column("Task", label="task", link=to(links.TASK_UID, service="Service", task="Task"), numeric=False),
        Column("Kind", label="kind", width=110, numeric=False),
        Column("Machine", label="instance", width=160, numeric=False),
        Column("Reason", label="reason", width=110, numeric=False),
        Column("Phase", label="phase", width=90, numeric=False),
        Column("First", first, width=170, unit="dateTimeAsIso",
               description="When a loss of this kind was first booked."),
    )  # fmt: skip
    panel = rows(
        "Lost runs",
        "One line for each task, machine, reason and phase. Narrow the time range to one incident.",
        columns,
        sort="Lost",
    )
    return Row(
        3,
        "Which: what has to be repeated?",
        [Place(31, panel, 24, 10)],
        "The number, the task and the time are what you look for in the access log of that machine; each lost run "
        "belongs to a successful response of that moment. Click a task to see what else it does.",
    )


def _dropped() -> Row:
    key = "service, task, kind, reason"
    known = queries.or_none(f"sum by ({key}) ({queries.happened(contract.DROPPED)})", "reason")
    columns = (
        Column("Dropped", known, width=90, unit=parts.COUNT, decimals=0, steps=[(None, "text"), (1, PURPLE)]),
        Column("Service", label="service", width=120, numeric=False),
        Column("Task", label="task", link=to(links.TASK_UID, service="Service", task="Task"), numeric=False),
        Column("Kind", label="kind", width=110, numeric=False),
        Column("Reason", label="reason", width=180, numeric=False),
    )
    panel = rows("Dropped runs", "One line for each task and reason; none of their code ran.", columns, sort="Dropped")
    return Row(
        4,
        "Dropped: what was handed over and will never start?",
        [Place(41, panel, 24, 9)],
        "None of their code ran, so they can be repeated as they are. Most come back until the code is changed: the "
        "reason says where, the runbook of AfterwordTaskDropped says how.",
    )
