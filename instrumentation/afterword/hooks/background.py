"""BackgroundTasks and tasks set on a Response: booked when handed over, when they begin, when they end.

`add_task` and `BackgroundTask.__init__` make a `TrackedTask`, which books itself when it is called.
The classes' own `__call__` stays where it is and is used as it is at that moment, so that other
instrumentations of BackgroundTask, loaded before or after, still see every task.
"""

import asyncio
import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any, Final

from fastapi.background import BackgroundTasks as FastAPIBackgroundTasks
from starlette._utils import is_async_callable
from starlette.background import BackgroundTask, BackgroundTasks
from starlette.concurrency import run_in_threadpool

from afterword import words
from afterword.hooks import patches
from afterword.hooks.call import BACKGROUND_RAN, CURRENT, OPEN, REASON, Call, drop_waiting
from afterword.hooks.naming import identify
from afterword.hooks.process import PROCESS
from afterword.ledger.accounts import NO_RUN, Account, Run

_MAX_KNOWN: Final = 4096


def _pristine() -> Any:
    """Starlette's own `BackgroundTask.__call__`; None when somebody replaced it before us."""
    call = BackgroundTask.__call__
    return call if getattr(call, "__module__", "") == "starlette.background" else None


_PRISTINE_CALL: Final = _pristine()
_original_init = BackgroundTask.__init__
_original_add = BackgroundTasks.add_task
_direct_kind = words.RESPONSE


class TrackedTask(BackgroundTask):
    """A background task that books its own run. Looks and behaves like the class it replaces."""

    afterword_account: Account
    afterword_run: Run = NO_RUN
    afterword_late: bool = False

    async def __call__(self) -> None:
        account, run = self.afterword_account, self.afterword_run or self.afterword_account.schedule()
        self.afterword_run = NO_RUN
        if not self.is_async:
            return await _run_in_thread(self, account, run)
        since = _start(account, run)
        try:
            if BackgroundTask.__call__ is _PRISTINE_CALL:
                await self.func(*self.args, **self.kwargs)
            else:
                await BackgroundTask.__call__(self)
        except asyncio.CancelledError:
            _end(account.cancel, run, since)
            raise
        except BaseException as error:
            _end(account.fail, run, since, type(error))
            raise
        _end(account.succeed, run, since)
        return None

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy is a plain task: one run has one owner."""
        return _plain, (self.func, self.args, self.kwargs)


class LooseTask(TrackedTask):
    """A task handed over where no ASGI call will settle it: dropped when it is forgotten."""

    def __del__(self) -> None:
        try:
            reason = words.ADDED_TOO_LATE if self.afterword_late else words.DISCARDED
            drop_waiting([self], reason)
        except Exception:  # noqa: S110 - the interpreter may be going down around us
            pass


class ThreadRun:
    """The function of a sync task on its way through the thread pool: it starts when a thread takes it."""

    __slots__ = ("account", "function", "run", "taken")

    def __init__(self, function: Callable[..., Any], account: Account, run: Run) -> None:
        self.function, self.account, self.run, self.taken = function, account, run, False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.taken = True
        account, run = self.account, self.run
        since = _start(account, run)
        try:
            result = self.function(*args, **kwargs)
        except BaseException as error:
            _end(account.fail, run, since, type(error))
            raise
        _end(account.succeed, run, since)
        return result

    def __getattr__(self, name: str) -> Any:
        """Other instrumentations name the task by its function."""
        if name in ("__name__", "__qualname__"):
            return getattr(self.function, name, type(self.function).__name__)
        return getattr(self.function, name)


class _Known:
    """What is looked up once per function: its account, and whether it is awaited."""

    __slots__ = ("account", "is_async")

    def __init__(self, account: Account, is_async: bool) -> None:
        self.account, self.is_async = account, is_async


_known: dict[Any, _Known] = {}


def install() -> None:
    """Hook the classes; `remove` restores what this found."""
    global _original_init, _original_add, _direct_kind
    _known.clear()
    _original_init, _original_add = BackgroundTask.__init__, BackgroundTasks.add_task
    if patches.is_known(_original_add) and patches.is_known(_original_init):
        _direct_kind = words.RESPONSE
        patches.replace(BackgroundTasks, "add_task", _add_task)
    else:
        _direct_kind = words.BACKGROUND
    patches.replace(BackgroundTask, "__init__", _init)
    for container in (BackgroundTasks, FastAPIBackgroundTasks):
        if "__call__" in container.__dict__:
            patches.replace(container, "__call__", _watched(container.__dict__["__call__"]))


def remove() -> None:
    """Undo `install`."""
    patches.restore()
    _known.clear()


def _add_task(self: BackgroundTasks, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """`add_task` with Starlette's own steps, but the look at `func` cached."""
    try:
        known = _known[func] if type(func) is FunctionType else _look_up(func, words.BACKGROUND)
    except KeyError:
        known = _look_up(func, words.BACKGROUND)
    if known is None:
        return _original_add(self, func, *args, **kwargs)
    task = TrackedTask.__new__(TrackedTask)
    task.func = func
    task.args = args
    task.kwargs = kwargs
    task.is_async = known.is_async
    task.afterword_account = account = known.account
    call = CURRENT.get()
    if call is None or call.stage:
        _schedule_loose(task, call)
    else:
        task.afterword_run = account.schedule()
        call.tasks.append(task)
    self.tasks.append(task)
    return None


