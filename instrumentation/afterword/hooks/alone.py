"""A spawned task that ended before its owner did: the owner's affair, unless nobody asks and there is a thing to tell.

Whether somebody asks for an exception, asyncio knows. Whether somebody asks for what was returned, or for an exception
that was handed on to a thread, it does not; but nobody will if nothing refers to the task once it has called back.
"""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import ClientDisconnect
from starlette.websockets import WebSocketDisconnect

from afterword.hooks import waiters
from afterword.hooks.call import CURRENT
from afterword.hooks.inside import coroutine_inside
from afterword.hooks.process import PROCESS
from afterword.hooks.running import Notes, hand_up, will_be_warned_of

if TYPE_CHECKING:
    from afterword.hooks.spawned import Spawned

#: How long what may have to be told waits for somebody to ask, where the owner goes on for ever.
_PATIENCE_NS: Final = 60_000_000_000
#: The attribute of a task that leads to its `Spawned`, for its coroutine may be another's.
ATTRIBUTE: Final = "_afterword"
#: Exceptions of tasks whose callbacks are being called, by their ids: one that raises it again tells nothing new.
TELLING: Final[dict[int, BaseException]] = {}


def raised(child: "Spawned", error: BaseException, notes: Notes | None) -> None:
    """It raised: wait and see whether anybody looks at the exception."""
    hand_up(notes, child.owner())
    if isinstance(error, asyncio.CancelledError) or _is_farewell(error):
        return
    child.failure = type(error)
    task = child.its_task() or _current_task()  # begun before its factory returned, it is current
    if task is None:
        return
    setattr(task, ATTRIBUTE, child)
    if waiters.told_only(task):
        TELLING[id(error)] = error
        task.add_done_callback(_told)
    elif waiters.handed_to_thread(task):
        task.add_done_callback(child.called_back)


def returned(child: "Spawned", result: Any, notes: Notes | None) -> None:
    """It raised nothing: wait and see whether anybody keeps the task, if there is something to tell."""
    task = child.its_task()
    if task is None or waiters.awaited(task):  # without a task: it ended before its factory returned, like a call
        hand_up(notes, child.owner())
    elif child.origin.judged or (notes is not None and (notes.errors or notes.failed)):
        child.failure = notes, result
        task.add_done_callback(child.called_back)
    elif child.origin.known is not None:
        child.failure = None, None
        child.book_failure()
    else:
        hand_up(notes, child.owner())


def look_again(child: "Spawned") -> None:
    """All callbacks have been called, and what called them has been forgotten."""
    if child.its_task() is None:
        child.book_failure()
        return
    owner = child.owner()
    if isinstance(child.failure, tuple) and owner is not None and not owner.afterword_ended and not child.origin.judged:
        child.failure = None
        hand_up(child.afterword_notes, owner)


def settled(child: "Spawned") -> bool:
    """Its owner has ended, or goes on for ever. False when it is to be looked at again."""
    task = child.its_task()
    if task is None or not (isinstance(child.failure, tuple) or task._log_traceback):
        return True  # somebody asked, or the loop has told of it
    if not child.orphan and time.monotonic_ns() - child.created < _PATIENCE_NS / PROCESS.time_scale:
        return False
    child.book_failure()
    return True


def spare_inside(coro: Any) -> None:
    """One that is cancelled before it begins never awaits what it was given: no mistake of the application's."""
    frame = getattr(coro, "cr_frame", None)
    inside = None if frame is None else coroutine_inside(frame)
    if inside is not None:
        will_be_warned_of(inside)


def is_cancelling(task: Any) -> bool:
    """Whether `cancel` was called on a task, and not taken back."""
    try:
        return task is not None and task.cancelling() > 0
    except AttributeError:  # a future that a factory of the application's made
        return False


def guarded(step: Callable[..., None], *args: Any) -> None:
    """Do it; whatever goes wrong never gets out."""
    try:
        step(*args)
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        PROCESS.note(error)


def _told(task: Any) -> None:
    """The application's callbacks have been called, and one looked at the exception, or none did."""
    TELLING.pop(id(task._exception), None)
    child = getattr(task, ATTRIBUTE, None)
    if child is not None and not task._log_traceback:
        guarded(child.book_failure)


def _current_task() -> Any:
    try:
        return asyncio.current_task()
    except RuntimeError:  # no loop runs
        return None


def _is_farewell(error: BaseException) -> bool:
    """Whether the client of the connection it belongs to has left: every connection ends so."""
    call = CURRENT.get()
    return call is not None and call.websocket and isinstance(error, WebSocketDisconnect | ClientDisconnect)
