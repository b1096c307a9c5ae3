"""Threads that the application starts: booked when they fail, or when whoever started them has ended before them.

A started thread gets a ``run`` of its own, an attribute of the object, which takes itself off again before it calls
the one it hides: no class is changed, and while a thread runs it looks as it always did.
"""

import functools
import sys
import threading
from collections.abc import Callable
from types import FrameType, MethodType
from typing import Any, Final

from afterword import words
from afterword.hooks import patches, spawning
from afterword.hooks.call import CURRENT
from afterword.hooks.code import loops
from afterword.hooks.ending import end_raised, leave
from afterword.hooks.naming import runs_in_context, unwrapped
from afterword.hooks.origin import Origin
from afterword.hooks.outside import Outside
from afterword.hooks.process import PROCESS
from afterword.hooks.running import CANCELLED, RUNNING, nobody_runs
from afterword.hooks.steps import without_this_frame
from afterword.hooks.workers import WORKERS

#: Of what is started with such a delay nobody waits for the start, and a clock may not run over.
_MAX_DELAY: Final = 366 * 86400
_MISSING: Final = object()


def install() -> None:
    """Hook `threading.Thread.start`."""
    original = threading.Thread.start

    @functools.wraps(original)
    def start(self: threading.Thread, *args: Any, **kwargs: Any) -> None:
        child = _watched(self, sys._getframe(1)) if PROCESS.active else None
        try:
            original(self, *args, **kwargs)
        except BaseException as error:
            without_this_frame(error)
            if child is not None:
                child.never_started(self)
            raise

    patches.replace(threading.Thread, "start", start)


def _watched(thread: threading.Thread, caller: FrameType) -> "Thread | None":
    """Put our ``run`` on a thread that is about to start; None for those that are none of the application's."""
    try:
        if thread.ident is not None:
            return None  # it has been started before, and is told so
        kind = next(cls for cls in type(thread).__mro__ if "run" in cls.__dict__)
        function = _function_of(thread, kind)
        owner = RUNNING.get()
        source = spawning.source_of(function, owner, caller) if callable(function) else None
        if source is None:
            return None
        make: type[Thread] = _Timer if kind is threading.Timer else Thread
        child = make(source, owner, thread, function)
        spawning.keep(child, source, owner)
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        PROCESS.note(error)
        return None
    return child


def _function_of(thread: Any, kind: type) -> Any:
    """What a thread runs: its own ``run``, else what it was made with."""
    if kind is threading.Timer:
        return thread.function
    if kind is not threading.Thread:
        return kind.__dict__["run"]
    target, args = getattr(thread, "_target", None), getattr(thread, "_args", ())
    return args[0] if args and runs_in_context(target) else target


