"""How a spawned task that is a run ended: what it raised, what it returned, who cancelled it."""

import asyncio
from typing import TYPE_CHECKING

from afterword import words
from afterword.hooks import alone, waiters
from afterword.hooks.ending import ended_too_early
from afterword.hooks.process import PROCESS
from afterword.hooks.running import CANCELLED, Notes, book_end

if TYPE_CHECKING:
    from afterword.hooks.spawned import Spawned
    from afterword.ledger.accounts import Account


def book(child: "Spawned", account: "Account", error: BaseException, notes: Notes | None) -> None:
    """Book its end; ``error`` is what its last step raised, StopIteration when it returned."""
    if isinstance(error, StopIteration):
        if account.kind == words.WORKER and ended_too_early(child):
            account.fail(child.run, child.since, words.RETURNED)
        elif notes is None and error.value is None and account.plain:
            account.succeed(child.run, child.since)
        else:
            task = child.its_task()
            heard = task is not None and waiters.awaited(task)
            book_end(account, child.run, child.since, notes, error.value, dropped=not heard)
    elif isinstance(error, asyncio.CancelledError):
        account.cancel(child.run, child.since, CANCELLED[_cancelled_by(child)])
    else:
        account.fail(child.run, child.since, type(error))


def _cancelled_by(child: "Spawned") -> str:
    if PROCESS.stopping:
        return words.CANCELLED_SHUTDOWN
    if alone.is_cancelling(child.its_task()):
        return words.CANCELLED_ORPHANED if child.orphan else words.CANCELLED_REQUESTED
    return words.CANCELLED_INNER
