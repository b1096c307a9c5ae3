"""AW116: a loop without an end as the task of one response."""

import ast
from collections.abc import Iterator

from afterword.doctor.app import syntax
from afterword.doctor.app.application import Application
from afterword.doctor.app.handovers import BACKGROUND, RESPONSE
from afterword.doctor.app.model import Function
from afterword.doctor.app.registry import Place, at, check


@check(
    "AW116",
    finds="a task of a response that never ends",
    why="Every request starts one more loop. Tasks behind it in the same response never begin, a thread of the pool is "
    "taken for good, and no deploy can ever wait for its end.",
    fix="Start it once, in the `lifespan` of the application, keep its task, and cancel it there at shutdown.",
)
def never_ends(app: Application) -> Iterator[Place]:
    """Look for ``while True`` without a way out in what is added to responses."""
    for function, places in app.tasks.items():
        handed = [one for one in places if one.kind in {BACKGROUND, RESPONSE}]
        if handed and _is_endless(function):
            for one in handed:
                yield at(one.module, one.call, f"{function.name} loops for ever and is the task of one response here")


def _is_endless(function: Function) -> bool:
    """Whether a loop at the end of the function has no way out."""
    last = function.body[-1] if function.body else None
    while isinstance(last, ast.With | ast.AsyncWith | ast.Try):
        last = last.body[-1]
    if not isinstance(last, ast.While) or not (isinstance(last.test, ast.Constant) and last.test.value):
        return False
    inside = syntax.running_nodes(last.body)
    return not any(isinstance(one, ast.Break | ast.Return | ast.Raise) for one in inside)
