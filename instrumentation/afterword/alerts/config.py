"""What a team says about its alerts: the table ``[alerts]`` of afterword.toml, read and checked.

    [alerts]
    job = "afterword.*"                         # the scrape jobs of the sidecars
    selector = 'env="prod"'                     # added to every selector
    runbooks = "https://wiki.example/runbooks"
    grafana = "https://grafana.example"
    objective = 0.99                            # the share of scheduled work that has to be done
    compatibility = false                       # also record the names of the founding article

    [alerts.labels]                             # on every alert
    team = "growth"

    [alerts.AfterwordTaskLate]
    enabled = true
    severity = "critical"
    for = "5m"
    threshold = 0.8
    except = ["shop.warm_cache"]

Whatever would make an alert unable to fire is refused here, and not found out in an incident.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from typing import Any, Final, get_args

from afterword.alerts import links, matchers, thresholds
from afterword.alerts.catalogue import CATALOGUE, Default
from afterword.alerts.clock import duration, seconds_of
from afterword.alerts.promql import ROUTE_KEY, TASK_KEY
from afterword.alerts.rule import Severity

#: Braces are refused because Prometheus reads annotations as templates.
_WEB_ADDRESS: Final = re.compile(r"https?://[^\s/?#{}\"<>]+(/[^\s?#{}\"<>]*)?", re.ASCII)
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
#: What the rules themselves put on their alerts.
_TAKEN: Final = frozenset(
    {*TASK_KEY, *ROUTE_KEY, "severity", "alertname", "instance", "reason", "phase", "cause", "problem", "window"}
)
_SEVERITIES: Final = get_args(Severity)
#: What a burn rate multiplies with the budget has to stay below everything.
_FASTEST: Final = max(burn.times for burn in thresholds.BURN_FAST)
LEAST_OBJECTIVE: Final = 1 - 1 / _FASTEST


@dataclass(frozen=True, slots=True)
class Choice:
    """How one alert is set. ``for_`` in seconds; ``threshold`` in the unit of its catalogue entry."""

    severity: Severity
    for_: float
    threshold: float
    enabled: bool = True
    #: Tasks that it leaves out.
    except_: tuple[str, ...] = ()


def _defaults() -> dict[str, Choice]:
    return {
        name: Choice(default.severity, default.for_, default.threshold.value if default.threshold else 0)
        for name, default in CATALOGUE.items()
    }


@dataclass(frozen=True, slots=True)
class Config:
    """What may differ from one team to the next."""

    job: str = "afterword.*"
    selector: tuple[str, ...] = ()
    runbooks: str = links.RUNBOOKS
    grafana: str = ""
    objective: float = thresholds.OBJECTIVE
    compatibility: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, Choice] = field(default_factory=_defaults)


class ConfigError(ValueError):
    """A key or a value that cannot be meant: one sentence, and ``at``, the keys that lead to it."""

    def __init__(self, sentence: str, *at: str) -> None:
        super().__init__(sentence)
        self.at = at


def read(table: Mapping[str, Any]) -> Config:
    """The configuration in ``table``, the contents of ``[alerts]``; raises ConfigError for the first mistake."""
    given: dict[str, Any] = {}
    choices = _defaults()
    for key, value in table.items():
        if key in choices:
            choices[key] = _choice(key, CATALOGUE[key], choices[key], value)
        elif key in _KEYS:
            given[key] = _checked(_KEYS[key], value, key)
        else:
            raise ConfigError(f"{key} is no alert and no setting of alerts; {_nearest(key, [*_KEYS, *choices])}", key)
    return Config(**given, choices=choices)


def _choice(alert: str, default: Default, choice: Choice, table: Any) -> Choice:
    if not isinstance(table, dict):
        raise ConfigError(f"{alert} is {table!r}; allowed: a table with {', '.join(_CHOICE_KEYS)}", alert)
    for key, value in table.items():
        if key not in _CHOICE_KEYS:
            raise ConfigError(f"{key} is no setting of {alert}; {_nearest(key, list(_CHOICE_KEYS))}", alert, key)
        name, check = _CHOICE_KEYS[key]
        choice = replace(choice, **{name: _checked(partial(check, default), value, alert, key)})
    return choice


def _checked(check: Callable[[Any], Any], value: Any, *at: str) -> Any:
    """``value`` as ``check`` reads it; it says what is allowed where it refuses."""
    try:
        return check(value)
    except _RefusedError as error:
        raise ConfigError(f"{'.'.join(at)} is {value!r}; {error}", *at) from None


class _RefusedError(Exception):
    """What is allowed instead."""


def _refuse_unless(good: object, allowed: str, why: str = "") -> None:
    if not good:
        raise _RefusedError(f"{why}allowed: {allowed}")


def _enabled(_: Default, value: Any) -> bool:
    return _flag(value)


def _severity(_: Default, value: Any) -> Any:
    _refuse_unless(value in _SEVERITIES, ", ".join(_SEVERITIES))
    return value


def _for(default: Default, value: Any) -> float:
    found = seconds_of(value) if isinstance(value, str) else None
    if found is None:
        raise _RefusedError("allowed: a Prometheus duration such as 0s, 90s or 1h30m")
    _refuse_unless(
        found < default.visible,
        "less than that",
        f"it could never fire, for what it counts is gone after {duration(default.visible)}; ",
    )
    return found


def _threshold(default: Default, value: Any) -> float:
    limits = default.threshold
    if limits is None:
        raise _RefusedError("allowed: nothing, it has no threshold (see objective)")
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    _refuse_unless(number and limits.low <= value <= limits.high, limits.allowed)
    _refuse_unless(not limits.whole or float(value).is_integer(), limits.allowed)
    return float(value)


def _except(default: Default, value: Any) -> tuple[str, ...]:
    _refuse_unless(default.of_tasks, "nothing, it is not about tasks")
    tasks = isinstance(value, list) and all(isinstance(task, str) and task for task in value)
    _refuse_unless(tasks, "a list of task names")
    return tuple(value)


_CHOICE_KEYS: Final[Mapping[str, tuple[str, Callable[[Default, Any], Any]]]] = {
    "enabled": ("enabled", _enabled),
    "severity": ("severity", _severity),
    "for": ("for_", _for),
    "threshold": ("threshold", _threshold),
    "except": ("except_", _except),
}


def _flag(value: Any) -> bool:
    _refuse_unless(isinstance(value, bool), "true or false")
    return bool(value)


def _job(value: Any) -> str:
    _refuse_unless(isinstance(value, str) and matchers.is_regex(value), "a regular expression that is not empty")
    _refuse_unless(
        not matchers.is_beyond_re2(value),
        "what Prometheus (RE2) can match, so no lookaround, no backreference and no possessive repetition",
    )
    return str(value)


def _selector(value: Any) -> tuple[str, ...]:
    try:
        return matchers.parse(value) if isinstance(value, str) else _selector("")
    except ValueError:
        raise _RefusedError("""allowed: matchers of PromQL, for instance 'env="prod", region=~"eu-.*"'""") from None


def _address(value: Any) -> str:
    _refuse_unless(
        isinstance(value, str) and _WEB_ADDRESS.fullmatch(value),
        "an http:// or https:// address without spaces and queries",
    )
    return str(value)


def _objective(value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    allowed = f"a share, more than {LEAST_OBJECTIVE:.4f} and less than 1"
    _refuse_unless(number and 0 < value < 1, allowed)
    why = f"it could never page, for {_FASTEST:g} times its error budget is more than everything; "
    _refuse_unless(value > LEAST_OBJECTIVE, allowed, why)
    return float(value)


def _labels(value: Any) -> dict[str, str]:
    _refuse_unless(isinstance(value, dict), "a table of labels")
    for label, text in value.items():
        at = ("labels", label)
        if not _LABEL.fullmatch(label) or label in _TAKEN or label.startswith("__"):
            raise ConfigError(f"{label} cannot be a label of alerts; allowed: names the rules do not set", *at)
        if not isinstance(text, str) or not text:
            raise ConfigError(f"labels.{label} is {text!r}; allowed: a text that is not empty", *at)
    return dict(value)


_KEYS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "job": _job,
    "selector": _selector,
    "runbooks": _address,
    "grafana": _address,
    "objective": _objective,
    "compatibility": _flag,
    "labels": _labels,
}


def checked(key: str, value: Any) -> Any:
    """One setting of ``[alerts]`` that was given elsewhere, on the command line for instance."""
    return _checked(_KEYS[key], value, key)


def _nearest(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"allowed: {', '.join(known)}"
