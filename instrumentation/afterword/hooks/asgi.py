"""The outermost hook: every ASGI call of an instrumented application is settled when it ends.

It sits in `Starlette.__call__`, around the whole middleware stack, so that neither the order of
middleware nor another instrumentation that rebuilds the stack can put anything outside of it.
"""

import functools
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette

from afterword.hooks import factory, lifespan, patches
from afterword.hooks.call import CURRENT, ENDED, NOT_OURS, Call
from afterword.hooks.dressing import look_for_tracer
from afterword.hooks.process import PROCESS
from afterword.hooks.routes import responded

if TYPE_CHECKING:
    from contextvars import Token

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Any, Scope, Any, Send], Awaitable[None]]

#: The instance attribute that marks an instrumented application; its value answers ``/metrics`` or is None.
MARK: Final = "_afterword_endpoint"
IN_CALL: Final = "afterword.call"
Endpoint = Callable[[Scope, Any, Send], Awaitable[bool]]


def install() -> None:
    """Hook `Starlette.__call__`."""
    patches.replace(Starlette, "__call__", settling(Starlette.__call__))


def settling(original: Application) -> Application:
    """``original`` with its calls settled when they end."""

    @functools.wraps(original)
    async def settled(self: Starlette, scope: Scope, receive: Any, send: Send) -> None:
        if (
            scope["type"] == "http"
            and IN_CALL not in scope
            and self.__dict__.get(MARK, self) is None
            and PROCESS.active
        ):
            call: Call | None = Call()
        else:
            call = await _unusual(original, self, scope, receive, send)
        if call is None:
            return
        if not PROCESS.lifespans:
            factory.meet()
            look_for_tracer()
        scope[IN_CALL] = call
        call.scope = scope
        token = CURRENT.set(call)
        try:
            await original(self, scope, receive, call.watched(send))
        except BaseException as error:
            _reset(token)
            was_answered = any(not task.afterword_run for task in call.tasks)  # background tasks begin after that
            _settle(call, error)
            if was_answered:
                responded(scope, call)
            call.scope = None
            raise
        try:  # noqa: SIM105 - as `_reset` does: a call less for each request
            CURRENT.reset(token)
        except ValueError:
            pass
        call.stage = ENDED
        if call.tasks or call.children is not None:
            _settle(call, None)
        responded(scope, call)
        call.scope = None  # whatever copied its context would keep the connection

    return settled


async def _unusual(original: Application, app: Starlette, scope: Scope, receive: Any, send: Send) -> Call | None:
    """Deal with whatever is no plain request to an instrumented application; a call that remains to be accounted."""
    kind = scope["type"]
    endpoint = app.__dict__.get(MARK)
    if endpoint is not None and await endpoint(scope, receive, send):
        return None
    if not PROCESS.active or kind not in ("http", "websocket", "lifespan") or _is_within(scope):
        await original(app, scope, receive, send)
    elif MARK not in app.__dict__:
        await _not_ours(original, app, scope, receive, send)
    elif kind == "lifespan":
        await lifespan.live(original, app, scope, receive, send)
    else:
        return Call(websocket=kind == "websocket")
    return None


def _is_within(scope: Scope) -> bool:
    """Whether an instrumented application handed this call on, to one that is mounted in it for instance."""
    call = scope.get(IN_CALL)
    return call is not None and call.stage != ENDED


async def _not_ours(original: Application, app: Starlette, scope: Scope, receive: Any, send: Send) -> None:
    """An application beside the instrumented ones: its tasks are not booked, it never asked for that."""
    token = CURRENT.set(NOT_OURS)
    try:
        await original(app, scope, receive, send)
    finally:
        _reset(token)


def _reset(token: "Token[Call | None]") -> None:
    try:  # noqa: SIM105 - in every request, and suppress() costs ten times as much
        CURRENT.reset(token)
    except ValueError:  # a call that is closed from outside ends in another context than its own
        pass


def _settle(call: Call, failure: BaseException | None) -> None:
    call.stage = ENDED
    try:
        call.end(failure)
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        PROCESS.note(error)
