"""One ASGI call: the tasks scheduled within it, and how each that never started is settled at its end."""

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from afterword import words
from afterword.ledger.accounts import NO_RUN

if TYPE_CHECKING:
    from afterword.hooks.background import TrackedTask

#: How far a call is. After BACKGROUND_RAN a task that is added has nobody to run it.
OPEN, BACKGROUND_RAN, ENDED = range(3)

REASON: Final = {reason: number for number, reason in enumerate(words.DROP_REASONS)}


class Call:
    """The books of one request or connection, held only while it lasts."""

    __slots__ = ("stage", "status", "tasks", "websocket")

    def __init__(self, websocket: bool) -> None:
        self.tasks: list[TrackedTask] = []
        self.stage = OPEN
        self.status = 0
        self.websocket = websocket

    def settle(self, error: BaseException | None, cancelled: bool) -> None:
        """Book every task that did not start as dropped: after this nobody will run it."""
        self.stage = ENDED
        if self.tasks:
            drop_waiting(self.tasks, self._reason(error, cancelled))
            self.tasks = []

    def _reason(self, error: BaseException | None, cancelled: bool) -> str:
        if cancelled:
            return words.SHUTDOWN
        if error is not None or self.status >= 400:
            return words.REQUEST_FAILED
        return words.WEBSOCKET if self.websocket else words.RESPONSE_REPLACED


def drop_waiting(tasks: "list[TrackedTask]", reason: str) -> None:
    """Book the tasks among ``tasks`` that wait to start as dropped."""
    for task in tasks:
        run = getattr(task, "afterword_run", NO_RUN)
        if run:
            task.afterword_run = NO_RUN
            task.afterword_account.drop(run, REASON[words.ADDED_TOO_LATE if task.afterword_late else reason])


CURRENT: Final[ContextVar[Call | None]] = ContextVar("afterword_call", default=None)
