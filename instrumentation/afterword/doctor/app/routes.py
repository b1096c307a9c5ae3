"""Which functions answer requests, and which are dependencies of them."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from afterword.doctor.app import syntax
from afterword.doctor.app.handovers import TASK_LISTS
from afterword.doctor.app.model import Class, Function, Module
from afterword.doctor.app.project import Project
from afterword.doctor.app.symbols import Outside, Symbols

_VERBS: Final = frozenset({"get", "post", "put", "patch", "delete", "head", "options", "trace", "api_route", "route"})
_SOCKETS: Final = frozenset({"websocket", "websocket_route"})
_ADDING: Final = {
    "add_api_route": False,
    "add_route": False,
    "add_api_websocket_route": True,
    "add_websocket_route": True,
}
_DEPENDS: Final = frozenset({"fastapi.Depends", "fastapi.Security", "fastapi.params.Depends", "fastapi.params.Security",
                             "fastapi.param_functions.Depends", "fastapi.param_functions.Security"})  # fmt: skip


@dataclass
class Routes:
    """HTTP and WebSocket endpoints, and dependencies."""

    http: set[Function] = field(default_factory=set)
    sockets: set[Function] = field(default_factory=set)
    dependencies: set[Function] = field(default_factory=set)


def routes(project: Project, symbols: Symbols) -> Routes:
    """What decorators, ``add_api_route`` and ``Depends`` say."""
    found = Routes()
    for module in project.modules.values():
        for function in module.functions:
            for decorator in function.decorators:
                if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Attribute):
                    if decorator.func.attr in _VERBS and _has_path(decorator):
                        found.http.add(function)
                    elif decorator.func.attr in _SOCKETS and _has_path(decorator):
                        found.sockets.add(function)
        for node in module.calls:
            _from_call(node, module, symbols, found)
    return found


def _has_path(call: ast.Call) -> bool:
    path = syntax.argument(call, 0, "path")
    if path is None:
        return False
    return not isinstance(path, ast.Constant) or (isinstance(path.value, str) and path.value[:1] in {"", "/"})


def _from_call(call: ast.Call, module: Module, symbols: Symbols, found: Routes) -> None:
    where = module.function_of(call)
    if isinstance(call.func, ast.Attribute) and call.func.attr in _ADDING:
        given = syntax.argument(call, 1, "endpoint")
        function = symbols.function(given, where, module) if given is not None else None
        if function is not None:
            (found.sockets if _ADDING[call.func.attr] else found.http).add(function)
    elif call.args and symbols.called(call, module) in _DEPENDS:
        function = called_by(call.args[0], where, module, symbols)
        if function is not None:
            found.dependencies.add(function)


def is_depends(node: ast.expr, where: Function | None, module: Module, symbols: Symbols) -> bool:
    """Whether an expression is ``Depends(...)`` or ``Security(...)``."""
    return isinstance(node, ast.Call) and symbols.outside(node.func, where, module) in _DEPENDS


def called_by(given: ast.expr, where: Function | None, module: Module, symbols: Symbols) -> Function | None:
    """The function that ``Depends(given)`` calls: also the ``__init__`` of a class."""
    found = symbols.resolve(given, where, module)
    if isinstance(found, Class):
        return symbols.method(found, "__init__")
    return symbols.function(given, where, module)


def dependencies(function: Function, symbols: Symbols) -> Iterator[tuple[str, ast.Call, Module]]:
    """Parameters that FastAPI fills from a dependency: the name, its ``Depends(...)`` and the module of that."""
    defaults = syntax.defaults(function.node)
    for name, parameter in function.parameters.items():
        default = defaults.get(name)
        if default is not None and is_depends(default, None, function.module, symbols):
            yield name, _with_class(default, parameter), function.module
            continue
        annotation, module = symbols.expanded(parameter.annotation, function.module)
        for extra in syntax.annotated_extras(annotation):
            if is_depends(extra, None, module, symbols):
                yield name, _with_class(extra, parameter), module


def _with_class(depends: ast.expr, parameter: ast.arg) -> ast.Call:
    """``user: Current = Depends()`` means ``Depends(Current)``."""
    call = depends if isinstance(depends, ast.Call) else ast.Call(func=depends, args=[], keywords=[])
    parts = syntax.annotation_parts(parameter.annotation)
    if call.args or not parts:
        return call
    return ast.copy_location(ast.Call(func=call.func, args=[parts[0]], keywords=call.keywords), call)


def task_lists(function: Function, symbols: Symbols) -> set[str]:
    """The parameters into which FastAPI injects the tasks of the response."""
    return {
        name
        for name, parameter in function.parameters.items()
        if isinstance(found := symbols.annotation(parameter.annotation, None, function.module), Outside)
        and found.name in TASK_LISTS
    }
