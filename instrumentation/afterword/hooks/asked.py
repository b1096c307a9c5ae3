"""A pool's future that knows whether somebody asked how its call ended, and looks as it always did."""

from collections.abc import Callable
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, Future
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from afterword.hooks.process import PROCESS
from afterword.hooks.steps import without_this_frame

if TYPE_CHECKING:
    from afterword.hooks.pooled import Pooled

_MAX_CLASSES: Final = 256
_DONE: Final = frozenset({CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED})
_classes: Final[dict[tuple[type, bool], type]] = {}


def telling(cls: type, far: bool) -> type:
    """A future's class with what tells, under its own name."""
    found = _classes.get((cls, far))
    if found is None:
        if len(_classes) >= _MAX_CLASSES:  # somebody makes classes as they go; do not keep them all
            _classes.clear()
        names = {
            "__module__": cls.__module__,
            "__qualname__": cls.__qualname__,
            "__doc__": cls.__doc__,
            "__slots__": (),
        }
        found = _classes[cls, far] = type(cls.__name__, (_AskedFar if far else _Asked, cls), names)
    return found


class _Asked(Future[Any]):
    """Knows whether somebody asked, and tells of an end that did not come by `Pooled.call`.

    A future by itself: only from below one class may a future change into another.
    """

    __slots__ = ()

    afterword_call: "Pooled"

    def result(self, timeout: float | None = None) -> Any:
        try:
            return super().result(timeout)
        except BaseException as error:
            without_this_frame(error)
            raise
        finally:
            _asked(self)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        try:
            return super().exception(timeout)
        except BaseException as error:
            without_this_frame(error)
            raise
        finally:
            _asked(self)

    def add_done_callback(self, fn: Callable[[Any], object]) -> None:
        if type(fn) is FunctionType and fn.__module__ == "asyncio.futures":
            _guarded(self.afterword_call.goes_to, fn)
        super().add_done_callback(fn)

    def cancel(self) -> bool:
        cancelled = super().cancel()
        if cancelled:
            _guarded(self.afterword_call.cancelled)
        return cancelled

    def set_exception(self, exception: BaseException | None) -> None:
        if exception is not None:
            _guarded(self.afterword_call.ended_there, exception)
        super().set_exception(exception)


class _AskedFar(_Asked):
    """Tells of everything, for nothing runs here."""

    __slots__ = ()

    def set_running_or_notify_cancel(self) -> bool:
        begins = super().set_running_or_notify_cancel()
        if begins:
            _guarded(self.afterword_call.begin)
        return begins

    def set_result(self, result: Any) -> None:
        _guarded(self.afterword_call.ended_there, None, result)
        super().set_result(result)


def _asked(future: Any) -> None:
    if future._state in _DONE:
        future.afterword_call.heard = True


def _guarded(tell: Callable[..., None], *args: Any) -> None:
    try:
        tell(*args)
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        PROCESS.note(error)
