"""A record in the ledger and one in the log for each run that ends badly: which task, run, route and trace.

Never an argument, and of an exception its class. What is found out by a finalizer is told a little later, for there
nobody may wait for the lock of a log handler.
"""

import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from afterword import spans, words
from afterword.hooks.handed_over import RUNS, RunSpan, describe, ledger_of
from afterword.hooks.process import PROCESS
from afterword.ledger import layout
from afterword.ledger.accounts import Account
from afterword.ledger.bad_endings import BadEnding
from afterword.ledger.open_ledger import OpenLedger
from afterword.ledger.records import exception_name
from afterword.ledger.slots import Run, route_of

#: A warning each: who sends errors to an error tracker has the exception there already.
LOGGER: Final = logging.getLogger("afterword.endings")
_MAX_LATER: Final = 1000
_later: Final[deque[tuple[str, dict[str, str]]]] = deque(maxlen=_MAX_LATER)
_finalizing: Final = threading.local()


def dress(account: Account) -> None:
    """Let bad endings of an account be told from now on."""
    account.fail = _telling(account, account.fail, words.FAILED, lambda how: exception_name(how[1]))
    account.cancel = _telling(account, account.cancel, words.CANCELLED, lambda how: words.CANCEL_REASONS[how[1]])
    account.drop = _telling(account, account.drop, words.DROPPED, lambda how: words.DROP_REASONS[how[0]])
    account.collect = _telling(account, account.collect, words.LOST, lambda _: words.LOST_COLLECTED)
    account.swallow = _telling(account, account.swallow, words.SWALLOWED, lambda _: "")


@contextlib.contextmanager
def in_finalizer() -> Iterator[None]:
    """What is booked within may be told only later."""
    outer, _finalizing.on = getattr(_finalizing, "on", False), True
    try:
        yield
    finally:
        _finalizing.on = outer  # one may run within another


def flush() -> None:
    """Tell what finalizers found out."""
    while _later:
        try:
            text, extra = _later.popleft()
        except IndexError:  # another thread was faster
            return
        LOGGER.warning("%s", text, extra=extra)


PROCESS.at_exit.append(flush)


def _telling(
    account: Account, end: Callable[..., None], ending: str, reason_of: Callable[[Any], str]
) -> Callable[..., None]:
    def end_and_tell(run: Run, *how: Any) -> None:
        ledger, ended, told = None, None, None
        try:
            reason = reason_of(how)
            ledger = None if _is_how_it_should_end(account, reason) else ledger_of(run)
            if run and ledger is not None and ledger.is_own(run):
                ended = _ended(ledger, run, ending, reason)
                if LOGGER.isEnabledFor(logging.WARNING):
                    told = _told(account, ended, *describe(run))
        except Exception as error:  # noqa: BLE001 - observing may never break the work
            PROCESS.note(error)
        end(run, *how)
        if ended is not None and ledger is not None:  # booked first: who is killed in between has it there, once
            _keep(ledger, account, ended)
        if told is not None:
            _tell(*told)

    return end_and_tell


def _is_how_it_should_end(account: Account, reason: str) -> bool:
    return account.kind == words.WORKER and reason == words.CANCELLED_SHUTDOWN


def _keep(ledger: OpenLedger, account: Account, ended: BadEnding) -> None:
    try:
        ledger.note_ending(account, ended)
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        PROCESS.note(error)


def _tell(text: str, extra: dict[str, str]) -> None:
    _later.append((text, extra))
    if not getattr(_finalizing, "on", False):
        flush()


def _ended(ledger: OpenLedger, run: Run, ending: str, reason: str) -> BadEnding:
    """What the ledger keeps of a run that is about to end badly: read before its slot is another run's."""
    view, entry = ledger.context.words, RUNS.get(run)
    has_slot = run > 0
    scheduled = view[run + 1] if has_slot else 0
    is_running = has_slot and view[run] & layout.STATE_MASK == layout.IS_RUNNING
    context: Any = getattr(entry, "span_context", None)
    traced = is_sampled(context)
    return BadEnding(
        sequence=0,
        task=0,
        ending=ending,
        reason=reason,
        route=route_of(view[run + layout.SLOT_ORIGIN], scheduled) if has_slot else 0,
        run=run,
        scheduled=scheduled,
        started=view[run + 2] if is_running else 0,
        ended=time.monotonic_ns(),
        trace=context.trace_id if traced else 0,
        # Of one that has no span of its own it would be where it was handed over.
        span=context.span_id if traced and isinstance(entry, RunSpan) else 0,
    )


def _told(account: Account, ended: BadEnding, name: str, route: str) -> tuple[str, dict[str, str]]:
    swallowed = ended.ending == words.SWALLOWED
    extra = {
        "task": account.name, "kind": account.kind, "run_id": name, "route": route,
        "trace_id": f"{ended.trace:032x}" if ended.trace else "",
        "span_id": f"{ended.span:016x}" if ended.span else "",
        "ending": words.SUCCEEDED if swallowed else ended.ending,
        "reason": "swallowed an error" if swallowed else ended.reason,
    }  # fmt: skip
    return spans.line(extra), extra


def is_sampled(span_context: Any) -> bool:
    """Whether there is a span, and somebody keeps it."""
    return span_context is not None and span_context.is_valid and bool(span_context.trace_flags & 1)


def ids_of(span_context: Any) -> tuple[str, str]:
    """Trace and span id as they are written; empty without a span that is sampled."""
    if not is_sampled(span_context):
        return "", ""
    return f"{span_context.trace_id:032x}", f"{span_context.span_id:016x}"
