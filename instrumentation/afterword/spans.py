"""The names on spans, log records and exemplars: what application and sidecar write about one run.

One span a run, named by its task. What OpenTelemetry has a name for has that name; the rest
begins with ``afterword.``. Both sides build their attributes here, so that a span that the sidecar closes for a dead
process looks like those that the process closed itself.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from afterword import words

#: Instrumentation scope of the spans that are made here.
SCOPE: Final = "afterword"

TASK: Final = "afterword.task"
KIND: Final = "afterword.kind"
RUN: Final = "afterword.run"
ROUTE: Final = "afterword.route"
WAIT: Final = "afterword.wait"
OUTCOME: Final = "afterword.outcome"
REASON: Final = "afterword.reason"
PHASE: Final = "afterword.phase"
SWALLOWED: Final = "afterword.swallowed"
STUCK: Final = "afterword.stuck_at"
CLOSED_BY: Final = "afterword.closed_by"
FUNCTION: Final = "code.function.name"
ERROR_TYPE: Final = "error.type"

#: The event on a span that others began before its code did: a sync task waits for a thread in between.
STARTED: Final = "afterword.started"
#: What the marker of a run that is overdue is called, behind the name of its task.
OVERDUE_SUFFIX: Final = " overdue"
OVERDUE: Final = "overdue"
DROPPED: Final = "dropped"
LOST: Final = "lost"
SIDECAR: Final = "sidecar"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: its name, its type, and what it says."""

    name: str
    type: str
    help: str


ATTRIBUTES: Final = (
    Attribute(TASK, "string", "The task, as the label `task` has it. Also the span's name."),
    Attribute(KIND, "string", f"One of {', '.join(words.KINDS)}."),
    Attribute(RUN, "string", "The run's id: in log records, and in the log of the sidecar, it is the same."),
    Attribute(ROUTE, "string", "Method and template of the route that scheduled it, `POST /order/{id}`, if one did."),
    Attribute(WAIT, "double", "Seconds between scheduled and started. Not on a run that never started."),
    Attribute(
        OUTCOME, "string", f"How it ended: {', '.join((*words.OUTCOMES, DROPPED, LOST))}; {OVERDUE} on a marker."
    ),
    Attribute(REASON, "string", "Why it was cancelled, dropped or lost: the label `reason`."),
    Attribute(PHASE, "string", "Of a lost run: whether it was waiting or running."),
    Attribute(SWALLOWED, "boolean", "True when it succeeded although an error was logged or recorded in it."),
    Attribute(STUCK, "string", "Where an overdue run is stuck, as far as that was seen."),
    Attribute(CLOSED_BY, "string", "`sidecar` on what the process could not send itself."),
    Attribute(FUNCTION, "string", "The function, `module.qualname`; not of a lost run whose task has another name."),
    Attribute(ERROR_TYPE, "string", "The exception's class, or the reason; only with the status error."),
)


def identity(task: str, kind: str, run: str, route: str, function: str) -> dict[str, str | float | bool]:
    """The attributes that a run has from its beginning; empty texts are left out."""
    found: dict[str, str | float | bool] = {TASK: task, KIND: kind, RUN: run}
    if route:
        found[ROUTE] = route
    if function:
        found[FUNCTION] = function
    return found


def bad_end(outcome: str, reason: str) -> tuple[dict[str, str | float | bool], str]:
    """The attributes of an ending that is no success, and what its status says."""
    attributes: dict[str, str | float | bool] = {OUTCOME: outcome, ERROR_TYPE: reason}
    if outcome != words.FAILED:
        attributes[REASON] = reason
    return attributes, f"{outcome}: {reason}"


def line(of: Mapping[str, str]) -> str:
    """The text of a bad ending, from the fields of its log record."""
    where = [f"run {of['run_id']}"]
    if of["route"]:
        where.append(f"route {of['route']}")
    if of["trace_id"]:
        where.append(f"trace {of['trace_id']}")
    phase = f" while {of['phase']}" if of.get("phase") else ""
    return f"{of['task']} {of['ending']}: {of['reason']}{phase} ({', '.join(where)})"


def derived(*parts: object) -> int:
    """A number of 128 bits that the same parts always give, and others never: an id that is not drawn by lot."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "big") or 1


def span_id_of(*parts: object) -> int:
    """64 bits of `derived`."""
    return derived(*parts) & ((1 << 64) - 1) or 1
