"""One run from its beginning to its end, with what speaks of it."""

from collections.abc import Iterator
from typing import Final

from afterword import words
from afterword.view.model import BadEnding, Run, RunDetail, Step
from afterword.view.runbooks import runbook_of

_ALERT_OF_ENDING: Final = {
    words.LOST: "AfterwordTaskLost",
    words.DROPPED: "AfterwordTaskDropped",
    words.FAILED: "AfterwordTaskFailed",
    words.CANCELLED: "AfterwordTaskCancelled",
    words.SWALLOWED: "AfterwordTaskSwallowedError",
}
_ALERT_OF_STATE: Final = {"overdue": "AfterwordTaskOverdue", "late": "AfterwordTaskLate"}


def of_open(run: Run, now: float, trace_url: str | None) -> RunDetail:
    """A run that waits or runs; ``now`` in Unix seconds."""
    alert = _ALERT_OF_STATE.get(run.state, "")
    return RunDetail(
        run=run,
        ending=None,
        timeline=sorted(_steps_of_open(run, now), key=lambda step: step.at),
        alert=alert,
        runbook=runbook_of(alert),
        trace_url=_trace(run.trace_id, trace_url),
    )


def of_ended(ending: BadEnding, trace_url: str | None) -> RunDetail:
    """A run that ended badly."""
    alert = _ALERT_OF_ENDING[ending.ending]
    return RunDetail(
        run=None,
        ending=ending,
        timeline=list(_steps_of_ended(ending)),
        alert=alert,
        runbook=runbook_of(alert),
        trace_url=_trace(ending.trace_id, trace_url),
    )


def _steps_of_open(run: Run, now: float) -> Iterator[Step]:
    yield Step("scheduled", run.scheduled, _by(run.route))
    if run.started is not None:
        yield Step("started", run.started, f"after waiting for {run.started - run.scheduled:.3f} s")
    if run.limit is not None:
        due = "its deadline" if run.started is not None else "its start deadline"
        yield Step("due", (run.started or run.scheduled) + run.limit, due)
    yield Step("now", now, run.state)


def _steps_of_ended(ending: BadEnding) -> Iterator[Step]:
    if ending.scheduled is not None:
        yield Step("scheduled", ending.scheduled, _by(ending.route))
    if ending.started is not None:
        waited = f"after waiting for {ending.started - ending.scheduled:.3f} s" if ending.scheduled else ""
        yield Step("started", ending.started, waited)
    while_ = f" while {ending.phase}" if ending.phase else ""
    yield Step("ended", ending.ended, f"{ending.ending}{f': {ending.reason}' if ending.reason else ''}{while_}")


def _by(route: str) -> str:
    return f"by {route}" if route else ""


def _trace(trace_id: str, url: str | None) -> str:
    return url.replace("{trace_id}", trace_id) if url and trace_id else ""