class Thread(Outside):
    """One thread the application started."""

    def __init__(self, source: Origin, parent: Any, thread: threading.Thread, function: Callable[..., Any]) -> None:
        super().__init__(source, parent)
        body = getattr(unwrapped(function), "__code__", None)
        #: Started by nobody who could end before it: it goes on as long as the process, if it goes round.
        self._serves = parent is None and CURRENT.get() is None and body is not None and loops(body)
        self._result: Any = None
        self._hidden: Any = thread.__dict__.get("run", _MISSING)
        # A method, for whoever patches threads as well takes the function out of it and passes the thread.
        thread.__dict__["run"] = MethodType(self, thread)

    def orphaned(self, *, by_owner: bool) -> bool:
        """Settle it: nobody can wait for what a thread returns, so what goes on is adopted."""
        self.orphan = self.orphan or by_owner
        if self.afterword_account is None and not self.ended:
            self.adopt(words.WORKER if self._serves else words.THREAD)
            account = self.afterword_account
            if account is not None and account.kind == words.WORKER:
                WORKERS.add(self)
        return True

    def never_started(self, thread: threading.Thread) -> None:
        """It could not be started."""
        self._take_off(thread)
        self.never(words.DISCARDED)

    def __call__(self, thread: threading.Thread, /) -> None:
        """The thread, from its first to its last step."""
        run = self._take_off(thread)
        self.ident, self.native_id = threading.get_ident(), threading.get_native_id()
        self._before(thread)
        token = RUNNING.set(self)
        try:
            run()
        except BaseException as error:
            without_this_frame(error)
            self.finish(error)
            raise
        finally:
            leave(token)
            self._after(thread)
        result, self._result = self._result, None
        self.finish(None, result)

    def _take_off(self, thread: threading.Thread) -> Callable[[], None]:
        """Give a thread its own ``run`` back; that is what is returned."""
        state = thread.__dict__
        if getattr(state.get("run"), "__func__", None) is self:
            if self._hidden is _MISSING:
                del state["run"]
            else:
                state["run"] = self._hidden
        if self._hidden is _MISSING:
            return functools.partial(type(thread).run, thread)
        return self._hidden  # type: ignore[no-any-return]  # what somebody set there

    def _before(self, thread: Any) -> None:
        """It begins. `Thread.run` drops what the function returns, so the function is called through us."""
        self.begin()
        if self._is_plain(thread):
            thread._target, thread._args = self.call, (thread._target, *thread._args)

    def _is_plain(self, thread: Any) -> bool:
        return "_target" in thread.__dict__ and type(thread).run is threading.Thread.run

    def _after(self, thread: Any) -> None:
        """Whatever ran in the place of `Thread.run` has left it there."""
        if thread.__dict__.get("_target") == self.call:
            thread._target, *args = thread._args
            thread._args = tuple(args)

    def call(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None:
        """Call the function, and keep what it returns."""
        try:
            self._result = function(*args, **kwargs)
        except BaseException as error:
            without_this_frame(error)
            raise

    def _is_wasted(self, result: Any) -> bool:
        return result is not None and nobody_runs(result)

    def _failed_alone(self, error: BaseException) -> None:
        account = self._open_ended()
        if account is not None:
            end_raised(account, self.run, self.since, error)


class _Timer(Thread):
    """A `threading.Timer`: it waits until it fires, and may be cancelled before."""

    def __init__(self, source: Origin, parent: Any, thread: Any, function: Callable[..., Any]) -> None:
        super().__init__(source, parent, thread, function)
        delay = thread.interval
        if isinstance(delay, int | float) and 0 < delay < _MAX_DELAY:
            self.created += int(delay * 1e9)  # its wait begins when it is due

    def adopt(self, kind: str = words.THREAD) -> None:  # noqa: ARG002 - one that waits at the start is no worker
        """Book it as a run of its own."""
        super().adopt(words.THREAD)

    def finish(self, error: BaseException | None, result: Any = None) -> None:
        """It fired, or it was cancelled before."""
        if self.begun or error is not None:
            return super().finish(error, result)
        try:
            with self.turn:
                self.ended = True
                account = self.afterword_account
            if account is not None:
                self.begin()
                reason = words.CANCELLED_SHUTDOWN if PROCESS.stopping else words.CANCELLED_REQUESTED
                account.cancel(self.run, self.since, CANCELLED[reason])
        except Exception as trouble:  # noqa: BLE001 - observing may never break the work
            PROCESS.note(trouble)
        return None

    def _before(self, thread: Any) -> None:
        thread.function = _Fires(self, thread.function)

    def _after(self, thread: Any) -> None:
        if isinstance(thread.function, _Fires):
            thread.function = thread.function.function


class _Fires:
    """A timer's function: when it is called, the run begins."""

    __slots__ = ("function", "timer")

    def __init__(self, timer: _Timer, function: Callable[..., Any]) -> None:
        self.timer, self.function = timer, function

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        timer = self.timer
        timer.begin()
        try:
            timer.call(self.function, *args, **kwargs)
        except BaseException as error:
            without_this_frame(error)
            raise

    def __getattr__(self, name: str) -> Any:
        """Whoever looks at the timer sees its function."""
        return getattr(self.function, name)
