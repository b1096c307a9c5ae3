"""The promtool tests of the alerts: what a case is, and how it is written down.

``python -m tests.alert_cases`` writes the claims of ``tests/claims`` to ``alerts/tests``; a test compares both. Every
series is named by the contract. All are scraped every 15 seconds; time starts at 0, so what is older than the test was
born at ``OLD``.
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
    "AfterwordTaskFailed",
    "AfterwordTaskSwallowedError",
    "AfterwordTaskCancelled",
    "AfterwordTaskDropped",
    "AfterwordTaskOverdue",
    "AfterwordTaskLate",
    "AfterwordTaskSlow",
    "AfterwordTaskMissedSchedule",
    "AfterwordBacklogGrowing",
    "AfterwordRouteStoppedScheduling",
    "AfterwordRouteMissedTask",
    "AfterwordWorkerEnded",
    "AfterwordWorkerStalled",
    "AfterwordEventLoopBlocked",
    "AfterwordThreadPoolExhausted",
    "AfterwordShutdownHangs",
    "AfterwordServiceGone",
    "AfterwordProcessDied",
    "AfterwordProcessCrashLoop",
    "AfterwordErrorBudgetBurn",
    "AfterwordErrorBudgetDrain",
    "AfterwordSidecarDown",
    "AfterwordLedgerDegraded",
)
SERVICE: Final = {"job": "afterword", "service": "shop"}
TASK: Final = {**SERVICE, "task": "shop.send_email", "kind": words.BACKGROUND}
ROUTE: Final = {**SERVICE, "route": "/register", "method": "POST"}
WORKER: Final = {"task": "shop.poll_mailbox", "kind": words.WORKER}
TARGET: Final = {"job": "afterword", "instance": "host-a:9796"}
HOST_B: Final = "host-b:9796"
OLD: Final = "-90000x400"

KILLED: Final = {"reason": words.LOST_KILLED, "phase": words.RUNNING}
FAILED: Final = {"outcome": words.FAILED}
SIBLING: Final = {"reason": words.SIBLING_FAILED}

LINK: Final = "/d/DASHBOARD?var-job=afterword"
SERVICE_LINK: Final = f"{LINK}&var-service=shop"
TASK_LINK: Final = f"{SERVICE_LINK}&var-task=shop.send_email"
#: Where each alert sends its reader.
DASHBOARDS: Final = {
    "afterword-losses": ("AfterwordTaskLost", "AfterwordTaskDropped"),
    "afterword-workers": ("AfterwordWorkerEnded", "AfterwordWorkerStalled"),
    "afterword-runtime": (
        "AfterwordRouteStoppedScheduling", "AfterwordRouteMissedTask", "AfterwordEventLoopBlocked",
        "AfterwordThreadPoolExhausted", "AfterwordShutdownHangs", "AfterwordServiceGone", "AfterwordProcessDied",
        "AfterwordProcessCrashLoop",
    ),
    "afterword-telemetry": ("AfterwordSidecarDown", "AfterwordLedgerDegraded"),
}  # fmt: skip
NAMED: Final = "runs of shop.send_email (background) in service shop"


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
    usual = {k: v for k, v in {**ROUTE, **TASK}.items() if k in known.labels}
    full = {**TARGET, **usual, **(more or {}), **labels}
    if set(full) - {"job", "instance"} != set(known.labels):
        raise ValueError(f"{name} has the labels {known.labels}, not {sorted(full)}")
    # To Prometheus a label without a value is no label.
    return name + "{" + ",".join(f'{k}="{v}"' for k, v in sorted(full.items()) if v) + "}"


def counted(
    metric: contract.Metric, labels: Mapping[str, str] | None, total: str, born: str = OLD, **more: str
) -> dict[str, str]:
    """A counter with its birth."""
    return {of(metric, labels, **more): total, of(metric.created, labels, **more): born}


def outcomes(succeeded: str, failures: str = "0x400", born: str = OLD) -> dict[str, str]:
    """All endings of a known task, from 0."""
    return {
        **counted(contract.FINISHED, {"outcome": words.SUCCEEDED}, succeeded, born),
        **counted(contract.FINISHED, FAILED, failures, born),
        **counted(contract.FINISHED, {"outcome": words.CANCELLED}, "0x400", born),
    }


UPS: Final = {of(UP): "1x400"}
ALIVE: Final = {**UPS, of(contract.PROCESSES): "4x400"}
LIMITS: Final = {of(contract.DEADLINE): "300x400", of(contract.START_DEADLINE): "60x400"}
NOTHING_OPEN: Final = {of(contract.OLDEST_RUNNING): "0x400", of(contract.OLDEST_WAITING): "0x400"}


def silent(*moments: str) -> list[tuple[str, str, Sequence[Firing]]]:
    """Every alert is silent at every one of the moments."""
    return [(moment, alert, ()) for moment in moments for alert in ALERTS]


def only(alert: str, *expect: tuple[str, Sequence[Firing]]) -> list[tuple[str, str, Sequence[Firing]]]:
    """What one alert does at each moment."""
    return [(moment, alert, firing) for moment, firing in expect]


def document(cases: Sequence[Case], every: str = "15s") -> str:
    """The cases as a promtool test file; promtool evaluates every group ``every`` so often, whatever it says itself."""
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
    body = {"rule_files": ["../afterword.rules.yml"], "evaluation_interval": every, "tests": tests}
    return "# Generated by tests/alert_cases.py.\n" + yaml.safe_dump(body, sort_keys=False, width=1000)


def _expected(alert: str, firing: Firing) -> dict[str, object]:
    dashboard = next((uid for uid, alerts in DASHBOARDS.items() if alert in alerts), "afterword-task")
    return {
        "exp_labels": dict(firing.labels),
        "exp_annotations": {
            "summary": firing.summary,
            "description": firing.description,
            "runbook_url": f"alerts/runbooks/{alert}.md",
            "dashboard_url": firing.dashboard.replace("DASHBOARD", dashboard),
        },
    }


def main() -> None:
    """Write every file of ``alerts/tests`` anew."""
    from tests.alert_claims import EVERY, FILES

    DIRECTORY.mkdir(parents=True, exist_ok=True)
    for name, cases in FILES.items():
        (DIRECTORY / name).write_text(document(cases, EVERY.get(name, "15s")), encoding="utf-8")


if __name__ == "__main__":
    main()
