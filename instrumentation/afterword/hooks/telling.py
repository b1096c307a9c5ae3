"""One log record for each run that ends badly: which task, which run, by which route, in which trace.

Never an argument, and of an exception its class. What is found out by a finalizer is told a little later, for there
nobody may wait for the lock of a log handler.
"""

import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from afterword import spans, words
from afterword.hooks.handed_over import RUNS, RunSpan, describe
from afterword.hooks.process import PROCESS
from afterword.ledger.accounts import Account
from afterword.ledger.records import exception_name
from afterword.ledger.slots import Run

#: A warning each: who sends errors to an error tracker has the exception there already.
LOGGER: Final = logging.getLogger("afterword.endings")
_MAX_LATER: Final = 1000
_later: Final[deque[tuple[str, dict[str, str]]]] = deque(maxlen=_MAX_LATER)
_finalizing: Final = threading.local()


def dress(account: Account) -> None:
    """Let bad endings of an account be told from now on."""
    account.fail = _telling(account, account.fail, words.FAILED, lambda how: exception_name(how[1]))
    account.cancel = _telling(account, account.cancel, words.CANCELLED, lambda how: words.CANCEL_REASONS[how[1]])
    account.drop = _telling(account, account.drop, spans.DROPPED, lambda how: words.DROP_REASONS[how[0]])
    account.collect = _telling(account, account.collect, spans.LOST, lambda _: words.LOST_COLLECTED)
    account.swallow = _telling(account, account.swallow, "succeeded", lambda _: "swallowed an error")


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
    def told(run: Run, *how: Any) -> None:
        found = None
        try:
            if run and LOGGER.isEnabledFor(logging.WARNING):
                reason = reason_of(how)
                if not (account.kind == words.WORKER and reason == words.CANCELLED_SHUTDOWN):
                    found = _record(account, run, ending, reason)
        except Exception as error:  # noqa: BLE001 - observing may never break the work
            PROCESS.note(error)
        end(run, *how)
        if found is not None:
            _tell(*found)

    return told


def _tell(text: str, extra: dict[str, str]) -> None:
    _later.append((text, extra))
    if not getattr(_finalizing, "on", False):
        flush()


def _record(account: Account, run: Run, ending: str, reason: str) -> tuple[str, dict[str, str]]:
    name, route = describe(account, run)
    entry = RUNS.get(run)
    found = getattr(entry, "span_context", None)
    trace, span = ids_of(found)
    if not isinstance(entry, RunSpan):
        span = ""  # it is where the run was handed over, not its own
    extra = {
        "task": account.name, "kind": account.kind, "run_id": name, "route": route, "trace_id": trace, "span_id": span,
        "ending": ending, "reason": reason,
    }  # fmt: skip
    return spans.line(extra), extra


def ids_of(span_context: Any) -> tuple[str, str]:
    """Trace and span id as they are written; empty without a span that is sampled."""
    if span_context is None or not span_context.is_valid or not span_context.trace_flags & 1:
        return "", ""
    return f"{span_context.trace_id:032x}", f"{span_context.span_id:016x}"
