"""A pytest plugin: one line of JSON for every test, with how it ended. Knows nothing of afterword."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

_RECORD = Path(os.environ["UPSTREAM_RECORD"])
_ended: dict[str, list[str]] = {}
_said: dict[str, str] = {}


def note(**entry: Any) -> None:
    """Write at once: a crash must not take what is known with it."""
    with _RECORD.open("a", encoding="utf-8") as record:
        record.write(json.dumps(entry) + "\n")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Each of a test's three phases."""
    phases = _ended.setdefault(report.nodeid, [])
    if hasattr(report, "wasxfail"):
        phases.append("xfailed" if report.skipped else "xpassed")
    elif report.when == "call" or report.skipped:
        phases.append(report.outcome)
    elif report.failed:
        phases.append(f"error in {report.when}")
    if report.failed:
        _said[report.nodeid] = report.longreprtext[-3000:]


def pytest_runtest_logfinish(nodeid: str) -> None:
    """All phases are known."""
    note(test=nodeid, outcome=" and ".join(_ended.pop(nodeid, ["nothing"])), said=_said.pop(nodeid, ""))


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """A file that cannot be imported, or that skips itself as a whole."""
    if report.failed or report.skipped:
        note(test=report.nodeid, outcome=f"{report.outcome} at collection", said=report.longreprtext[-3000:])


def pytest_sessionfinish() -> None:
    """The suite came to its end, however its tests ended."""
    note(finished=True)
