"""A sync function on its way through a thread pool: it starts when a thread takes it."""

from collections.abc import Callable
from typing import Any

from afterword.hooks.call import REASON
from afterword.hooks.ending import end, end_raised, leave, schedule, settle, start
from afterword.hooks.running import RUNNING, Notes, book_end
from afterword.ledger.accounts import Account
from afterword.ledger.slots import Run


class ThreadRun:
    """The function of a sync task on its way through the thread pool: it starts when a thread takes it."""

    __slots__ = ("__weakref__", "afterword_account", "afterword_ended", "afterword_notes", "function", "run")

    def __init__(self, function: Callable[..., Any], account: Account, run: Run) -> None:
        self.function, self.afterword_account, self.run = function, account, [run]
        self.afterword_notes: Notes | None = None
        self.afterword_ended = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run in the thread that took it; called again, by a wrapper that retries for instance, it is another run."""
        account = self.afterword_account
        run = self.run.pop() if self.run else schedule(account)
        since = start(account, run)
        self.afterword_ended, self.afterword_notes = False, None
        token = RUNNING.set(self)
        try:
            result = self.function(*args, **kwargs)
        except BaseException as error:
            end_raised(account, run, since, error)
            raise
        finally:
            self.afterword_ended = True
            leave(token)
            if self.afterword_notes is not None:
                settle(self.afterword_notes)
        if result is None and account.plain and self.afterword_notes is None:
            end(account.succeed, run, since)
        else:
            end(book_end, account, run, since, self.afterword_notes, result)
        return result

    def drop_if_waiting(self, reason: str) -> None:
        """Nobody took it, and nobody will."""
        if self.run:
            end(self.afterword_account.drop, self.run.pop(), REASON[reason])

    def __getattr__(self, name: str) -> Any:
        """Other instrumentations name the task by its function."""
        if name in ("__name__", "__qualname__"):
            return getattr(self.function, name, type(self.function).__name__)
        return getattr(self.function, name)
