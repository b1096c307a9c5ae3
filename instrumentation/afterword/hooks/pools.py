"""Calls of thread and process pools: booked when nobody hears that they failed, or when their owner ended before them.

A thread pool runs the function through us. A process pool gets it as it is; there the future tells of begin and end.
"""

import functools
import sys
from collections.abc import Callable
from concurrent.futures.thread import ThreadPoolExecutor
from types import FrameType
from typing import Any, Final

from afterword import words
from afterword.hooks import factory, patches, pooled, spawning
from afterword.hooks.inside import function_among
from afterword.hooks.naming import runs_in_context
from afterword.hooks.pooled import Pooled
from afterword.hooks.process import PROCESS
from afterword.hooks.running import RUNNING
from afterword.hooks.steps import without_this_frame

#: Its functions are run by another interpreter, so they cannot run through this one.
_ELSEWHERE: Final = "InterpreterPoolExecutor"


def install() -> None:
    """Hook `ThreadPoolExecutor.submit` and `ProcessPoolExecutor.submit`."""
    patches.replace(ThreadPoolExecutor, "submit", _submitting(ThreadPoolExecutor.submit, here=True))
    try:
        from concurrent.futures.process import ProcessPoolExecutor
    except ImportError:  # a platform without shared semaphores
        pass
    else:
        patches.replace(ProcessPoolExecutor, "submit", _submitting(ProcessPoolExecutor.submit, here=False))
    if pooled.unheard not in factory.ON_UNHEARD_FUTURE:
        factory.ON_UNHEARD_FUTURE.append(pooled.unheard)


def _submitting(original: Callable[..., Any], *, here: bool) -> Callable[..., Any]:
    @functools.wraps(original)
    def submit(self: Any, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        call = _watched(fn, args, sys._getframe(1)) if PROCESS.active else None
        try:
            if call is None:
                return original(self, fn, *args, **kwargs)
            if not here or (type(self) is not ThreadPoolExecutor and _is_elsewhere(self)):
                return call.follow(original(self, fn, *args, **kwargs), far=True)
            fn, args = _through(call, fn, args)
            return call.follow(original(self, fn, *args, **kwargs), far=False)
        except BaseException as error:
            without_this_frame(error)
            if call is not None:
                call.never(words.DISCARDED)
            raise

    return submit


def _watched(fn: Any, args: tuple[Any, ...], caller: FrameType) -> Pooled | None:
    """A call to follow; None for those that are none of the application's."""
    try:
        function = args[0] if runs_in_context(fn) and args else function_among(fn, args)
        owner = RUNNING.get()
        source = spawning.source_of(function, owner, caller)
        if source is None:
            return None
        call = Pooled(source, owner)
        spawning.keep(call, source, owner)
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        PROCESS.note(error)
        return None
    return call


def _through(call: Pooled, fn: Any, args: tuple[Any, ...]) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The function and its arguments so that it is run by `Pooled.call`, inside of the context it brings along."""
    if runs_in_context(fn) and args:
        return fn, (call.call, *args)
    if type(fn) is functools.partial and runs_in_context(fn.func) and fn.args:  # from `asyncio.to_thread`
        return functools.partial(fn.func, call.call, *fn.args, **fn.keywords), args
    return call.call, (fn, *args)


def _is_elsewhere(pool: Any) -> bool:
    return any(cls.__name__ == _ELSEWHERE for cls in type(pool).__mro__)
