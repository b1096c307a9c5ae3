"""The error budget: which share of the scheduled work was not done, and how fast that spends what may go wrong.

Not done is what failed, was lost or dropped. It is counted in short windows, recorded, and added up over the long
ones: `increase()` over a day would not see a counter that is born at 20, and would read every sample of every
instance again each time.
"""

from typing import Final

from afterword import contract, words
from afterword.alerts import promql, thresholds
from afterword.alerts.clock import Clock, duration, number
from afterword.alerts.promql import NO_WORKER, TASK_KEY, Counter
from afterword.alerts.rule import Alert, Recording, Rule
from afterword.alerts.site import Site
from afterword.alerts.texts import PERCENT, TASK
from afterword.alerts.thresholds import Burn

_SHORT: Final = duration(thresholds.BUDGET_WINDOW)
#: How many runs by task in a short window. Named by its length at normal speed, whatever the clock.
SCHEDULED: Final = f"{promql.TASK_LEVEL}:afterword_tasks_scheduled:increase{_SHORT}"
NOT_DONE: Final = f"{promql.TASK_LEVEL}:afterword_tasks_not_done:increase{_SHORT}"
_ENDINGS: Final = (
    Counter(contract.FINISHED, {"outcome": words.FAILED}, differ=NO_WORKER),
    Counter(contract.LOST, differ=NO_WORKER),
    Counter(contract.DROPPED, differ=NO_WORKER),
)
_WINDOWS: Final = sorted({window for burn in (*thresholds.BURN_FAST, *thresholds.BURN_SLOW) for window in burn[:2]})


def ratio(seconds: float) -> str:
    """The recorded share of the scheduled runs that was not done, by task, over a window of ``seconds``."""
    return f"{promql.TASK_LEVEL}:afterword_tasks_not_done:ratio_increase{duration(seconds)}"


#: Every name that is recorded; each by job, service, task and kind.
RECORDED: Final = (SCHEDULED, NOT_DONE, *map(ratio, _WINDOWS))


def rules(site: Site) -> tuple[Rule, ...]:
    """What is recorded, and the alerts that read it, in one group and in this order."""
    return (
        Recording(SCHEDULED, _scheduled(site)),
        Recording(NOT_DONE, _not_done(site)),
        *(Recording(ratio(seconds), _share(site.clock, seconds)) for seconds in _WINDOWS),
        _alert(
            site,
            "AfterwordErrorBudgetBurn",
            thresholds.BURN_FAST,
            "Much of the background work is not done: its error budget will not last the month.",
        ),
        _alert(
            site,
            "AfterwordErrorBudgetDrain",
            thresholds.BURN_SLOW,
            "Background work keeps not being done: its error budget is running out.",
        ),
    )


def interval(clock: Clock) -> float:
    """How often it is recorded, in seconds on ``clock``."""
    return max(thresholds.BUDGET_INTERVAL / clock.scale, 1.0)


def _scheduled(site: Site) -> str:
    """Extrapolated, and blind for the first scrape of a new task: it is what the others are compared with."""
    total = promql.select(contract.SCHEDULED.sample, differ=NO_WORKER)
    return promql.by("sum", TASK_KEY, f"increase({total}[{site.clock.duration(thresholds.BUDGET_WINDOW)}])")


def _not_done(site: Site) -> str:
    """Exact; a task with nothing to tell has 0."""
    counts = [site.happened(ending, TASK_KEY, window=thresholds.BUDGET_WINDOW) for ending in _ENDINGS]
    counts.append(f"0 * {promql.by('sum', TASK_KEY, promql.select(contract.SCHEDULED.sample, differ=NO_WORKER))}")
    apart = [
        f'label_replace(\n{promql.indent(count)},\n  "part", "{n}", "", ""\n)' for n, count in enumerate(counts, 1)
    ]
    return promql.by("sum", TASK_KEY, "\n" + promql.indent("\nor ".join(apart)) + "\n")


def _share(clock: Clock, seconds: float) -> str:
    window = clock.duration(seconds)
    return f"clamp_max(sum_over_time({NOT_DONE}[{window}]) / (sum_over_time({SCHEDULED}[{window}]) > 0), 1)"


def _alert(site: Site, name: str, burns: tuple[Burn, ...], summary: str) -> Alert:
    budget = 1 - site.config.objective
    named = [
        f"label_replace(\n{promql.indent(_burning(site.clock, burn, budget))},\n"
        f'  "window", "{site.clock.duration(burn.long)}", "", ""\n)'
        for burn in burns
    ]
    return site.alert(
        name,
        "\nor ignoring (window) ".join(named),
        key=(*TASK_KEY, "window"),
        keep=thresholds.EVENT_KEEP_FIRING,
        summary=summary,
        description=(
            f"{PERCENT} of the runs of {TASK} that were scheduled in the last {{{{ $labels.window }}}} failed, were "
            f"dropped or lost; the objective allows {budget * 100:.4g}% in 30 days."
        ),
    )


def _burning(clock: Clock, burn: Burn, budget: float) -> str:
    """Too fast in the long window, still so in the short one, and too many runs to be chance."""
    limit = number(burn.times * budget, digits=6)
    overlapping = interval(clock) / (thresholds.BUDGET_WINDOW / clock.scale)
    runs = f"sum_over_time({SCHEDULED}[{clock.duration(burn.long)}]) * {number(overlapping)}"
    return f"{ratio(burn.long)} > {limit}\nand {ratio(burn.short)} > {limit}\nand {runs} >= {thresholds.BURN_LEAST}"
