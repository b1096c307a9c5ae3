"""The rules of afterword, in groups by subject."""

from collections.abc import Sequence
from typing import Any, Final

from afterword import contract
from afterword.alerts import (
    budget,
    compatibility,
    endings,
    matchers,
    open_runs,
    processes,
    routes,
    telemetry,
    thresholds,
    workers,
)  # fmt: skip
from afterword.alerts.clock import duration
from afterword.alerts.promql import quote
from afterword.alerts.rule import Alert, Rule
from afterword.alerts.site import Site

_LABELS: Final = {name: metric.labels for metric in contract.METRICS for name in metric.series}


def groups(site: Site) -> list[dict[str, Any]]:
    """The rule groups, ready to be written; a group with nothing left in it is none."""
    usual = max(thresholds.GROUP_INTERVAL / site.clock.scale, 1.0)
    subjects: dict[str, tuple[Sequence[Rule], float]] = {
        "afterword-endings": (endings.alerts(site), usual),
        "afterword-open-runs": (open_runs.rules(site), usual),
        "afterword-routes": (routes.alerts(site), usual),
        "afterword-workers": (workers.alerts(site), usual),
        "afterword-runtime": (processes.while_alive(site), usual),
        "afterword-processes": (processes.when_dead(site), usual),
        "afterword-error-budget": (budget.rules(site), budget.interval(site.clock)),
        "afterword-telemetry": (telemetry.alerts(site), usual),
        "afterword-compatibility": (compatibility.recordings(site), usual),
    }
    found = ((name, _wanted(site, rules), interval) for name, (rules, interval) in subjects.items())
    return [
        {"name": name, "interval": duration(interval), "rules": [_narrowed(site, rule).fields() for rule in rules]}
        for name, rules, interval in found
        if rules
    ]


def _wanted(site: Site, rules: Sequence[Rule]) -> list[Rule]:
    """Without the alerts that are switched off."""
    return [rule for rule in rules if not isinstance(rule, Alert) or site.config.choices[rule.name].enabled]


def _narrowed(site: Site, rule: Rule) -> Rule:
    """With the site's matchers on everything scraped, and without the tasks that the alert leaves out."""
    left_out = site.config.choices[rule.name].except_ if isinstance(rule, Alert) else ()
    not_these = tuple(f"task!={quote(task)}" for task in left_out)

    def of_series(name: str) -> tuple[str, ...]:
        if ":" in name:  # recorded from what is narrowed already
            return not_these
        return (*site.config.selector, *(not_these if "task" in _LABELS.get(name, ()) else ()))

    return rule.with_expressions(lambda expr: matchers.narrowed(expr, of_series))
