"""AW112, AW113, AW117: tasks that FastAPI takes and then forgets."""

import ast
from collections.abc import Iterator

from afterword.doctor.app.application import Application
from afterword.doctor.app.handovers import ADD_TASK
from afterword.doctor.app.model import Function
from afterword.doctor.app.registry import Place, at, check
from afterword.doctor.app.routes import task_lists
from afterword.doctor.app.scheduling import scheduling_exits


@check(
    "AW112",
    finds="a route that raises after `add_task`",
    why="The tasks belong to the response that the route would have returned. The answer to an exception is another "
    "one, so all that was added before is dropped without a word.",
    fix="Decide everything that can fail first and hand over last, or give the error response the task itself: "
    "`JSONResponse(..., status_code=409, background=BackgroundTask(...))`.",
)
def raises_after(app: Application) -> Iterator[Place]:
    """Look for ``raise`` behind ``add_task`` in routes and dependencies."""
    for function in app.routes.http | app.routes.dependencies:
        for one in scheduling_exits(function, app, helpers=False):
            if isinstance(one.node, ast.Raise) and (one.must or (one.may and not _in_handler(one.node, function))):
                yield at(function.module, one.node, f"{function.name} raises here after it has handed over a task, "
                                                    "which is dropped with the response")  # fmt: skip


def _in_handler(node: ast.AST, function: Function) -> bool:
    """What an exception interrupted may have to be forgotten with the rest."""
    parents = function.module.parents
    while node is not function.node and node in parents:
        node = parents[node]
        if isinstance(node, ast.ExceptHandler):
            return True
    return False


@check(
    "AW113",
    finds="a dependency that adds a task after its `yield`",
    why="By then the response has been made and has taken its tasks along; the list that is added to is never read "
    "again.",
    fix="Add the task before the `yield`, or do the work right there: code after the `yield` runs behind the route "
    "anyway.",
)
def adds_after_yield(app: Application) -> Iterator[Place]:
    """Look behind the first ``yield`` of dependencies."""
    for function in app.routes.dependencies:
        yields = [one.lineno for one in function.nodes if isinstance(one, ast.Yield)]
        if not yields or not task_lists(function, app.symbols):
            continue
        for call in _added(function, app):
            if call.lineno > min(yields):
                yield at(function.module, call, f"{function.name} adds a task after its yield, when the response "
                                                "has already taken its tasks")  # fmt: skip


@check(
    "AW117",
    finds="`BackgroundTasks` in a WebSocket endpoint",
    why="Tasks run behind a response, and a WebSocket has none: FastAPI injects the list and nobody ever reads it.",
    fix="Call the function where its work is due, or spawn it with `asyncio.create_task` and keep the task.",
)
def adds_in_websocket(app: Application) -> Iterator[Place]:
    """Look at WebSocket endpoints that add tasks."""
    for function in app.routes.sockets:
        for call in _added(function, app):
            yield at(function.module, call, f"{function.name} is a WebSocket endpoint, where an added task never runs")


def _added(function: Function, app: Application) -> Iterator[ast.Call]:
    lists = task_lists(function, app.symbols)
    for call in function.calls:
        base = call.func.value if isinstance(call.func, ast.Attribute) else None
        is_own = isinstance(base, ast.Name) and base.id in lists
        if is_own and app.symbols.outside(call.func, function, function.module) in ADD_TASK:
            yield call
