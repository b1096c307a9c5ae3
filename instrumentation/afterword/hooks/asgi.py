"""The outermost hook: every ASGI call of an instrumented application is settled when it ends.

It sits in `Starlette.__call__`, around the whole middleware stack, so that neither the order of
middleware nor another instrumentation that rebuilds the stack can put anything outside of it.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from starlette.applications import Starlette

from afterword.hooks import patches
from afterword.hooks.call import CURRENT, ENDED, Call
from afterword.hooks.process import PROCESS

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Any, Scope, Any, Send], Awaitable[None]]

#: The instance attribute that marks an instrumented application; its value answers ``/metrics`` or is None.
MARK: Final = "_afterword_endpoint"
_IN_CALL: Final = "afterword.call"
Endpoint = Callable[[Scope, Any, Send], Awaitable[bool]]


def install() -> None:
    """Hook `Starlette.__call__`."""
    patches.replace(Starlette, "__call__", _settled(Starlette.__call__))


def _settled(original: Application) -> Application:
    async def __call__(self: Starlette, scope: Scope, receive: Any, send: Send) -> None:
        if MARK not in self.__dict__ or not PROCESS.active or _IN_CALL in scope:
            return await original(self, scope, receive, send)
        kind = scope["type"]
        if kind == "lifespan":
            return await _lifespan(original, self, scope, receive, send)
        if kind not in ("http", "websocket"):
            return await original(self, scope, receive, send)
        endpoint = self.__dict__[MARK]
        if endpoint is not None and await endpoint(scope, receive, send):
            return None
        call = scope[_IN_CALL] = Call(kind == "websocket")
        token = CURRENT.set(call)
        failure: BaseException | None = None
        try:
            await original(self, scope, receive, _watched(send, call))
        except BaseException as error:
            failure = error
            raise
        finally:
            CURRENT.reset(token)
            if call.tasks:
                _settle(call, failure)
            else:
                call.stage = ENDED
        return None

    return __call__


def _watched(send: Send, call: Call) -> Send:
    """Notes the response's status; hands on what `send` returns, so no coroutine is added."""

    def watched(message: MutableMapping[str, Any]) -> Awaitable[None]:
        if message["type"] == "http.response.start":
            call.status = message["status"]
        return send(message)

    return watched


def _settle(call: Call, failure: BaseException | None) -> None:
    try:
        call.settle(failure, isinstance(failure, asyncio.CancelledError))
    except Exception as error:
        PROCESS.note(error)


async def _lifespan(original: Application, app: Starlette, scope: Scope, receive: Any, send: Send) -> None:
    """The ledger is made before the first request; a completed shutdown marks the exit as clean."""
    owner = PROCESS.owner
    if owner is not None:
        owner.open()
        owner.mark(closed=False)

    async def noted(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "lifespan.shutdown.complete" and owner is not None:
            owner.mark(closed=True)
        await send(message)

    await original(app, scope, receive, noted)
