"""Which nodes of a function add to the tasks of its response."""

import ast
from collections.abc import Callable

from afterword.doctor.app.application import Application
from afterword.doctor.app.flow import Exit, exits
from afterword.doctor.app.handovers import ADD_TASK
from afterword.doctor.app.model import Function
from afterword.doctor.app.routes import task_lists


def adding(
    function: Function, app: Application, *, helpers: bool, above: frozenset[Function] = frozenset()
) -> Callable[[ast.AST], bool]:
    """A question to a node, whether ``add_task`` of an injected list runs in it.

    With ``helpers``, a call that is given the list counts too, because it may add to it.
    """
    lists = task_lists(function, app.symbols)
    found: set[ast.AST] = set()
    for call in function.calls:
        base = call.func.value if isinstance(call.func, ast.Attribute) else None
        is_own = isinstance(base, ast.Name) and base.id in lists
        adds = is_own and app.symbols.called(call, function.module) in ADD_TASK
        if adds or (_is_given(call, lists) and (helpers or _adds(call, function, app, above | {function}))):
            found.add(call)
    holding = {id(function.module.statement_of(call)) for call in found} | {id(call) for call in found}

    def happens(node: ast.AST) -> bool:
        if id(node) in holding:
            return True
        return isinstance(node, ast.expr) and any(id(one) in holding for one in ast.walk(node))

    return happens


def scheduling_exits(function: Function, app: Application, *, helpers: bool) -> list[Exit]:
    """The exits of a function, by whether it has added a task before."""
    return exits(function, adding(function, app, helpers=helpers))


def _is_given(call: ast.Call, lists: set[str]) -> bool:
    values = [*call.args, *(one.value for one in call.keywords)]
    return any(isinstance(value, ast.Name) and value.id in lists for value in values)


def _adds(call: ast.Call, function: Function, app: Application, above: frozenset[Function]) -> bool:
    """Whether a helper adds to the list it is given on every way through it."""
    called = app.symbols.function(call.func, function, function.module)
    if called is None or called in above or not task_lists(called, app.symbols):
        return False
    found = exits(called, adding(called, app, helpers=False, above=above))
    return bool(found) and all(one.must for one in found if not isinstance(one.node, ast.Raise))