def _init(self: BackgroundTask, func: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """`BackgroundTask.__init__`: within a call the task is handed over now, otherwise when it runs."""
    _original_init(self, func, *args, **kwargs)
    if not PROCESS.active or isinstance(self, BackgroundTasks | TrackedTask):
        return
    try:
        known = _look_up(func, _direct_kind)
        if known is None:
            return
        self.__class__ = _tracked_version(type(self))
        task: TrackedTask = self  # type: ignore[assignment]  # it has just become one
        task.afterword_account = known.account
        call = CURRENT.get()
        if call is not None and not call.stage:
            task.afterword_run = known.account.schedule()
            call.tasks.append(task)
    except Exception as error:
        PROCESS.note(error)


def _look_up(func: Callable[..., Any], kind: str) -> _Known | None:
    """The account of whatever is handed over; None if it cannot be booked."""
    owner = PROCESS.owner
    if owner is None or not PROCESS.active:
        return None
    try:
        name, declaration = identify(func)
        known = _Known(owner.account(name, kind, declaration), is_async_callable(func))
        if kind == words.BACKGROUND and type(func) is FunctionType and "<locals>" not in func.__qualname__:
            if len(_known) >= _MAX_KNOWN:
                _known.clear()
            _known[func] = known
    except Exception as error:
        PROCESS.note(error)
        return None
    return known


def _schedule_loose(task: TrackedTask, call: Call | None) -> None:
    """Handed over outside of an open call: no settlement will come, so the object itself must tell."""
    task.__class__ = LooseTask
    task.afterword_late = call is not None
    task.afterword_run = task.afterword_account.schedule()


def _tracked_version(cls: type[BackgroundTask]) -> type[TrackedTask]:
    """`TrackedTask` for Starlette's class; a user's own subclass keeps its `__call__`, which is booked around."""
    if cls is BackgroundTask:
        return TrackedTask
    if cls not in _tracked_classes:
        _tracked_classes[cls] = type(cls.__name__, (_TrackedSubclass, cls), {"__module__": cls.__module__})
    return _tracked_classes[cls]


class _TrackedSubclass(TrackedTask):
    """For subclasses of BackgroundTask that users write."""

    async def __call__(self) -> None:
        account, run = self.afterword_account, self.afterword_run or self.afterword_account.schedule()
        self.afterword_run = NO_RUN
        since = _start(account, run)
        try:
            await super(TrackedTask, self).__call__()
        except asyncio.CancelledError:
            _end(account.cancel, run, since)
            raise
        except BaseException as error:
            _end(account.fail, run, since, type(error))
            raise
        _end(account.succeed, run, since)


_tracked_classes: dict[type[BackgroundTask], type[TrackedTask]] = {}


def _watched(original: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A container's `__call__`: tasks behind one that raised will never start, and are booked so at once."""

    @functools.wraps(original)
    async def run_all(self: BackgroundTasks) -> None:
        try:
            await original(self)
        except BaseException as error:
            reason = words.SHUTDOWN if _being_cancelled(error) else words.SIBLING_FAILED
            _settle_container(self, reason)
            raise
        finally:
            call = CURRENT.get()
            if call is not None and call.stage == OPEN:
                call.stage = BACKGROUND_RAN

    return run_all


def _settle_container(container: BackgroundTasks, reason: str) -> None:
    try:
        drop_waiting(container.tasks, reason)
    except Exception as error:
        PROCESS.note(error)


def _being_cancelled(error: BaseException) -> bool:
    """Whether the task we run in is being cancelled, rather than something it awaited."""
    if not isinstance(error, asyncio.CancelledError):
        return False
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0


async def _run_in_thread(task: TrackedTask, account: Account, run: Run) -> None:
    function = ThreadRun(task.func, account, run)
    try:
        if BackgroundTask.__call__ is _PRISTINE_CALL:
            await run_in_threadpool(function, *task.args, **task.kwargs)
        else:
            stand_in = BackgroundTask.__new__(BackgroundTask)
            stand_in.__dict__.update(task.__dict__, func=function)
            await BackgroundTask.__call__(stand_in)
    except BaseException:
        if not function.taken:
            _end(account.drop, run, REASON[words.SHUTDOWN])
        raise


def _start(account: Account, run: Run) -> int:
    try:
        return account.start(run)
    except Exception as error:
        PROCESS.note(error)
        return 0


def _end(call: Callable[..., None], run: Run, *rest: Any) -> None:
    try:
        call(run, *rest)
    except Exception as error:
        PROCESS.note(error)


def _plain(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> BackgroundTask:
    return BackgroundTask(func, *args, **kwargs)
