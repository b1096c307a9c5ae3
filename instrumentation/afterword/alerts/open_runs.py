"""Alerts on runs that have no end yet, or do not come at all: overdue, late, slow, missed."""

from afterword import contract
from afterword.alerts import promql, texts, thresholds
from afterword.alerts.promql import TASK_KEY
from afterword.alerts.rule import Alert
from afterword.alerts.site import Site, beyond, oldest_age
from afterword.alerts.texts import AGE, DURATION, TASK, WHOLE


def alerts(site: Site) -> tuple[Alert, ...]:
    """What takes too long, in the order of its urgency."""
    return _overdue(site), _late(site), _slow(site), _missed_schedule(site)


def _overdue(site: Site) -> Alert:
    return site.alert(
        "AfterwordTaskOverdue",
        "warning",
        beyond(contract.OLDEST_RUNNING, contract.DEADLINE),
        key=TASK_KEY,
        for_=thresholds.STATE_FOR,
        keep=thresholds.STATE_KEEP_FIRING,
        summary="Background work has been running longer than its deadline.",
        description=(
            f"{_now(contract.OVERDUE)} overdue now: runs of {TASK}. The oldest has been running for {AGE}; "
            f"its deadline is {_limit(contract.DEADLINE)}."
            + texts.listed("Stuck at", texts.of_alert(contract.STUCK), "at", separator="; ")
        ),
    )


def _late(site: Site) -> Alert:
    return site.alert(
        "AfterwordTaskLate",
        "warning",
        beyond(contract.OLDEST_WAITING, contract.START_DEADLINE),
        key=TASK_KEY,
        for_=thresholds.STATE_FOR,
        keep=thresholds.STATE_KEEP_FIRING,
        summary="Background work has been waiting too long to start.",
        description=(
            f"{_now(contract.LATE)} late now: runs of {TASK} that have not started. The oldest has been waiting "
            f"for {AGE}; its start deadline is {_limit(contract.START_DEADLINE)}."
        ),
    )


def _slow(site: Site) -> Alert:
    usual = promql.by("max", TASK_KEY, f"{contract.USUAL.sample} > 0")
    least = site.clock.seconds(thresholds.SLOW_LEAST)
    # Beyond the deadline it is AfterwordTaskOverdue's.
    overdue = beyond(contract.OLDEST_RUNNING, contract.DEADLINE)
    return site.alert(
        "AfterwordTaskSlow",
        "warning",
        f"{oldest_age(contract.OLDEST_RUNNING)}\n> clamp_min({thresholds.SLOW_TIMES:g} * {usual}, {least})\n"
        f"unless (\n{promql.indent(overdue)}\n)",
        key=TASK_KEY,
        for_=thresholds.SLOW_FOR,
        keep=thresholds.STATE_KEEP_FIRING,
        summary="Background work takes much longer than it usually does.",
        description=(
            f"A run of {TASK} has been running for {AGE}; "
            f"few ever took longer than {_limit(contract.USUAL)}, and its deadline is {_limit(contract.DEADLINE)}."
        ),
    )


def _missed_schedule(site: Site) -> Alert:
    key = ("job", "service", "task")
    succeeded = promql.by("min", key, promql.age(contract.LAST_SUCCESS.sample))
    known = promql.by("min", key, promql.age(contract.FINISHED.created))
    interval = promql.by("max", key, contract.INTERVAL.sample)
    declared = f"max({texts.of_alert(contract.INTERVAL, key)})"
    return site.alert(
        "AfterwordTaskMissedSchedule",
        "warning",
        # Of a task that never succeeded: since it has been known.
        f"(\n  {succeeded}\n  or {known}\n)\n> {thresholds.MISSED_INTERVALS} * {interval}",
        key=key,
        for_=thresholds.STATE_FOR,
        keep=thresholds.STATE_KEEP_FIRING,
        summary="Background work that has to succeed regularly did not.",
        description=(
            f"{{{{ $labels.task }}}} in service {{{{ $labels.service }}}} has not succeeded for {AGE}; "
            f"it is declared to succeed every {texts.asked(declared, DURATION, key)}."
        ),
    )


def _now(gauge: contract.Metric) -> str:
    """How many of the task that fired: the state's own gauge, not the age that fired."""
    return texts.asked(f"sum({texts.of_alert(gauge)})", WHOLE)


def _limit(seconds: contract.Metric) -> str:
    return texts.asked(f"max({texts.of_alert(seconds)})", DURATION)
