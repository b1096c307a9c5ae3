"""The few PromQL shapes that alerts and dashboards share; each takes its names from the contract."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from afterword import words
from afterword.contract import ROUTE_LABELS, TASK_LABELS, Metric

#: Set by Prometheus itself on every target; part of no contract of ours. The rules read the first one only.
UP = "up"
SCRAPE_DURATION, SCRAPE_SAMPLES = "scrape_duration_seconds", "scrape_samples_scraped"
#: What alerts and tables are aggregated to: it survives restarts and replaced instances.
TASK_KEY = ("job", *TASK_LABELS)
#: The same as the level of a recording's name.
TASK_LEVEL = "_".join(TASK_KEY)
SERVICE_KEY = ("job", "service")
ROUTE_KEY = ("job", *ROUTE_LABELS)
#: A worker runs as long as its process: being old, or gone with it, is what it is for.
NO_WORKER = {"kind": words.WORKER}


def quote(text: str) -> str:
    """``text`` as a PromQL string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def select(
    name: str,
    equal: Mapping[str, str] | None = None,
    match: Mapping[str, str] | None = None,
    differ: Mapping[str, str] | None = None,
) -> str:
    """A selector: ``equal`` labels have the value, ``match`` labels match the expression, ``differ`` have another."""
    matchers = [f"{label}={quote(value)}" for label, value in (equal or {}).items()]
    matchers += [f"{label}=~{quote(value)}" for label, value in (match or {}).items()]
    matchers += [f"{label}!={quote(value)}" for label, value in (differ or {}).items()]
    return f"{name}{{{','.join(matchers)}}}" if matchers else name


def by(function: str, labels: Iterable[str], expr: str) -> str:
    """An aggregation over everything but ``labels``."""
    return f"{function} by ({', '.join(labels)}) ({expr})"


@dataclass(frozen=True, slots=True)
class Counter:
    """One counter of the contract with its birth, under the same matchers."""

    metric: Metric
    equal: Mapping[str, str] = field(default_factory=dict)
    match: Mapping[str, str] = field(default_factory=dict)
    differ: Mapping[str, str] = field(default_factory=dict)
    #: The counter that is born in the same moment, under the same labels, and carries the birth of both.
    twin: Metric | None = None

    @property
    def total(self) -> str:
        """The selector of the total."""
        return select(self.metric.sample, self.equal, self.match, self.differ)

    @property
    def created(self) -> str:
        """The selector of the time since which the total counts."""
        return select((self.twin or self.metric).created, self.equal, self.match, self.differ)


def events(counter: Counter, *, window: str, seconds: str, lookback: str, ended: bool = False) -> str:
    """How much each series grew within ``window``: whole numbers, where ``increase()`` would extrapolate.

    Three cases, the first that applies counts:

        born within the window      everything it holds (``increase()`` does not see a series born at 20)
        known before the window     the difference to its last value before, also over a scrape gap
        never seen before           the difference to the lowest value inside (a new Prometheus)

    ``seconds`` is ``window`` as a number, ``lookback`` how far before the window a value is looked for. With
    ``ended``, series that ended within the window count as well: their target may be gone.
    """
    total, created = counter.total, counter.created
    now, birth = (
        (f"last_over_time({total}[{window}])", f"last_over_time({created}[{window}])") if ended else (total, created)
    )
    return (
        f"({now} and (time() - {birth} < {seconds}))\n"
        f"or ({now} - last_over_time({total}[{lookback}] offset {window}))\n"
        f"or ({now} - min_over_time({total}[{window}]))"
    )


def age(oldest: str) -> str:
    """Seconds since a timestamp metric; nothing where it says 0, which means none."""
    return f"timestamp({oldest}) - ({oldest} > 0)"


def indent(text: str, by: int = 2) -> str:
    """``text`` with each line further to the right."""
    return "\n".join(" " * by + line for line in text.splitlines())
