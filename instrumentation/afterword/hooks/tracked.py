"""The task objects that book their own run, in the place of Starlette's `BackgroundTask`."""

import asyncio
import contextlib
import copyreg
from types import CoroutineType, FunctionType
from typing import Any, Final

import starlette.background
from starlette.background import BackgroundTask
from starlette.concurrency import run_in_threadpool

from afterword import words
from afterword.hooks.call import drop_waiting, take
from afterword.hooks.ending import end, end_raised, leave, schedule, settle, start
from afterword.hooks.handed_over import attach_handed_over, detach
from afterword.hooks.running import RUNNING, Notes, book_end
from afterword.hooks.steps import LaterSteps, first_step
from afterword.hooks.telling import in_finalizer
from afterword.hooks.thread_run import AwaitedRun, ThreadRun
from afterword.ledger.accounts import Account
from afterword.ledger.slots import NO_RUN, Run

_MAX_CLASSES: Final = 256


class _Ended(int):
    """In the place of a run's number: there is none any more. As false as none at all."""


class _Begun:
    """In the place of a run's number, which nobody may take any more: as false as none, and it knows the number."""

    __slots__ = ("number",)

    def __init__(self, number: Run) -> None:
        self.number = number

    def __bool__(self) -> bool:
        return False


#: Both where an attribute of its own would cost each waiting task 16 bytes.
_ENDED: Final = _Ended(NO_RUN)


def _pristine() -> Any:
    """Starlette's own `BackgroundTask.__call__`; None when somebody replaced it before us."""
    call = BackgroundTask.__call__
    own = type(call) is FunctionType and call.__code__.co_filename == starlette.background.__file__
    return call if own else None


_PRISTINE_CALL: Final = _pristine()


class TrackedTask(BackgroundTask):
    """A background task that books its own run. Looks and behaves like the class it replaces."""

    #: On the class, where the function does not make it otherwise: one attribute less is 40 bytes a task.
    is_async: bool = False
    afterword_account: Account
    afterword_run: Any = NO_RUN
    #: Why it is dropped if it never starts, where the task knows better than the call it was added in.
    afterword_reason: str | None = None
    afterword_notes: Notes | None = None

    @property
    def afterword_ended(self) -> bool:
        """Whether its run is over."""
        return self.afterword_run is _ENDED

    @property
    def afterword_number(self) -> Run:
        """Its run, while that is on."""
        return getattr(self.afterword_run, "number", NO_RUN)

    async def __call__(self) -> None:
        """Run the task as its class would, and book how it ends."""
        account = self.afterword_account
        run = take(self) or schedule(account)
        pristine = BackgroundTask.__call__ is _PRISTINE_CALL
        if not self.is_async:
            return await _run_through(self, ThreadRun(self.func, account, run), pristine=pristine)
        if not pristine:
            return await _run_through(self, AwaitedRun(self.func, account, run), pristine=False)
        if self.afterword_run is _ENDED:  # called once more, by a wrapper that tries again for instance: another run
            self.afterword_notes = None
        self.afterword_run = _Begun(run)
        since = start(account, run)
        token = RUNNING.set(self)
        result = None
        try:
            coro = self.func(*self.args, **self.kwargs)
            if type(coro) is CoroutineType and coro.cr_await is None:  # else somebody else awaits it: an error
                ended, result = first_step(coro, account)
                if not ended:
                    result = await LaterSteps(coro, account, run, result)
            else:
                result = await coro
        except BaseException as error:
            end_raised(account, run, since, error)
            raise
        finally:
            self.afterword_run = _ENDED
            leave(token)
            if self.afterword_notes is not None:
                settle(self.afterword_notes)
        if result is None and account.plain and self.afterword_notes is None:
            end(account.succeed, run, since)
        else:
            end(book_end, account, run, since, self.afterword_notes, result)
        return None

    def afterword_loosen(self, reason: str) -> None:
        """No call will settle this task any more: it tells itself when it is forgotten."""
        self.afterword_reason = self.afterword_reason or reason
        self.is_async = self.is_async  # from the class to the object
        self.__class__ = LooseTask

    def __reduce_ex__(self, protocol: Any) -> Any:
        """A copy is an object of the class the user knows, and has no part in the run: one run has one owner."""
        reduced = super().__reduce_ex__(protocol)
        if not isinstance(reduced, tuple):
            return reduced
        make, arguments, *state = reduced
        if state and isinstance(state[0], dict):
            state[0] = {"is_async": self.is_async, **state[0]}
        plain = tuple(self._afterword_plain() if argument is type(self) else argument for argument in arguments)
        make = object.__new__ if make is copyreg.__newobj__ else make  # type: ignore[attr-defined]  # pickle checks its class
        return make, plain, *map(_without_ours, state)

    def _afterword_plain(self) -> type[BackgroundTask]:
        return BackgroundTask


