"""BackgroundTasks and tasks set on a Response: booked when handed over, when they begin, when they end.

`add_task` and `BackgroundTask.__init__` make a `TrackedTask`, which books itself when it is called.
`BackgroundTask.__call__` stays where it is and is used as it is at that moment, so that other
instrumentations of BackgroundTask, loaded before or after, still see every task.
"""

import functools
import sys
from collections.abc import Callable
from types import FrameType, FunctionType
from typing import Any, Final

from starlette._utils import is_async_callable
from starlette.background import BackgroundTask, BackgroundTasks

from afterword import words
from afterword.hooks import patches
from afterword.hooks.call import BACKGROUND_RAN, CURRENT, ENDED, NOT_OURS, Call, being_cancelled, drop_waiting
from afterword.hooks.code import users_frame
from afterword.hooks.inside import function_inside
from afterword.hooks.naming import function_name, identify
from afterword.hooks.process import PROCESS
from afterword.hooks.tracer import TRACING
from afterword.hooks.tracked import TrackedAsyncTask, TrackedTask, tracked_version
from afterword.ledger.accounts import Account
from afterword.ledger.layout import SLOT_ORIGIN
from afterword.ledger.slots import note_origin

try:
    from fastapi.background import BackgroundTasks as FastAPIBackgroundTasks
except ImportError:  # a Starlette application without FastAPI
    FastAPIBackgroundTasks = BackgroundTasks  # type: ignore[assignment,misc]

_MAX_KNOWN: Final = 4096


class _Known:
    """What is looked up once per function: its account, and whether it is awaited."""

    __slots__ = ("account", "cls")

    def __init__(self, account: Account, is_async: bool) -> None:
        self.account, self.cls = account, TrackedAsyncTask if is_async else TrackedTask


_known: Final[dict[Any, _Known]] = PROCESS.known


def install() -> None:
    """Hook the classes."""
    init, add = BackgroundTask.__init__, BackgroundTasks.add_task
    ours = patches.is_known(add) and patches.is_known(init)
    if ours:
        below = _adding(add)
        patches.replace(BackgroundTasks, "add_task", below)
        above = FastAPIBackgroundTasks.__dict__.get("add_task")
        if above is not None and above is not add and patches.is_known(above):
            patches.replace(FastAPIBackgroundTasks, "add_task", _adding(above, below))
    patches.replace(BackgroundTask, "__init__", _initialising(init, words.RESPONSE if ours else words.BACKGROUND))
    for container in {BackgroundTasks, FastAPIBackgroundTasks}:
        if "__call__" in container.__dict__:
            patches.replace(container, "__call__", _watched(container.__dict__["__call__"]))


