"""One ASGI call: the tasks scheduled within it, and how each that never started is settled at its end."""

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from starlette.background import BackgroundTasks

from afterword import words
from afterword.hooks.nursery import Nursery
from afterword.hooks.routes import number_of
from afterword.ledger.slots import NO_RUN, Run

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, MutableMapping

    Message = MutableMapping[str, Any]

    from starlette.background import BackgroundTask

    from afterword.hooks.tracked import TrackedTask
    from afterword.ledger.accounts import Account

#: How far a call is. ANSWERED: its response began (or it is a websocket), from here on it may last for hours.
#: After BACKGROUND_RAN a task that is added has nobody to run it. FOREIGN: it belongs to another application.
OPEN, ANSWERED, BACKGROUND_RAN, ENDED, FOREIGN = range(5)

REASON: Final = {reason: number for number, reason in enumerate(words.DROP_REASONS)}


class Call:
    """The books of one request or connection, held only while it lasts."""

    #: What it spawned, and the accounts of whatever it scheduled, once that is settled.
    children: Nursery | None = None
    accounts: "list[Account] | None" = None
    stage = OPEN
    status = 0
    websocket = False
    #: While it lasts; and what was found in it: the number of its route in the ledger plus one (0 for none, -1 while
    #: nobody has asked), and the place in a trace that its client sent.
    scope: Any = None
    route = -1
    place: Any = None

    def __init__(self, *, websocket: bool = False) -> None:
        self.tasks: list[TrackedTask] = []
        if websocket:
            self.websocket, self.stage = True, ANSWERED

    def watched(self, send: "Callable[[Message], Awaitable[None]]") -> "Callable[[Message], Awaitable[None]]":
        """Note the response's status; hands on what the server's ``send`` returns, so no coroutine is added.

        The call itself does not keep ``send``: whatever copies its context would keep the connection with it.
        """

        def watched_send(message: "Message") -> "Awaitable[None]":
            if not self.status and message.get("type") == "http.response.start":
                self.status = message.get("status", 0)
                if self.stage == OPEN:
                    self.stage = ANSWERED
            return send(message)

        return watched_send

    def nursery(self) -> Nursery:
        """Where what it spawns is kept."""
        if self.children is None:
            self.children = Nursery()
        return self.children

    def find_route(self) -> int:
        """The number of its route in the ledger plus one; 0 for none that is known yet."""
        scope = self.scope
        found = 0
        if scope is not None:
            found = number_of(scope)
            if found or "endpoint" in scope:
                self.route = found
        return found

    def end(self, error: BaseException | None) -> None:
        """Settle everything, and note which tasks it scheduled."""
        tasks = self.tasks
        if len(tasks) == 1 and self.accounts is None and self.children is None and not tasks[0].afterword_run:
            self.accounts = [tasks.pop().afterword_account]  # the same, for what happens most
            return
        accounts: dict[Any, None] = dict.fromkeys(self.accounts or ())
        waiting = False
        for task in self.tasks:
            accounts[task.afterword_account] = None
            waiting = waiting or bool(task.afterword_run)
        if waiting:
            self.settle(error)
        self.tasks.clear()  # and what they were given, for whatever keeps a copy of this context
        if self.children is not None:
            self.children.route = self.route if self.route >= 0 else self.find_route()
            for child in self.children.settle():
                if child.afterword_account is not None:
                    accounts[child.afterword_account] = None
        if accounts:
            self.accounts = list(accounts)

    def keep(self, task: "TrackedTask") -> None:
        """Remember a task of a call that may last: for each that comes, up to two that ran are let go."""
        for _ in range(2):
            oldest = self._next(0)
            if oldest is not None and oldest.afterword_run:
                self.tasks.append(oldest)
        self.tasks.append(task)
        if self.accounts is None:
            self.accounts = []
        if not self.websocket and task.afterword_account not in self.accounts:
            self.accounts.append(task.afterword_account)

    def settle(self, error: BaseException | None) -> None:
        """Book what did not start. After a failure nobody will run it; else it is dropped once it is forgotten.

        Whoever still holds a task of a call that went well may run it yet, in an asyncio task for instance.
        """
        while task := self._next(-1):
            if not task.afterword_run:
                continue
            if error is not None:
                drop_waiting([task], self._reason(error))
            else:
                task.afterword_loosen(self._reason(None))

    def _next(self, index: int) -> "TrackedTask | None":
        """Taken out in one step, because a thread that outlives the call may take too."""
        try:
            return self.tasks.pop(index)
        except IndexError:
            return None

    def background_ran(self) -> None:
        """A container ran to its end after the response began: it was the response's."""
        if self.stage == ANSWERED and not self.websocket:
            self.stage = BACKGROUND_RAN

    def _reason(self, error: BaseException | None) -> str:
        if error is not None and being_cancelled(error):
            return words.SHUTDOWN
        if error is not None or self.status >= 400:
            return words.REQUEST_FAILED
        return words.WEBSOCKET if self.websocket else words.RESPONSE_REPLACED


def being_cancelled(error: BaseException) -> bool:
    """Whether the task we run in is being cancelled, rather than something it awaited."""
    if not isinstance(error, asyncio.CancelledError):
        return False
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0


def take(task: "TrackedTask") -> Run:
    """The run that waits in ``task``. Whoever deletes it owns it, so it is booked once, whatever the threads do."""
    run: Run = task.afterword_run
    if run:
        try:
            del task.afterword_run
        except AttributeError:
            return NO_RUN
    return run


def drop_waiting(tasks: "Iterable[BackgroundTask]", reason: str) -> None:
    """Book the tasks among ``tasks`` that wait to start as dropped, also those in containers among them."""
    for task in tasks:
        if isinstance(task, BackgroundTasks):
            drop_waiting(task.tasks, reason)
        elif getattr(task, "afterword_run", NO_RUN):  # a container may also hold tasks that were never tracked
            tracked: Any = task
            run = take(tracked)
            if run:
                tracked.afterword_account.drop(run, REASON[tracked.afterword_reason or reason])


CURRENT: Final[ContextVar[Call | None]] = ContextVar("afterword_call", default=None)

#: What is current while an application that is not instrumented is called: its tasks are none of ours.
NOT_OURS: Final = Call(websocket=False)
NOT_OURS.stage = FOREIGN
