"""One call that was handed to a pool, and the future that stands for it.

The future changes its class to one that looks the same and knows whether somebody asked. Who asks through asyncio
has a future of the loop in between; then that one is looked at.
"""

import asyncio
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures._base import CANCELLED, CANCELLED_AND_NOTIFIED, FINISHED, PENDING
from concurrent.futures._base import RUNNING as BEGUN
from types import FunctionType
from typing import Any, Final

from afterword import words
from afterword.hooks import waiters
from afterword.hooks.asked import telling
from afterword.hooks.ending import leave
from afterword.hooks.outside import Outside
from afterword.hooks.process import PROCESS
from afterword.hooks.running import RUNNING
from afterword.hooks.steps import without_this_frame

#: What asyncio calls back at a future of the loop, so that the pool's is cancelled with it: nobody waits there.
_CHAIN: Final = "_chain_future."


class Pooled(Outside):
    """A function on its way through a pool: it begins when a thread or a process takes it."""

    #: Somebody asked the future how it ended, and was told.
    heard = False
    #: The pool's future and the loop's, held weakly.
    _future: Any = None
    _destination: Any = None

    def call(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """Run in the thread that took it."""
        if self.begun:  # by a pool that tries again: the first time counts
            return function(*args, **kwargs)
        self.ident, self.native_id = threading.get_ident(), threading.get_native_id()
        self.begin()
        token = RUNNING.set(self)
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            without_this_frame(error)
            self.finish(error)
            raise
        finally:
            leave(token)
        self.finish(None, result)
        return result

    def follow(self, future: Any, *, far: bool) -> Any:
        """See who asks the future; one whose function runs ``far`` away also tells when it begins and ends."""
        try:
            self.far = far
            self._future = weakref.ref(future)
            future.afterword_call = self
            future.__class__ = telling(type(future), far)
            if future._state != PENDING:
                self._catch_up(future, far)
        except Exception as error:  # noqa: BLE001 - observing may never break the work
            PROCESS.note(error)
        return future

    def _catch_up(self, future: Any, far: bool) -> None:
        """What happened before the future changed its class."""
        if future._state in (CANCELLED, CANCELLED_AND_NOTIFIED):
            self.cancelled()
        elif future._state == BEGUN and far:
            self.begin()
        elif future._state == FINISHED and (far or not self.begun):
            self.ended_there(future._exception, future._result)

    def ended_there(self, error: BaseException | None, result: Any = None) -> None:
        """The future got a result or an exception that did not come by `call`."""
        if not self.begun:
            self.begin()
        self.finish(error, result)

    def cancelled(self) -> None:
        """The future was cancelled before anybody took it."""
        if not self.begun:
            self.never(words.SHUTDOWN if PROCESS.stopping else words.DISCARDED)

    def goes_to(self, callback: FunctionType) -> None:
        """Asyncio's own callback hands the outcome on to a future of the loop."""
        names = callback.__code__.co_freevars
        if "destination" in names and callback.__closure__ is not None:
            destination = callback.__closure__[names.index("destination")].cell_contents
            self._destination = weakref.ref(destination)
            destination.afterword_call = self  # it lives as long as somebody may still fail to ask

    def gave(self, error: BaseException) -> bool:
        """Whether the future of the loop got this exception."""
        destination = self._destination and self._destination()
        return destination is not None and destination._exception is error

    # -- its owner

    def orphaned(self, *, by_owner: bool) -> bool:
        """Settle it after its owner, or while its owner goes on for ever. True when it needs no further look."""
        self.orphan = self.orphan or by_owner
        if self.afterword_account is not None:
            return True
        if self.ended:
            return self.failure is None or self._settle_failure()
        if self._heard() or (not self.orphan and self._held()):
            return False
        self.adopt()
        return True

    def _settle_failure(self) -> bool:
        heard = self._was_heard()
        if heard is None or not (heard or self.orphan):
            return False
        if not heard:
            self.book_failure()
        return True

    def _was_heard(self) -> bool | None:
        """Whether somebody knows that it failed; None while somebody is about to be told."""
        if self._destination is None:
            return self.heard
        destination = self._destination()
        if destination is None:  # the loop has told, if there was anything to tell
            return True
        if destination.cancelled():
            return False
        if destination.done():
            return not destination._log_traceback
        return None if _is_awaited(destination) else False

    def _heard(self) -> bool:
        future = self._future and self._future()
        if future is not None and (future._waiters or future._condition._waiters):
            return True
        destination = self._destination and self._destination()
        return destination is not None and not destination.done() and _is_awaited(destination)

    def _held(self) -> bool:
        """Whether anybody but the pool still has the future: its owner goes on, and may ask later."""
        destination = self._destination and self._destination()
        if destination is not None:
            return not destination.cancelled() and _references(self._destination) > _ALONE
        return self._future is not None and _references(self._future) > _ALONE

    def _is_wasted(self, result: Any) -> bool:  # noqa: ARG002 - only what a thread returns is lost with it
        return False

    def _failed_alone(self, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError):
            return
        self.failure = type(error)
        destination = self._destination and self._destination()
        if destination is None:
            return
        if destination.cancelled():  # by whoever waited, and gave up
            self.book_failure()
        else:
            _TOLD_TO_LOOP[id(error)] = self

    def __del__(self) -> None:
        if sys.is_finalizing():
            return
        try:
            if self.ended:
                if self.failure is not None and self._destination is None and not self.heard:
                    self.book_failure()
            elif self.afterword_account is not None and self.begun:
                self.afterword_account.collect(self.run)
            else:
                self.never(words.DISCARDED)
        except Exception as error:  # noqa: BLE001 - observing may never break the work
            PROCESS.note(error)


def _is_awaited(destination: Any) -> bool:
    return any(
        waiters._waits(callback) and not getattr(callback, "__qualname__", "").startswith(_CHAIN)
        for callback in waiters._callbacks(destination)
    )


def _references(ref: Any) -> int:
    """How many hold what is referred to, and the few that come with asking."""
    thing = ref()
    return sys.getrefcount(thing)


def _held_once() -> int:
    holder: list[set[Any]] = [set()]
    return _references(weakref.ref(holder[0]))


#: The pool holds a future once, and so does the pool's future the one of the loop.
_ALONE: Final = _held_once()

# -- exceptions that went to a future of the loop

#: By the exception's identity; a call is forgotten with its future, which keeps the exception until then.
_TOLD_TO_LOOP: Final["weakref.WeakValueDictionary[int, Pooled]"] = weakref.WeakValueDictionary()


def unheard(error: BaseException) -> None:
    """The loop tells that nobody asked for an exception."""
    call = _TOLD_TO_LOOP.get(id(error))
    if call is None and type(error) is TimeoutError:  # asyncio makes its own of this one
        call = next((call for call in list(_TOLD_TO_LOOP.values()) if call.gave(error)), None)
    if call is not None:
        call.book_failure()
