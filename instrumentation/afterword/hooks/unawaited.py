"""Coroutines that nobody awaits: booked as dropped when the interpreter warns of one."""

import sys
import warnings
from collections.abc import Callable
from types import FrameType, FunctionType, SimpleNamespace
from typing import Any, Final

from afterword import words
from afterword.hooks import origin, patches, running
from afterword.hooks.call import CURRENT, NOT_OURS
from afterword.hooks.code import called_by_user, is_users
from afterword.hooks.process import PROCESS
from afterword.hooks.telling import in_finalizer

NEVER_AWAITED: Final = words.DROP_REASONS.index(words.NEVER_AWAITED)
Warn = Callable[[Any], None]


def install() -> None:
    """Hook what the interpreter calls for a coroutine that is destroyed before it began."""
    original: Warn = warnings._warn_unawaited_coroutine  # type: ignore[attr-defined]  # CPython's own hook
    warn = _as_seen_from_outside(original)

    def _warn_unawaited_coroutine(coro: Any) -> None:
        if PROCESS.active:
            try:
                _unawaited(coro, sys._getframe(1))
            except Exception as error:  # noqa: BLE001 - observing may never break the work
                PROCESS.note(error)
        warn(coro)

    patches.replace(warnings, "_warn_unawaited_coroutine", _warn_unawaited_coroutine)


def _as_seen_from_outside(original: Warn) -> Warn:
    """The warning names the line that forgot the coroutine, which is now two calls further out than it counts."""
    if type(original) is not FunctionType or original.__module__ not in ("warnings", "_py_warnings"):
        return original

    def warn(message: Any, category: Any = None, stacklevel: int = 1, source: Any = None) -> None:
        warnings.warn(message, category, stacklevel + 2, source)

    names = {**original.__globals__, "warn": warn, "_wm": SimpleNamespace(warn=warn)}  # the latter since Python 3.14
    return FunctionType(original.__code__, names, original.__name__)


def _unawaited(coro: Any, forgot: FrameType) -> None:
    """Book it, if it is the application's own or the application's line forgot it."""
    if id(coro) in running.TOLD:
        running.TOLD.discard(id(coro))
        return
    if CURRENT.get() is NOT_OURS or not (is_users(coro.cr_code.co_filename) or called_by_user(forgot)):
        return
    account = origin.of_coroutine(coro).account(words.ASYNCIO)
    if account is not None:
        run = account.schedule()  # may open the ledger, and then it is another `drop`
        with in_finalizer():
            account.drop(run, NEVER_AWAITED)
