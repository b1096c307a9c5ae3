"""AW107: middleware that background tasks run inside of."""

import ast
from collections.abc import Iterator
from typing import Final

from afterword.doctor.app import syntax
from afterword.doctor.app.application import Application
from afterword.doctor.app.model import Class, Module
from afterword.doctor.app.registry import Place, at, check

_BASE: Final = "starlette.middleware.base.BaseHTTPMiddleware"
_BASES: Final = frozenset({_BASE, "fastapi.middleware.base.BaseHTTPMiddleware"})
_INSTALLS: Final = frozenset({"starlette.middleware.Middleware", "fastapi.middleware.Middleware"})


@check(
    "AW107",
    finds='`BaseHTTPMiddleware` or `@app.middleware("http")` in an application that has background tasks',
    why="Such middleware runs the application, and with it the background tasks, inside of a task group of its own: "
    "what cancels or breaks the middleware ends the tasks too. Older Starlette cancels them when the client "
    "disconnects, and context variables do not pass.",
    fix="Write it as plain ASGI middleware: a class whose `__call__(self, scope, receive, send)` wraps `send`.",
)
def wraps_tasks(app: Application) -> Iterator[Place]:
    """Look at what the source installs, and at what the import shows to be installed."""
    if not app.has_background_tasks:
        return
    found: set[str] = set()
    for module in app.project.modules.values():
        for place, name in _installed(module, app):
            found.add(name.rpartition(".")[2])
            yield place
    for name, _ in app.seen.middleware:
        if name.rpartition(".")[2] not in found:
            yield from _somewhere(name, app)


def _installed(module: Module, app: Application) -> Iterator[tuple[Place, str]]:
    for function in module.functions:
        for decorator in function.decorators:
            if _is_http_decorator(decorator):
                problem = f"{function.name} is middleware that runs the background tasks inside of itself"
                yield at(module, decorator, problem), function.name
    for node in module.calls:
        given = _given(node, module, app)
        if given is None:
            continue
        made = app.symbols.resolve(given, module.function_of(node), module)
        name = made.name if isinstance(made, Class) else app.symbols.outside(given, module.function_of(node), module)
        is_base = name in _BASES or (isinstance(made, Class) and bool(app.symbols.bases(made) & _BASES))
        if is_base:
            dispatch = syntax.keyword(node, "dispatch")
            name = name if dispatch is None else syntax.dotted(dispatch)
            shown = name.removeprefix("starlette.middleware.base.")
            yield at(module, node, f"{shown} is middleware that runs the background tasks inside of itself"), name


def _is_http_decorator(node: ast.expr) -> bool:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "middleware":
        return False
    kind = syntax.argument(node, 0, "middleware_type")
    return isinstance(kind, ast.Constant) and kind.value == "http"


def _given(node: ast.Call, module: Module, app: Application) -> ast.expr | None:
    """The class that ``add_middleware(...)`` or ``Middleware(...)`` is given."""
    if isinstance(node.func, ast.Attribute) and node.func.attr == "add_middleware":
        return syntax.argument(node, 0, "middleware_class")
    if app.symbols.called(node, module) in _INSTALLS:
        return syntax.argument(node, 0, "cls")
    return None


def _somewhere(name: str, app: Application) -> Iterator[Place]:
    """Where something installed that is from outside gets its name; else where the application is made."""
    last = name.rpartition(".")[2]
    problem = f"{name} is BaseHTTPMiddleware and runs the background tasks inside of itself"
    fallback: Place | None = None
    for module in app.project.modules.values():
        for node in module.calls:
            given = _given(node, module, app)
            if given is not None and syntax.dotted(given).rpartition(".")[2] == last:
                yield at(module, node, problem)
                return
            made = app.symbols.called(node, module)
            if fallback is None and made in {"fastapi.FastAPI", "starlette.applications.Starlette"}:
                fallback = at(module, node, problem)
    if fallback is not None:
        yield fallback
