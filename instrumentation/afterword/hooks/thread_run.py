"""A task's function where others call it, a thread pool or another instrumentation: it books its own begin and end."""

from collections.abc import Callable
from types import CoroutineType
from typing import Any

from afterword.hooks.call import REASON
from afterword.hooks.ending import end, end_raised, leave, schedule, settle, start
from afterword.hooks.running import RUNNING, Notes, book_end
from afterword.hooks.steps import LaterSteps, first_step
from afterword.ledger.accounts import Account
from afterword.ledger.slots import NO_RUN, Run


class _Handed:
    """The function of a task that is handed on; called again, by a wrapper that retries for instance, another run."""

    __slots__ = (
        "__weakref__", "afterword_account", "afterword_ended", "afterword_notes", "afterword_number", "function", "run",
    )  # fmt: skip

    def __init__(self, function: Callable[..., Any], account: Account, run: Run) -> None:
        self.function, self.afterword_account, self.run = function, account, [run]
        self.afterword_notes: Notes | None = None
        self.afterword_ended = False
        self.afterword_number = NO_RUN

    def drop_if_waiting(self, reason: str) -> None:
        """Nobody took it, and nobody will."""
        if self.run:
            end(self.afterword_account.drop, self.run.pop(), REASON[reason])

    def _begin(self) -> tuple[Run, int]:
        account = self.afterword_account
        self.afterword_number = run = self.run.pop() if self.run else schedule(account)
        since = start(account, run)
        self.afterword_ended, self.afterword_notes = False, None
        return run, since

    def _leave(self, token: Any) -> None:
        self.afterword_ended = True
        leave(token)
        if self.afterword_notes is not None:
            settle(self.afterword_notes)

    def _returned(self, run: Run, since: int, result: Any) -> None:
        account = self.afterword_account
        if result is None and account.plain and self.afterword_notes is None:
            end(account.succeed, run, since)
        else:
            end(book_end, account, run, since, self.afterword_notes, result)

    def __getattr__(self, name: str) -> Any:
        """Other instrumentations name the task by its function."""
        if name in ("__name__", "__qualname__"):
            return getattr(self.function, name, type(self.function).__name__)
        return getattr(self.function, name)


class ThreadRun(_Handed):
    """The function of a sync task on its way through the thread pool: it starts when a thread takes it."""

    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run in the thread that took it."""
        run, since = self._begin()
        token = RUNNING.set(self)
        try:
            result = self.function(*args, **kwargs)
        except BaseException as error:
            end_raised(self.afterword_account, run, since, error)
            raise
        finally:
            self._leave(token)
        self._returned(run, since, result)
        return result


class AwaitedRun(_Handed):
    """The function of an async task that another instrumentation awaits in its own way."""

    __slots__ = ()

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run where it is awaited, in the steps of `TrackedTask.__call__`."""
        account = self.afterword_account
        run, since = self._begin()
        token = RUNNING.set(self)
        try:
            coro = self.function(*args, **kwargs)
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
            self._leave(token)
        self._returned(run, since, result)
        return result
