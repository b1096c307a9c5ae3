"""Alerts on runs that have no end yet, or do not come at all: overdue, late, slow, missed, more and more waiting."""

from typing import Final

from afterword import contract
from afterword.alerts import promql, texts, thresholds
from afterword.alerts.promql import TASK_KEY
from afterword.alerts.rule import Alert, Recording, Rule
from afterword.alerts.site import Site, oldest_age
from afterword.alerts.texts import AGE, COUNT, DURATION, TASK, WHOLE

#: How many wait, over all machines.
WAITING: Final = f"{promql.TASK_LEVEL}:afterword_tasks_waiting:sum"


def rules(site: Site) -> tuple[Rule, ...]:
    """What takes too long, in the order of its urgency; recorded first what is looked back at."""
    waiting = Recording(WAITING, promql.by("sum", TASK_KEY, contract.WAITING_RUNS.sample))
    return _overdue(site), _late(site), _slow(site), _missed_schedule(site), waiting, _backlog(site)


def _overdue(site: Site) -> Alert:
    return site.alert(
        "AfterwordTaskOverdue",
        site.beyond("AfterwordTaskOverdue", contract.OLDEST_RUNNING, contract.DEADLINE),
        key=TASK_KEY,
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
        site.beyond("AfterwordTaskLate", contract.OLDEST_WAITING, contract.START_DEADLINE),
        key=TASK_KEY,
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
    overdue = site.beyond("AfterwordTaskOverdue", contract.OLDEST_RUNNING, contract.DEADLINE)
    return site.alert(
        "AfterwordTaskSlow",
        f"{oldest_age(contract.OLDEST_RUNNING)}\n> clamp_min({site.limit('AfterwordTaskSlow')} * {usual}, {least})\n"
        f"unless (\n{promql.indent(overdue)}\n)",
        key=TASK_KEY,
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
        # Of a task that never succeeded: since it has been known.
        f"(\n  {succeeded}\n  or {known}\n)\n> {site.limit('AfterwordTaskMissedSchedule')} * {interval}",
        key=key,
        keep=thresholds.STATE_KEEP_FIRING,
        summary="Background work that has to succeed regularly did not.",
        description=(
            f"{{{{ $labels.task }}}} in service {{{{ $labels.service }}}} has not succeeded for {AGE}; "
            f"it is declared to succeed every {texts.asked(declared, DURATION, key)}."
        ),
    )


def _backlog(site: Site) -> Alert:
    # Added up before it is looked back at: over a thousand machines that is a thousandth of the samples.
    recent, earlier = site.clock.duration(thresholds.BACKLOG_RECENT), site.clock.duration(thresholds.BACKLOG_EARLIER)
    window = site.clock.duration(thresholds.BACKLOG_WINDOW)
    throughout = site.clock.duration(thresholds.BACKLOG_RECENT + thresholds.BACKLOG_WINDOW)
    now, one = f"avg_over_time({WAITING}[{window}])", texts.of_alert(WAITING)

    def grown(offset: str, times: float) -> str:
        return f"{now} > {times:g} * avg_over_time({WAITING}[{window}] offset {offset})"

    steadily = f"{grown(earlier, thresholds.BACKLOG_TIMES)}\nand {grown(recent, thresholds.BACKLOG_STILL)}"
    before = texts.asked(f"avg_over_time({one}[{window}] offset {recent})", WHOLE)
    return site.alert(
        "AfterwordBacklogGrowing",
        # A host that is new brings a queue that does not grow: once it was never shorter, it is its own past.
        f"(\n  {grown(recent, thresholds.BACKLOG_TIMES)}\n  or\n{promql.indent(steadily)}\n)\n"
        f"and min_over_time({WAITING}[{throughout}]) >= {site.limit('AfterwordBacklogGrowing')}",
        key=TASK_KEY,
        keep=thresholds.STATE_KEEP_FIRING,
        summary="More and more background work is waiting to start.",
        description=(
            f"{COUNT} waiting on average over the last {window}: runs of {TASK}. {recent} earlier there were {before}, "
            f"and for {throughout} the number never fell to less than "
            f"{texts.asked(f'min_over_time({one}[{throughout}])', WHOLE)}."
        ),
    )


def _now(gauge: contract.Metric) -> str:
    """How many of the task that fired: the state's own gauge, not the age that fired."""
    return texts.asked(f"sum({texts.of_alert(gauge)})", WHOLE)


def _limit(seconds: contract.Metric) -> str:
    return texts.asked(f"max({texts.of_alert(seconds)})", DURATION)
