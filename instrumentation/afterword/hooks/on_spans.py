"""What is written on the span of a run, and the exemplar that leads from a number to it."""

import time
from typing import Any

from afterword import spans
from afterword.hooks.handed_over import describe
from afterword.hooks.process import PROCESS
from afterword.hooks.tracer import TRACING
from afterword.ledger.accounts import Account
from afterword.ledger.slots import Run


def identity(account: Account, run: Run) -> dict[str, Any]:
    """What a span says of its run from the beginning."""
    return spans.identity(account.name, account.kind, *describe(run), account.function)


def ended_badly(span: Any, outcome: str, reason: str) -> None:
    """Say on the span of a run how that ended, which was no success."""
    attributes, status = spans.bad_end(outcome, reason)
    span.set_attributes(attributes)
    span.set_status(TRACING.api.Status(TRACING.api.StatusCode.ERROR, status))


def exemplar(account: Account, of: int, found: Any, took: int, at: int) -> None:
    """Keep a run that was sampled as the example of what it is ``of``; times in ns, ``at`` monotonic."""
    owner = PROCESS.owner
    ledger = owner.ledger if owner is not None else None
    if ledger is not None and ledger.context.words is account.words:
        ledger.note_exemplar(account.mark - 1, of, found.trace_id, found.span_id, took, at)


def wall(monotonic_ns: int) -> int:
    """Unix time of a moment on our monotonic clock, in ns."""
    return time.time_ns() - (time.monotonic_ns() - monotonic_ns)