def _adding(  # noqa: C901 - one step a line, and no calls between them: every task comes through here
    original: Callable[..., None], below: Callable[..., None] | None = None
) -> Callable[..., None]:
    """`add_task` with Starlette's own steps, but the look at `func` cached.

    FastAPI's calls Starlette's: ours does without as long as that is ``below``, for others may have hooked it since.
    """

    @functools.wraps(original)
    def add_task(self: BackgroundTasks, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        if below is not None and BackgroundTasks.add_task is not below:
            return original(self, func, *args, **kwargs)
        try:
            known = _known[func] if type(func) is FunctionType else _look_up(func, words.BACKGROUND)
        except KeyError:
            known = _look_up(func, words.BACKGROUND)
        if known is None:
            return original(self, func, *args, **kwargs)
        cls = known.cls
        task = cls.__new__(cls)
        task.func = func
        task.args = args  # type: ignore[assignment]  # Starlette's ParamSpec is meant for its own __init__
        task.kwargs = kwargs  # type: ignore[assignment]
        task.afterword_account = account = known.account
        try:
            call = CURRENT.get()
            if call is None or call.stage:
                _hand_over(task, call)
            else:
                task.afterword_run = run = account.schedule()
                if run > 0:
                    route = call.route
                    if route < 0:
                        route = call.find_route()
                    if TRACING.on:
                        note_origin(account.words, run, route)
                    else:
                        account.words[run + SLOT_ORIGIN] = route
                call.tasks.append(task)
                if call.stage:
                    _settle_if_ended(call)
        except Exception as error:  # noqa: BLE001 - observing may never break the work
            PROCESS.note(error)
        self.tasks.append(task)
        return None

    return add_task


def _initialising(original: Callable[..., None], kind: str) -> Callable[..., None]:
    """`BackgroundTask.__init__`: within a call the task is handed over now, otherwise when it runs."""

    @functools.wraps(original)
    def init(self: BackgroundTask, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        original(self, func, *args, **kwargs)
        if not PROCESS.active or isinstance(self, BackgroundTasks | TrackedTask):
            return
        known = _look_up(func, kind)
        if known is None:
            return
        try:
            self.__class__ = tracked_version(type(self))
            task: TrackedTask = self  # type: ignore[assignment]  # it has just become one
            task.afterword_account = known.account
            call = CURRENT.get()
            if call is not None and call.stage != ENDED:
                _hand_over(task, call)
        except Exception as error:  # noqa: BLE001 - observing may never break the work
            PROCESS.note(error)

    return init


def _look_up(func: Callable[..., Any], kind: str) -> _Known | None:
    """The account of whatever is handed over; None if it cannot be booked."""
    owner = PROCESS.owner
    if owner is None or not PROCESS.active or CURRENT.get() is NOT_OURS:
        return None
    try:
        name, declaration = identify(function_inside(func) or func)
        if not callable(func) and not hasattr(func, "__qualname__"):
            name = _handed_over(func, users_frame(sys._getframe(2)))
        account = owner.account(name, kind, declaration)
        account.function = account.function or function_name(function_inside(func) or func)
        known = _Known(account, is_async_callable(func))
        if kind == words.BACKGROUND and type(func) is FunctionType and "<locals>" not in func.__qualname__:
            if len(_known) >= _MAX_KNOWN:
                _known.clear()
            _known[func] = known
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        PROCESS.note(error)
        return None
    return known


def _handed_over(thing: object, by: FrameType | None) -> str:
    """The name of what is no function, most often what one returned that should have been passed: its line is known."""
    where = "" if by is None else f"{by.f_globals.get('__name__')}.{by.f_code.co_qualname}."
    return f"{where}<{type(thing).__name__}>"


def _hand_over(task: TrackedTask, call: Call | None) -> None:
    """Book a task that was handed over anywhere but in a request that has not answered yet."""
    if call is NOT_OURS:
        del task.afterword_account
        task.is_async = task.is_async  # from the class to the object
        task.__class__ = BackgroundTask  # type: ignore[assignment]  # it has never been one of ours
        return
    task.afterword_run = run = task.afterword_account.schedule()
    note_origin(task.afterword_account.words, run, 0 if call is None else call.find_route())
    if call is None:
        task.afterword_loosen(words.DISCARDED)
    elif call.stage == ENDED:
        task.afterword_loosen(words.ADDED_TOO_LATE)
    else:
        if call.stage == BACKGROUND_RAN:
            task.afterword_reason = words.ADDED_TOO_LATE
        call.keep(task)
        _settle_if_ended(call)


def _settle_if_ended(call: Call) -> None:
    """Another thread may have ended the call since we looked."""
    if call.stage == ENDED:
        call.settle(None)


def _watched(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A container's `__call__`: tasks behind one that raised will never start, and are booked so at once."""

    @functools.wraps(original)
    async def run_all(self: BackgroundTasks) -> None:
        try:
            await original(self)
        except BaseException as error:
            _settle_container(self, words.SHUTDOWN if being_cancelled(error) else words.SIBLING_FAILED)
            raise
        finally:
            call = CURRENT.get()
            if call is not None:
                call.background_ran()

    return run_all


def _settle_container(container: BackgroundTasks, reason: str) -> None:
    try:
        drop_waiting(container.tasks, reason)
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        PROCESS.note(error)