class TrackedAsyncTask(TrackedTask):
    """A tracked task whose function is awaited."""

    is_async = True


def _without_ours(state: Any) -> Any:
    """The state of a task as pickle and copy pass it on: a dictionary, or one of attributes and one of slots."""
    if isinstance(state, tuple):
        return tuple(map(_without_ours, state))
    if isinstance(state, dict):
        return {k: v for k, v in state.items() if not (isinstance(k, str) and k.startswith("afterword_"))}
    return state


class LooseTask(TrackedTask):
    """A task that no ASGI call settles: dropped when it is forgotten."""

    def __del__(self) -> None:
        with contextlib.suppress(Exception), in_finalizer():  # the interpreter may be going down around us
            drop_waiting([self], words.DISCARDED)


class _TrackedSubclass(TrackedTask):
    """For subclasses of BackgroundTask that users write: their own `__call__` is booked around."""

    def __init_subclass__(cls, **_: Any) -> None:
        """The user's class has announced itself; its registry must not hear of ours, nor ask it for arguments."""

    async def __call__(self) -> None:
        account, run = self.afterword_account, take(self) or schedule(self.afterword_account)
        self.afterword_run, self.afterword_notes = _Begun(run), None
        since = start(account, run)
        token = RUNNING.set(self)
        try:
            result: Any = await super(TrackedTask, self).__call__()  # type: ignore[func-returns-value]  # the user's own
        except BaseException as error:
            end_raised(account, run, since, error)
            raise
        finally:
            self.afterword_run = _ENDED
            leave(token)
            settle(self.afterword_notes)
        end(book_end, account, run, since, self.afterword_notes, result)

    def afterword_loosen(self, reason: str) -> None:
        drop_waiting([self], reason)

    def _afterword_plain(self) -> type[BackgroundTask]:
        return type(self).__mro__[3]  # this class, _TrackedSubclass, TrackedTask, the user's


_tracked_classes: dict[type[BackgroundTask], type[TrackedTask]] = {}


def tracked_version(cls: type[BackgroundTask]) -> type[TrackedTask]:
    """`TrackedTask` for Starlette's class, else a subclass of both."""
    if cls is BackgroundTask:
        return TrackedTask
    found = _tracked_classes.get(cls)
    if found is None:
        if len(_tracked_classes) >= _MAX_CLASSES:  # somebody makes classes as they go; do not keep them all
            _tracked_classes.clear()
        found = type(cls.__name__, (_TrackedSubclass, cls), {"__module__": cls.__module__})
        _tracked_classes[cls] = found
    return found


async def _run_through(task: TrackedTask, function: "ThreadRun | AwaitedRun", *, pristine: bool) -> None:
    """A function that books its own begin and end: inside of a thread, and inside of whatever others put around it."""
    token = None
    try:
        if pristine:
            await run_in_threadpool(function, *task.args, **task.kwargs)
        else:
            token = attach_handed_over(function.run[0])
            stand_in = BackgroundTask.__new__(BackgroundTask)
            stand_in.__dict__.update(task.__dict__, func=function, is_async=task.is_async)
            await BackgroundTask.__call__(stand_in)
    except asyncio.CancelledError:
        function.drop_if_waiting(words.SHUTDOWN)
        raise
    except BaseException:
        function.drop_if_waiting(words.REQUEST_FAILED)
        raise
    finally:
        detach(token)
    function.drop_if_waiting(words.DISCARDED)
