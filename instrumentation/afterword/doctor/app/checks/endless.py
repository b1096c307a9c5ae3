"""AW116: a loop without an end as the task of one response."""

import ast
from collections.abc import Iterator
from typing import Final

from afterword.doctor.app import syntax
from afterword.doctor.app.application import Application
from afterword.doctor.app.handovers import BACKGROUND, RESPONSE, THREAD, HandOver
from afterword.doctor.app.model import Function
from afterword.doctor.app.registry import Place, at, check

_OF_A_THREAD: Final = (
    "Start it once, in the `lifespan` of the application, and let its loop end by a `threading.Event` set at shutdown."
)


@check(
    "AW116",
    finds="a task of a response that never ends, or an endless thread or spawned task that each request starts",
    why="Every request starts one more loop. Tasks behind it in the same response never begin, a thread of the pool is "
    "taken for good, and no deploy can ever wait for its end.",
    fix="Start it once, in the `lifespan` of the application, keep its task, and cancel it there at shutdown.",
)
def never_ends(app: Application) -> Iterator[Place]:
    """Look for ``while True`` without a way out in what is added to responses or started by routes."""
    for function, places in app.tasks.items():
        if _is_endless(function):
            for one in places:
                if one.kind in {BACKGROUND, RESPONSE}:
                    problem = f"{function.name} loops for ever and is the task of one response here"
                    yield at(one.module, one.call, problem)
                elif _begins_with_each_request(one, app):
                    who = one.where.name if one.where is not None else ""
                    problem = f"{function.name} loops for ever, and each request of {who} starts one more"
                    yield at(one.module, one.call, problem, _OF_A_THREAD if one.kind == THREAD else "")


def _begins_with_each_request(one: HandOver, app: Application) -> bool:
    """Whether a route starts it, without a condition, and nobody can end it."""
    if one.where is None or one.where not in app.routes.http or not _is_unconditional(one, one.where):
        return False
    return one.kind == THREAD or not _cancels(app)


def _is_unconditional(one: HandOver, route: Function) -> bool:
    """Whether nothing in the route may keep a second one from being started: no condition around it or before it."""
    for node in route.nodes:
        if isinstance(node, ast.If | ast.Match | ast.While | ast.Try | ast.TryStar | ast.IfExp | ast.BoolOp):
            inside = list(ast.walk(node))
            leaves = any(isinstance(below, ast.Return | ast.Raise) for below in inside)
            if one.call in inside or (leaves and node.lineno < one.call.lineno):
                return False
    return True


def _cancels(app: Application) -> bool:
    """Whether the application cancels anything, which may be what was spawned."""
    calls = (call.func for module in app.project.modules.values() for call in module.calls)
    return any(isinstance(called, ast.Attribute) and called.attr == "cancel" for called in calls)


def _is_endless(function: Function) -> bool:
    """Whether a loop at the end of the function has no way out."""
    last = function.body[-1] if function.body else None
    while isinstance(last, ast.With | ast.AsyncWith | ast.Try):
        last = last.body[-1]
    if not isinstance(last, ast.While) or not (isinstance(last.test, ast.Constant) and last.test.value):
        return False
    inside = syntax.running_nodes(last.body)
    return not any(isinstance(one, ast.Break | ast.Return | ast.Raise) for one in inside)
