"""AW108 and AW119: tasks that no response carries."""

import ast
from collections.abc import Iterator

from afterword.doctor.app import syntax
from afterword.doctor.app.application import Application
from afterword.doctor.app.handovers import SINGLE_TASK, TASK_LISTS
from afterword.doctor.app.model import Function
from afterword.doctor.app.registry import Place, at, check
from afterword.doctor.app.routes import called_by, dependencies, task_lists
from afterword.doctor.app.scheduling import scheduling_exits


@check(
    "AW108",
    finds="a response with a `background` of its own in a route that also adds to the injected `BackgroundTasks`",
    why="A response has room for one background. FastAPI puts the injected tasks there only where it is empty; "
    "otherwise all of them are discarded, and nobody is told.",
    fix="Add all tasks to the injected list and give the response none, or give it that very list: "
    "`JSONResponse(..., background=tasks)`.",
)
def replaces_tasks(app: Application) -> Iterator[Place]:
    """Look at the responses that routes return behind ``add_task``."""
    for function in app.routes.http:
        lists = task_lists(function, app.symbols)
        by_dependency = _dependency_adds(function, app)
        for one in scheduling_exits(function, app, helpers=False):
            if not isinstance(one.node, ast.Return) or one.node.value is None or not (one.may or by_dependency):
                continue
            background = _background(one.node.value, function)
            if background is not None and not (isinstance(background, ast.Name) and background.id in lists):
                who = by_dependency if not one.may else function.name
                yield at(function.module, background,
                         f"this background replaces the injected tasks, to which {who} has added")  # fmt: skip


def _dependency_adds(function: Function, app: Application, above: frozenset[Function] = frozenset()) -> str:
    """The name of a dependency that always adds a task; empty if there is none."""
    for _, depends, module in dependencies(function, app.symbols):
        called = called_by(depends.args[0], None, module, app.symbols) if depends.args else None
        if called is None or called in above or called is function:
            continue
        found = [one for one in scheduling_exits(called, app, helpers=False) if not isinstance(one.node, ast.Raise)]
        if found and all(one.must for one in found):
            return called.name
        deeper = _dependency_adds(called, app, above | {function})
        if deeper:
            return deeper
    return ""


def _background(value: ast.expr, function: Function) -> ast.expr | None:
    """What a returned response has as its background."""
    name = value.id if isinstance(value, ast.Name) else ""
    if name:
        for node in function.nodes:
            is_set = isinstance(node, ast.Assign) and any(
                syntax.dotted(one) == f"{name}.background" for one in node.targets
            )
            if is_set and isinstance(node, ast.Assign):
                return None if syntax.is_none(node.value) else node.value
        assigned = [one for _, one in function.assigned.get(name, []) if one is not None]
        value = assigned[-1] if assigned else value
    if not isinstance(value, ast.Call):
        return None
    background = syntax.keyword(value, "background")
    return None if background is None or syntax.is_none(background) else background


@check(
    "AW119",
    finds="a `BackgroundTasks` or `BackgroundTask` of the application's own that no response is given",
    why="Only a response runs its tasks. A list that was made by hand and goes nowhere is thrown away, full, when the "
    "route returns.",
    fix="Let FastAPI inject the list (a parameter of type `BackgroundTasks`), or return it with the response: "
    "`JSONResponse(..., background=tasks)`.",
)
def carried_by_nobody(app: Application) -> Iterator[Place]:
    """Look at lists and tasks that are made and never given away."""
    for function in app.project.functions():
        for call in function.calls:
            made = f"{app.symbols.called(call, function.module)}()"
            is_list, is_single = made in TASK_LISTS, made.removesuffix("()") in SINGLE_TASK
            if (is_list or is_single) and _goes_nowhere(call, function):
                problem = f"no response is given what is made here, so its work in {function.name} never runs"
                yield at(function.module, call, problem)


def _goes_nowhere(call: ast.Call, function: Function) -> bool:
    parents = function.module.parents
    parent = parents.get(call)
    if isinstance(parent, ast.Expr):
        return True
    if not isinstance(parent, ast.Assign | ast.AnnAssign):
        return False
    targets = parent.targets if isinstance(parent, ast.Assign) else [parent.target]
    if not all(isinstance(one, ast.Name) and one.id not in function.outside_names for one in targets):
        return False
    names = {one.id for one in targets if isinstance(one, ast.Name)}
    for use in ast.walk(function.node):
        if isinstance(use, ast.Name) and use.id in names and isinstance(use.ctx, ast.Load):
            around = parents.get(use)
            if not (isinstance(around, ast.Attribute) and around.attr in {"add_task", "tasks"}):
                return False
    return True
