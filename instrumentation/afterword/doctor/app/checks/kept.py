"""AW110: a spawned task that nobody keeps."""

import ast
from collections.abc import Iterator

from afterword.doctor.app.application import Application
from afterword.doctor.app.checks.passing import wrong_coroutine
from afterword.doctor.app.handovers import ASYNCIO, HandOver, kept_as, named, uses
from afterword.doctor.app.registry import Place, at, check
from afterword.doctor.app.syntax import dotted


@check(
    "AW110",
    finds="`asyncio.create_task` or `ensure_future` whose result nobody keeps",
    why="The event loop holds its tasks weakly: one that nobody keeps may be collected in the middle of its work, and "
    "its exception is read by nobody.",
    fix="Keep it until it is done: `running.add(task)` and `task.add_done_callback(running.discard)`, await it, or use "
    "an `asyncio.TaskGroup`.",
)
def kept_by_nobody(app: Application) -> Iterator[Place]:
    """Look at what becomes of each spawned task."""
    for one in app.handovers:
        waits = dotted(one.call.func).endswith("run_coroutine_threadsafe")
        if one.kind == ASYNCIO and not waits and _is_lost(one) and not wrong_coroutine(one, app):  # AW102 tells those
            task = named(one, app.symbols)
            yield at(one.module, one.call, f"nobody keeps the task that is spawned here for {task}")


def _is_lost(one: HandOver) -> bool:
    if dotted(one.call.func).endswith("ensure_future") and not isinstance(one.given, ast.Call):
        return False  # a future that somebody has already
    kept = kept_as(one)
    if kept is None:
        return True
    if one.where is None or not isinstance(kept, ast.Name) or kept.id in one.where.outside_names:
        return False
    return not uses(kept.id, one.where) and not one.where.is_generator and _is_local(kept, one)


def _is_local(kept: ast.Name, one: HandOver) -> bool:
    return one.where is not None and kept.id in one.where.assigned
