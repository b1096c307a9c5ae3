"""The promtool tests of the alerts, written down once, with every series named by the contract.

``python -m tests.alert_cases`` writes them to ``alerts/tests``; a test compares both.
All series are scraped every 15 seconds; time starts at 0, so what is older than the test was born at ``OLD``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from afterword import contract, words
from afterword.alerts.promql import UP

DIRECTORY: Final = Path(__file__).parents[1] / "alerts" / "tests"
ALERTS: Final = (
    "AfterwordTaskLost",
    "AfterwordTaskOverdue",
    "AfterwordTaskLate",
    "AfterwordTaskFailed",
    "AfterwordTaskDropped",
    "AfterwordServiceGone",
    "AfterwordSidecarDown",
)
SERVICE: Final = {"job": "afterword", "service": "shop"}
TASK: Final = {**SERVICE, "task": "shop.send_email", "kind": words.BACKGROUND}
TARGET: Final = {"job": "afterword", "instance": "host-a:9796"}
OLD: Final = "-90000x400"

KILLED: Final = {"reason": words.LOST_KILLED, "phase": words.RUNNING}
UNSTARTED: Final = {"reason": words.LOST_SHUTDOWN, "phase": words.WAITING}
FAILED: Final = {"outcome": words.FAILED}
SIBLING: Final = {"reason": words.SIBLING_FAILED}

_LINK = "/d/afterword-overview?var-job=afterword"
_TASK_LINK = f"{_LINK}&var-service=shop&var-task=shop.send_email"
_NAMED = "runs of shop.send_email (background) in service shop"


@dataclass(frozen=True)
class Firing:
    """One alert as a receiver gets it."""

    labels: Mapping[str, str]
    summary: str
    description: str
    dashboard: str


@dataclass(frozen=True)
class Case:
    """Series, and what each moment expects of one alert; no firing means silence."""

    claim: str
    series: Mapping[str, str]
    expect: Sequence[tuple[str, str, Sequence[Firing]]] = field(default_factory=tuple)


def of(metric: contract.Metric | str, more: Mapping[str, str] | None = None, **labels: str) -> str:
    """A series of the contract with the labels it would be scraped with; ``metric`` may be its created name."""
    name = metric if isinstance(metric, str) else metric.sample
    known = next(
        (m for m in contract.METRICS if name in {m.sample, m.created, m.bucket}),
        contract.Metric(UP, "gauge", (), ""),
    )
    full = {**TARGET, **{k: v for k, v in TASK.items() if k in known.labels}, **(more or {}), **labels}
    if set(full) - {"job", "instance"} != set(known.labels):
        raise ValueError(f"{name} has the labels {known.labels}, not {sorted(full)}")
    return name + "{" + ",".join(f'{k}="{v}"' for k, v in sorted(full.items())) + "}"


def lost(count: int, labels: Mapping[str, str] = KILLED) -> Firing:
    """AfterwordTaskLost with its number."""
    waiting = labels["phase"] == words.WAITING
    end = "None of their code ran." if waiting else "How far each of them got is not known."
    return Firing(
        {**TASK, **labels, "severity": "critical"},
        "Background work was lost: its process ended before it did.",
        f"{count} lost in the last 15m: {_NAMED} that were {labels['phase']} when their process ended "
        f"(reason: {labels['reason']}). {end}",
        _TASK_LINK,
    )


def failed(count: int, exceptions: str = "") -> Firing:
    """AfterwordTaskFailed with its number and the classes that moved."""
    return Firing(
        {**TASK, "severity": "warning"},
        "Background work failed after its response had been sent.",
        f"{count} failed in the last 15m: {_NAMED}.{exceptions}",
        _TASK_LINK,
    )


def dropped(count: int, reason: str = words.SIBLING_FAILED) -> Firing:
    """AfterwordTaskDropped with its number."""
    return Firing(
        {**TASK, "reason": reason, "severity": "warning"},
        "Background work was handed over and will never start.",
        f"{count} dropped in the last 15m: {_NAMED} that were handed over and will never start (reason: {reason}).",
        _TASK_LINK,
    )


def overdue(count: int, age: str, deadline: str) -> Firing:
    """AfterwordTaskOverdue with how many and how old."""
    return Firing(
        {**TASK, "severity": "warning"},
        "Background work has been running longer than its deadline.",
        f"{count} overdue now: {_NAMED}. The oldest has been running for {age}; its deadline is {deadline}.",
        _TASK_LINK,
    )


def late(count: int, age: str, deadline: str) -> Firing:
    """AfterwordTaskLate with how many and how old."""
    return Firing(
        {**TASK, "severity": "warning"},
        "Background work has been waiting too long to start.",
        f"{count} late now: {_NAMED} that have not started. The oldest has been waiting for {age}; "
        f"its start deadline is {deadline}.",
        _TASK_LINK,
    )


def service_gone(service: str = "shop") -> Firing:
    """AfterwordServiceGone."""
    return Firing(
        {"job": "afterword", "service": service, "severity": "critical"},
        "A service that was seen before has no living process.",
        f"{service} has 0 living processes in job afterword, for 3m or longer. "
        "What it still owed when it ended is in the books as lost.",
        f"{_LINK}&var-service={service}",
    )


def sidecar_down(instance: str | None) -> Firing:
    """AfterwordSidecarDown, for one target or for no target at all."""
    found = (
        f"{instance} of job afterword has not answered for 2m or longer (up is 0). "
        "The other alerts of afterword cannot fire for what it watches."
    )
    none = (
        'Prometheus has 0 targets with job=~"afterword.*": either no sidecar is scraped, '
        "or under another job name (see --job)."
    )
    return Firing(
        {**({"job": "afterword", "instance": instance} if instance else {}), "severity": "critical"},
        "Nothing is known about background work: the sidecar cannot be scraped.",
        found if instance else none,
        _LINK if instance else "/d/afterword-overview?var-job=",
    )


def silent(*moments: str) -> list[tuple[str, str, Sequence[Firing]]]:
    """Every alert is silent at every one of the moments."""
    return [(moment, alert, ()) for moment in moments for alert in ALERTS]


def only(alert: str, *expect: tuple[str, Sequence[Firing]]) -> list[tuple[str, str, Sequence[Firing]]]:
    """What one alert does at each moment."""
    return [(moment, alert, firing) for moment, firing in expect]


def document(cases: Sequence[Case]) -> str:
    """The cases as a promtool test file."""
    tests = [
        {
            "name": case.claim,
            "interval": "15s",
            "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
            "alert_rule_test": [
                {"eval_time": moment, "alertname": alert, "exp_alerts": [_expected(alert, f) for f in firing]}
                for moment, alert, firing in case.expect
            ],
        }
        for case in cases
    ]
    body = {"rule_files": ["../afterword.rules.yml"], "evaluation_interval": "15s", "tests": tests}
    return "# Generated by tests/alert_cases.py.\n" + yaml.safe_dump(body, sort_keys=False, width=1000)


def _expected(alert: str, firing: Firing) -> dict[str, object]:
    return {
        "exp_labels": dict(firing.labels),
        "exp_annotations": {
            "summary": firing.summary,
            "description": firing.description,
            "runbook_url": f"alerts/runbooks/{alert}.md",
            "dashboard_url": firing.dashboard,
        },
    }


def main() -> None:
    """Write every file of ``alerts/tests`` anew."""
    from tests.alert_claims import FILES

    DIRECTORY.mkdir(parents=True, exist_ok=True)
    for name, cases in FILES.items():
        (DIRECTORY / name).write_text(document(cases), encoding="utf-8")


if __name__ == "__main__":
    main()
