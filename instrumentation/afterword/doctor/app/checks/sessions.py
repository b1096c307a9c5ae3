"""AW103: what belongs to the request handed over to work that outlives it."""

import ast
from collections.abc import Iterator
from typing import Final

from afterword.doctor.app.application import Application
from afterword.doctor.app.handovers import ASYNCIO, HandOver, named
from afterword.doctor.app.held import HOLDER, OBJECT, Held, Holdings
from afterword.doctor.app.model import Function
from afterword.doctor.app.registry import Place, at, check
from afterword.doctor.app.symbols import Symbols

_LATER: Final = 10**9


@check(
    "AW103",
    finds="a request's session, or an object that belongs to one, in the hands of a task",
    why='The session is closed with the request: for FastAPI 0.106 to 0.117, and with `scope="function"`, before the '
    "task begins, for spawned work while it runs. The task then fails on a detached object, or what it wrote is rolled "
    "back. Newer versions keep the session, and a connection of the pool, until the last task has ended.",
    fix="Hand over plain values (`user.id`) and let the task open a session of its own, and close it.",
)
def hands_over_session(app: Application) -> Iterator[Place]:
    """Look at the arguments and the captured names of everything handed over."""
    holdings = Holdings(app.symbols)
    for one in app.left:
        if one.where is not None:
            yield from _arguments(one, one.where, holdings, app.symbols)


def _arguments(one: HandOver, where: Function, holdings: Holdings, symbols: Symbols) -> Iterator[Place]:
    for argument in one.arguments:
        found = holdings.of(argument, where)
        if found is not None:
            yield at(one.module, one.call, _sentence(ast.unparse(argument), found, named(one, symbols)))
            return
    given = one.given.func if one.kind == ASYNCIO and isinstance(one.given, ast.Call) else one.given
    if isinstance(given, ast.Attribute):
        held = holdings.of(given.value, where)
        if held is not None and _uses(held, one.function):
            yield at(one.module, one.call, _sentence(ast.unparse(given.value), held, named(one, symbols)))
            return
    function = one.function
    if function is None or function.outer is None:
        return
    for name in sorted(_captured(function)):
        held = holdings.of(ast.Name(name, ast.Load(), lineno=_LATER, col_offset=0), function.outer)
        if held is not None:
            yield at(one.module, one.call, _sentence(name, held, named(one, symbols)))
            return


def _uses(held: Held, method: Function | None) -> bool:
    """Whether a method of something that holds a session has to do with it; when nobody knows, no."""
    if held.what != HOLDER:
        return True
    if method is None:
        return False
    return any(isinstance(one, ast.Attribute) and one.attr in held.attributes for one in ast.walk(method.node))


def _captured(function: Function) -> set[str]:
    """Names of the functions around that a nested function reads."""
    own = {*function.parameters, *function.assigned, *function.inner, *function.imports}
    nodes = function.nodes
    return {one.id for one in nodes if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)} - own


def _sentence(text: str, held: Held, task: str) -> str:
    if held.what == OBJECT:
        return f"{text} belongs to the session {held.source} of the request and is handed over to {task}"
    if held.what == HOLDER:
        return f"{text} holds what {held.source} opened for the request and is handed over to {task}"
    return f"{text} is opened and closed for the request by {held.source} and is handed over to {task}"
