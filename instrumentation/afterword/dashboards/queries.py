"""The PromQL of the dashboards: the same shapes and windows as the alerts, bound to the chosen variables."""

from collections.abc import Mapping
from typing import Final

from afterword import contract, words
from afterword.alerts import thresholds
from afterword.alerts.clock import duration
from afterword.alerts.promql import NO_WORKER, UP, Counter, age, by, events, select

JOB: Final = {"job": "$job", "instance": "$instance"}
SERVICES: Final = {**JOB, "service": "$service"}
TASKS: Final = {**SERVICES, "task": "$task"}
#: How rows of tables and lanes of the status are told apart.
LANE: Final = ("service", "task")

WINDOW: Final = duration(thresholds.EVENT_WINDOW)
_LOOKBACK: Final = duration(thresholds.EVENT_LOOKBACK)

#: What a lane of the status shows, worst last: the number is the value of the state.
STATES: Final = ("fine", "failing", "dropping", "late", "overdue", "losing work")
#: What a lane of a worker shows, worst last.
WORKER_STATES: Final = ("fine", "failing inside", "stalled", "ended")
FINE, FAILING, DROPPING, LATE, OVERDUE, LOSING = range(len(STATES))


def of(metric: contract.Metric, **equal: str) -> str:
    """The selector of a metric under the variables its labels allow."""
    return select(metric.sample, equal, _variables(metric))


def of_runs(metric: contract.Metric) -> str:
    """The same without workers, which are as old as their process and never succeed."""
    return select(metric.sample, None, _variables(metric), NO_WORKER)


def of_service(metric: contract.Metric) -> str:
    """The selector of a metric under the chosen services, whatever task it names: it may name none."""
    return select(metric.sample, match=SERVICES)


def of_bucket(histogram: contract.Metric) -> str:
    """The selector of a histogram's buckets."""
    return select(histogram.bucket, match=_variables(histogram))


def created(metric: contract.Metric) -> str:
    """The selector of the time since which a counter counts."""
    return select(metric.created, match=_variables(metric))


def by_lane(metric: contract.Metric) -> str:
    """A gauge or counter by service and task."""
    return by("sum", LANE, of(metric))


def total(metric: contract.Metric) -> str:
    """A gauge or counter over everything chosen."""
    return f"sum({of(metric)})"


def rate(metric: contract.Metric, **equal: str) -> str:
    """Runs per second over everything chosen."""
    return f"sum(rate({of(metric, **equal)}[$__rate_interval]))"


def happened(metric: contract.Metric, **equal: str) -> str:
    """Per series, how many in the chosen time range: whole numbers, also of targets that are gone by now."""
    return without_workers(metric, _events(metric, equal, "$__range", "$__range_s", ended=True), "$__range")


def recently(metric: contract.Metric, **equal: str) -> str:
    """Per series, how many in the window of the alerts: whole numbers."""
    return without_workers(metric, _events(metric, equal, WINDOW, f"{thresholds.EVENT_WINDOW:g}"))


def per_step(metric: contract.Metric, **equal: str) -> str:
    """Per series, how many since the step before: each event is in one step only.

    A birth is counted when the series is first seen, which may be a scrape after it; hence the slack of a
    minute, and the difference before the birth.
    """
    counter, step = Counter(metric, equal, _variables(metric)), "$__interval"
    grown = (
        f"(({counter.total} - last_over_time({counter.total}[{_LOOKBACK}] offset {step})) >= 0"
        f" or ({counter.total} and (time() - {counter.created} < $__interval_ms / 1000 + 60))"
        f" or ({counter.total} - min_over_time({counter.total}[{step}]))) > 0"
    )
    return without_workers(metric, grown)


def per_step_unborn(metric: contract.Metric, step: str = "$__interval", **equal: str) -> str:
    """As ``per_step`` for series without a birth: a new one counts when its target was scraped before."""
    series = of(metric, **equal)
    before = f"last_over_time({series}[{_LOOKBACK}] offset {step})"
    scraped = f"{select(UP, match=JOB)} offset {step}"
    return f"(({series} - {before}) or (({series} unless {before}) and on (job, instance) ({scraped}))) > 0"


def or_zero(expr: str, known: contract.Metric) -> str:
    """``expr``, and 0 where it has nothing to say though ``known`` is there. No data stays no data."""
    return f"({expr}) or 0 * sum({of(known)})"


