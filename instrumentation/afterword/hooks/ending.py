"""Booking what happens to a run, from inside the user's work: whatever goes wrong here never gets out."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from afterword import words
from afterword.hooks.call import CURRENT, being_cancelled
from afterword.hooks.process import PROCESS
from afterword.hooks.running import CANCELLED, RUNNING, Notes, settle_children
from afterword.ledger.accounts import Account
from afterword.ledger.slots import NO_RUN, Run, note_origin

if TYPE_CHECKING:
    from contextvars import Token

#: A worker that returned within this had tried something at start until that went well, in ns.
_ROUNDS_NS: Final = 60_000_000_000


def end_raised(account: Account, run: Run, since: int, error: BaseException) -> None:
    """Book a run that raised."""
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        end(account.cancel, run, since, CANCELLED[_cancelled_by(error)])
    else:
        end(account.fail, run, since, type(error))


def _cancelled_by(error: BaseException) -> str:
    if PROCESS.stopping:
        return words.CANCELLED_SHUTDOWN
    try:
        return words.CANCELLED_REQUEST if being_cancelled(error) else words.CANCELLED_INNER
    except RuntimeError:  # in a thread, where no loop runs
        return words.CANCELLED_INNER


def leave(token: "Token[Any]") -> None:
    """The run is over; what was copied from its context keeps it."""
    try:  # noqa: SIM105 - once a run, and suppress() costs ten times as much
        RUNNING.reset(token)
    except ValueError:  # closed from outside, in another context than its own
        pass


def settle(notes: Notes | None) -> None:
    """What a run spawned, now that it has ended."""
    try:
        settle_children(notes)
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        noted(error)


def schedule(account: Account) -> Run:
    """Book a run that begins without having been handed over."""
    try:
        run = account.schedule()
        if account.kind != words.WORKER:
            call = CURRENT.get()
            note_origin(account.words, run, 0 if call is None else max(call.route, 0))
        return run
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        PROCESS.note(error)
        return NO_RUN


def noted(error: Exception) -> int:
    """One of our own errors, in the place of a time."""
    PROCESS.note(error)
    return 0


def start(account: Account, run: Run) -> int:
    """Book that a run's code begins; when that was."""
    try:
        return account.start(run)
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        PROCESS.note(error)
        return 0


def end(call: Callable[..., None], *args: Any) -> None:
    """Make a booking call."""
    try:
        call(*args)
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        PROCESS.note(error)


def ended_too_early(worker: Any) -> bool:
    """Whether a worker that returned had no reason to: it has to succeed every so often, or went round for long."""
    if PROCESS.stopping:
        return False
    if worker.origin.declaration.every is not None:
        return True
    return bool(worker.goes_round) and time.monotonic_ns() - worker.created > _ROUNDS_NS / PROCESS.time_scale
