"""The outermost hook: every ASGI call of an instrumented application is settled when it ends.

It sits in `Starlette.__call__`, around the whole middleware stack, so that neither the order of
middleware nor another instrumentation that rebuilds the stack can put anything outside of it.
"""

import functools
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette

from afterword.hooks import patches
from afterword.hooks.call import ANSWERED, CURRENT, ENDED, NOT_OURS, OPEN, Call
from afterword.hooks.process import PROCESS

if TYPE_CHECKING:
    from contextvars import Token

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
    @functools.wraps(original)
    async def settled(self: Starlette, scope: Scope, receive: Any, send: Send) -> None:
        kind = scope["type"]
        endpoint = self.__dict__.get(MARK)
        if endpoint is not None and await endpoint(scope, receive, send):
            return None
        if (
            not PROCESS.active
            or kind not in ("http", "websocket", "lifespan")
            or (_IN_CALL in scope and _is_within(scope))
        ):
            return await original(self, scope, receive, send)
        if MARK not in self.__dict__:
            return await _not_ours(original, self, scope, receive, send)
        if kind == "lifespan":
            return await _lifespan(original, self, scope, receive, send)
        call = scope[_IN_CALL] = Call(kind == "websocket")
        token = CURRENT.set(call)
        try:
            await original(self, scope, receive, _watched(send, call))
        except BaseException as error:
            _settle(call, error)
            raise
        finally:
            _reset(token)
            call.stage = ENDED
            for task in call.tasks:
                if task.afterword_run:
                    _settle(call, None)
                    break
        return None

    return settled


def _is_within(scope: Scope) -> bool:
    """Whether an instrumented application handed this call on, to one that is mounted in it for instance."""
    call = scope.get(_IN_CALL)
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


def _watched(send: Send, call: Call) -> Send:
    """Notes the response's status; hands on what `send` returns, so no coroutine is added."""

    def watched(message: MutableMapping[str, Any]) -> Awaitable[None]:
        if not call.status and message.get("type") == "http.response.start":
            call.status = message.get("status", 0)
            if call.stage == OPEN:
                call.stage = ANSWERED
        return send(message)

    return watched


def _settle(call: Call, failure: BaseException | None) -> None:
    call.stage = ENDED
    try:
        call.settle(failure)
    except Exception as error:  # noqa: BLE001 - observing may never break the work
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