def or_none(expr: str, label: str, known: contract.Metric = contract.SCHEDULED) -> str:
    """``expr`` by ``label``, and a line called none at 0 where nothing happened though ``known`` is there."""
    return f'({expr}) or on () label_replace(0 * {total(known)}, "{label}", "none", "", "")'


def joined(expr: str, *labels: str) -> str:
    """``expr`` by these labels, joined to one called what: where there is none of them, a legend has no gap."""
    names = ", ".join(f'"{label}"' for label in labels)
    return f'sum by (what) (label_join({expr}, "what", " ", {names}))'


def key_or_zero(expr: str) -> str:
    """``expr`` by service and task, and 0 for every other known task."""
    return f"({expr}) or 0 * {by_lane(contract.SCHEDULED)}"


def oldest(since: contract.Metric) -> str:
    """Per service and task: the age of the oldest run; nothing where there is none. Workers are as old as they are."""
    return by("max", LANE, age(of_runs(since)))


def overrun() -> str:
    """Per service and task: the age of the oldest run as a share of the deadline."""
    return f"{oldest(contract.OLDEST_RUNNING)} / {by('max', LANE, of(contract.DEADLINE))}"


def state() -> str:
    """Per task: the worst state now, in the order of the alerts' importance."""
    worst_first = (
        (LOSING, recently(contract.LOST)),
        (OVERDUE, f"{of(contract.OVERDUE)} > 0"),
        (LATE, f"{of(contract.LATE)} > 0"),
        (DROPPING, recently(contract.DROPPED)),
        (FAILING, recently(contract.FINISHED, outcome=words.FAILED)),
        (FINE, of(contract.SCHEDULED)),
    )
    return "\nor ".join(f"0 * {by('sum', LANE, expr)} + {value}" for value, expr in worst_first)


def worker_state() -> str:
    """Per worker: the worst state now."""
    workers = {"kind": words.WORKER}
    worst_first = (
        (3, f"{of(contract.WORKERS_ENDED)} > 0"),
        (2, f"{of(contract.WORKERS_STALLED)} > 0"),
        (1, recently(contract.SWALLOWED, **workers)),
        (0, of(contract.SCHEDULED, **workers)),
    )
    return "\nor ".join(f"0 * {by('sum', LANE, expr)} + {value}" for value, expr in worst_first)


def quantile(q: float, histogram: contract.Metric) -> str:
    """An estimate from the buckets, in seconds, at each moment."""
    return f"histogram_quantile({q:g}, {by('sum', ('le',), f'rate({of_bucket(histogram)}[$__rate_interval])')})"


def quantile_of_range(q: float, histogram: contract.Metric, keep: tuple[str, ...]) -> str:
    """The same over the chosen time range, where any run ended in it. Buckets never go back: the sidecar keeps them."""
    buckets = select(histogram.bucket, None, _variables(histogram), NO_WORKER)
    grown = f"({buckets} - last_over_time({buckets}[{_LOOKBACK}] offset $__range)) >= 0 or {buckets}"
    return f"histogram_quantile({q:g}, {by('sum', (*keep, 'le'), grown)}) >= 0"


def services_gone() -> str:
    """Services without a living process."""
    gone = f"count({by('sum', ('job', 'service'), of(contract.PROCESSES))} == 0)"
    return or_zero(gone, contract.PROCESSES)


def blind_targets() -> str:
    """Targets that do not answer, or answer without having read their ledgers."""
    up, scan = select(UP, match=JOB), select(contract.SIDECAR_SCAN.sample, match=JOB)
    return f"count({up} == 0 or time() - {scan} > {thresholds.SCAN_STALE:g}) or 0 * count({up})"


def _events(
    metric: contract.Metric, equal: Mapping[str, str], window: str, seconds: str, *, ended: bool = False
) -> str:
    counter = Counter(metric, equal, _variables(metric))
    return f"({events(counter, window=window, seconds=seconds, lookback=_LOOKBACK, ended=ended)}) > 0"


def without_workers(metric: contract.Metric, expr: str, window: str = "", *, like: str = "") -> str:
    """``expr``; of what is lost, without the workers that ended with their process, as they are meant to."""
    if metric is not contract.LOST:
        return expr
    ended = select(like or metric.sample, {"kind": words.WORKER}, JOB, {"reason": words.LOST_COLLECTED})
    return f"(({expr}) unless {f'last_over_time({ended}[{window}])' if window else ended})"


def _variables(metric: contract.Metric) -> Mapping[str, str]:
    return TASKS if "task" in metric.labels else SERVICES if "service" in metric.labels else JOB
