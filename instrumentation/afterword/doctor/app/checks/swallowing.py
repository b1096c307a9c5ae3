"""AW111: a task that hides its own failure."""

import ast
from collections.abc import Iterator
from typing import Final

from afterword.doctor.app import syntax
from afterword.doctor.app.application import Application
from afterword.doctor.app.model import Function
from afterword.doctor.app.registry import Place, at, check

_EVERYTHING: Final = frozenset({"builtins.Exception", "builtins.BaseException"})
#: Tidying up may fail without anybody losing anything.
_TIDYING: Final = frozenset({"close", "aclose", "unlink", "remove", "rmtree", "rollback", "cancel", "quit", "kill",
                             "disconnect", "terminate", "release", "shutdown", "delete_file"})  # fmt: skip


@check(
    "AW111",
    finds="a task that catches every exception and does nothing about it",
    why="The work failed, and the task ends as if it had been done: no log, no traceback, no failed run.",
    fix="Catch the exceptions that are expected, log the others with `logger.exception(...)`, and `raise` again.",
)
def swallows(app: Application) -> Iterator[Place]:
    """Look at the handlers of functions that are handed over."""
    for function in app.tasks:
        for node in function.nodes:
            if isinstance(node, ast.ExceptHandler):
                around = function.module.parents.get(node)
                if _catches_all(node, function, app) and _is_silent(node.body) and not _only_tidies(around, function):
                    yield at(
                        function.module, node, f"the task {function.name} catches every exception here and says nothing"
                    )
            elif isinstance(node, ast.With) and not _only_tidies(node, function):
                for item in node.items:
                    if _suppresses_all(item.context_expr, function, app):
                        problem = f"the task {function.name} suppresses every exception here"
                        yield at(function.module, item.context_expr, problem)


def _catches_all(handler: ast.ExceptHandler, function: Function, app: Application) -> bool:
    if handler.type is None:
        return True
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(app.symbols.outside(one, function, function.module) in _EVERYTHING for one in kinds)


def _suppresses_all(node: ast.expr, function: Function, app: Application) -> bool:
    if not isinstance(node, ast.Call):
        return False
    is_suppress = app.symbols.outside(node.func, function, function.module) == "contextlib.suppress"
    return is_suppress and any(app.symbols.outside(one, function, function.module) in _EVERYTHING for one in node.args)


def _is_silent(body: list[ast.stmt]) -> bool:
    for one in body:
        if isinstance(one, ast.Pass | ast.Continue | ast.Break):
            continue
        if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
            continue
        if isinstance(one, ast.Return) and (one.value is None or isinstance(one.value, ast.Constant)):
            continue
        return False
    return True


def _only_tidies(around: ast.AST | None, function: Function) -> bool:
    """Whether what may fail is nothing but tidying up, or stands in a ``finally`` or another handler."""
    parents = function.module.parents
    here = around
    while here is not None and here is not function.node:
        above = parents.get(here)
        if isinstance(above, ast.ExceptHandler) or (isinstance(above, ast.Try) and here in above.finalbody):
            return True
        here = above
    body = getattr(around, "body", [])
    calls = [one.value for one in body if isinstance(one, ast.Expr)]
    plain = [one.value if isinstance(one, ast.Await) else one for one in calls]
    names = [_last_name(one.func) for one in plain if isinstance(one, ast.Call)]
    return bool(body) and len(names) == len(body) and set(names) <= _TIDYING


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else syntax.dotted(node)
