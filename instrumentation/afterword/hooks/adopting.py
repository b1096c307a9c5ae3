"""A child becomes a run of its own, from outside of its context: booked on its behalf, with the span it should have."""

from typing import TYPE_CHECKING, Any

from afterword.hooks.run_spans import begin_outside
from afterword.hooks.tracer import BEHALF, TRACING

if TYPE_CHECKING:
    from afterword.ledger.accounts import Account


def open_for(child: Any, account: "Account") -> None:
    """Let a spawned task, a thread or a call of a pool open its run in ``account``."""
    token = BEHALF.set(child)
    try:
        child.put_into(account)
    finally:
        BEHALF.reset(token)
    child.afterword_account = account
    if TRACING.on and child.begun:
        begin_outside(account, child.run, child.since)


def start_for(child: Any, account: "Account") -> int:
    """Book that a child begins where this thread is not; when that was."""
    token = BEHALF.set(child)
    try:
        since = account.start(child.run)
    finally:
        BEHALF.reset(token)
    if TRACING.on:
        begin_outside(account, child.run, since)
    return since
