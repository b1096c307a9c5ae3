"""What differs between one installation and the next, and the constructor of its alerts."""

from dataclasses import dataclass, field

from afterword.alerts import links, promql, thresholds
from afterword.alerts.catalogue import CATALOGUE
from afterword.alerts.clock import Clock, number
from afterword.alerts.config import Config
from afterword.alerts.promql import TASK_KEY, Counter
from afterword.alerts.rule import Alert
from afterword.contract import Metric


@dataclass(frozen=True, slots=True)
class Site:
    """The clock its rules run on, and what its team says about them."""

    clock: Clock = field(default_factory=Clock)
    config: Config = field(default_factory=Config)

    def alert(
        self,
        name: str,
        expr: str,
        *,
        key: tuple[str, ...],
        floor: float = 0.001,
        summary: str,
        description: str,
        keep: float | None = None,
    ) -> Alert:
        """An alert on this site's clock, set as its team wants it; ``key`` are the labels of ``expr``."""
        choice = self.config.choices[name]
        return Alert(
            name=name,
            expr=expr,
            for_=self.clock.duration(choice.for_, floor=floor) if choice.for_ else "0s",
            keep_firing_for=None if keep is None else self.clock.duration(keep),
            severity=choice.severity,
            summary=summary,
            description=description,
            runbook=links.runbook(self.config.runbooks, name),
            dashboard=links.dashboard(self.config.grafana, CATALOGUE[name].dashboard, key),
            labels=self.config.labels,
        )

    def threshold(self, alert: str) -> float:
        """The number that ``alert`` compares with."""
        return self.config.choices[alert].threshold

    def limit(self, alert: str) -> str:
        """The same for an expression."""
        return number(self.threshold(alert))

    def lasting(self, alert: str, *, floor: float = 0.001) -> str:
        """How long ``alert`` has to be so."""
        return self.clock.duration(self.config.choices[alert].for_, floor=floor)

    @property
    def window(self) -> str:
        """The window of the alerts on events, as a duration."""
        return self.clock.duration(thresholds.EVENT_WINDOW)

    def happened(
        self, counter: Counter, key: tuple[str, ...], *, unless: str = "", window: float = thresholds.EVENT_WINDOW
    ) -> str:
        """How often in the window (seconds), by ``key``; ``unless`` takes series out before they are added up."""
        grown = promql.events(
            counter,
            window=self.clock.duration(window),
            seconds=self.clock.seconds(window),
            lookback=self.clock.duration(thresholds.EVENT_LOOKBACK),
        )
        out = f" unless {unless}" if unless else ""
        return f"sum by ({', '.join(key)}) (\n  (\n{promql.indent(grown, 4)}\n  ) > 0{out}\n)"

    def more(self, alert: str, expr: str) -> str:
        """Where ``expr``, a count that is never 0, exceeds the threshold of ``alert``."""
        return f"{expr} > {self.limit(alert)}" if self.threshold(alert) else expr

    def beyond(self, alert: str, oldest: Metric, deadline: Metric) -> str:
        """The age of the oldest run by task, where it exceeds its deadline as often as ``alert`` allows."""
        times = self.threshold(alert)
        limit = promql.by("max", TASK_KEY, promql.select(deadline.sample))
        return f"{oldest_age(oldest)}\n> {limit if times == 1 else f'{number(times)} * {limit}'}"


def oldest_age(oldest: Metric) -> str:
    """The age of the oldest run by task; workers are as old as their process."""
    return promql.by("max", TASK_KEY, promql.age(promql.select(oldest.sample, differ=promql.NO_WORKER)))
