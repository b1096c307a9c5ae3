"""What differs between one installation and the next, and the constructor of its alerts."""

from dataclasses import dataclass

from afterword.alerts import links, promql, thresholds
from afterword.alerts.clock import Clock
from afterword.alerts.promql import TASK_KEY, Counter
from afterword.alerts.rule import Alert, Severity
from afterword.contract import Metric


@dataclass(frozen=True, slots=True)
class Site:
    """The clock its rules run on, the scrape job of its sidecars, and where its alerts send their readers."""

    clock: Clock
    job: str
    runbooks: str = links.RUNBOOKS
    grafana: str = ""

    def alert(
        self,
        name: str,
        severity: Severity,
        expr: str,
        *,
        key: tuple[str, ...],
        for_: float,
        floor: float = 0.001,
        summary: str,
        description: str,
        keep: float | None = None,
    ) -> Alert:
        """An alert on this site's clock, with its links; ``key`` are the labels of ``expr``."""
        chosen = [label for label in ("job", "service", "task") if label in key]
        return Alert(
            name=name,
            expr=expr,
            for_=self.clock.duration(for_, floor=floor) if for_ else "0s",
            keep_firing_for=None if keep is None else self.clock.duration(keep),
            severity=severity,
            summary=summary,
            description=description,
            runbook=links.runbook(self.runbooks, name),
            dashboard=links.overview(self.grafana, chosen),
        )

    @property
    def window(self) -> str:
        """The window of the alerts on events, as a duration."""
        return self.clock.duration(thresholds.EVENT_WINDOW)

    def happened(self, counter: Counter, key: tuple[str, ...], *, unless: str = "") -> str:
        """How often in the window, by ``key``; ``unless`` takes series out before they are added up."""
        grown = promql.events(
            counter,
            window=self.window,
            seconds=self.clock.seconds(thresholds.EVENT_WINDOW),
            lookback=self.clock.duration(thresholds.EVENT_LOOKBACK),
        )
        out = f" unless {unless}" if unless else ""
        return f"sum by ({', '.join(key)}) (\n  (\n{promql.indent(grown, 4)}\n  ) > 0{out}\n)"


def beyond(oldest: Metric, deadline: Metric) -> str:
    """The age of the oldest run by task, where it exceeds the deadline; workers have none."""
    return f"{oldest_age(oldest)}\n> {promql.by('max', TASK_KEY, promql.select(deadline.sample))}"


def oldest_age(oldest: Metric) -> str:
    """The age of the oldest run by task; workers are as old as their process."""
    return promql.by("max", TASK_KEY, promql.age(promql.select(oldest.sample, differ=promql.NO_WORKER)))
