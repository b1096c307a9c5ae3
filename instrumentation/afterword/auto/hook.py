"""The hook in `Starlette.__call__`: an application that nobody decided about is instrumented in its first call.

Not when it is made: its title is known then, but not whether it will be mounted in another one. The first call,
normally its lifespan, is settled like every later one, so the ledger is there before the first request.
"""

import contextlib
import functools
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette

from afterword.hooks import asgi
from afterword.hooks.call import CURRENT, ENDED
from afterword.hooks.process import PROCESS
from afterword.instrument import DECIDED, instrument, uninstrument

if TYPE_CHECKING:
    from afterword.hooks.asgi import Application, Scope, Send


class Adoption:
    """Whether applications are adopted, and which ones were."""

    def __init__(self) -> None:
        self._hook: Application | None = None
        self._below: Any = None
        self._adopted: weakref.WeakSet[Starlette] = weakref.WeakSet()
        self._lock = threading.Lock()

    def on(self) -> None:
        """Adopt from now on. Idempotent."""
        if self._hook is None:
            self._below = Starlette.__dict__["__call__"]
            self._hook = self._adopting(self._below)
            setattr(Starlette, "__call__", self._hook)  # noqa: B010 - mypy refuses the assignment

    def off(self) -> None:
        """Uninstrument what was adopted, and adopt no more. A hook that others put theirs upon stands aside."""
        hook, self._hook = self._hook, None
        for app in list(self._adopted):
            uninstrument(app)
            DECIDED.discard(app)
        self._adopted.clear()
        if hook is not None and Starlette.__dict__["__call__"] is hook:
            setattr(Starlette, "__call__", self._below)  # noqa: B010 - as above

    def _adopting(self, original: "Application") -> "Application":
        @functools.wraps(original)
        async def adopting(app: Starlette, scope: "Scope", receive: Any, send: "Send") -> None:
            if (
                asgi.MARK in app.__dict__
                or self._hook is not adopting
                or not _is_outermost(scope)
                or not self._adopt(app)
            ):
                return await original(app, scope, receive, send)
            token = CURRENT.set(None)  # beside one that was instrumented before it was none of ours till now
            try:
                await asgi.settling(original)(app, scope, receive, send)
            finally:
                with contextlib.suppress(ValueError):  # closed from outside, in another context than its own
                    CURRENT.reset(token)
            return None

        return adopting

    def _adopt(self, app: Starlette) -> bool:
        """Whether it is instrumented now. One whose own code instrumented or uninstrumented it stays as it is."""
        try:
            with self._lock:  # servers in several threads
                if app not in DECIDED:
                    instrument(app)
                    self._adopted.add(app)
        except Exception as error:  # noqa: BLE001 - observing may never break the work
            PROCESS.note(error)
        return asgi.MARK in app.__dict__


def _is_outermost(scope: "Scope") -> bool:
    """Whether no other application handed this call on, to one that is mounted in it for instance."""
    if scope["type"] not in ("http", "websocket", "lifespan"):
        return False
    call = scope.get(asgi.IN_CALL)
    return call.stage == ENDED if call is not None else not isinstance(scope.get("app"), Starlette)


ADOPTION: Final = Adoption()
