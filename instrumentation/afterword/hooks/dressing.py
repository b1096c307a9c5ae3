"""What is put around the calls of accounts: the spans of their runs, and the records of bad endings."""

from typing import TYPE_CHECKING

from afterword.hooks import run_spans, telling, their_spans
from afterword.hooks.process import PROCESS
from afterword.hooks.tracer import TRACING

if TYPE_CHECKING:
    from afterword.ledger.accounts import Account


def dress(account: "Account") -> None:
    """What is put around the calls of an account: its runs' spans, and the records of bad endings."""
    if TRACING.on:
        run_spans.dress(account)
    telling.dress(account)


def look_for_tracer() -> None:
    """Trace from now on, if the application has set a provider."""
    owner = PROCESS.owner
    if not TRACING.on and TRACING.look() and owner is not None:
        their_spans.install()
        owner.redress()
