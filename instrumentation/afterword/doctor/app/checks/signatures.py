"""AW104: a task that waits for a dependency nobody resolves."""

from collections.abc import Iterator

from afterword.doctor.app import syntax
from afterword.doctor.app.application import Application
from afterword.doctor.app.handovers import HandOver
from afterword.doctor.app.model import Function
from afterword.doctor.app.registry import Place, at, check
from afterword.doctor.app.routes import dependencies


@check(
    "AW104",
    finds="`Depends(...)` in the signature of a task, for a parameter that the hand-over does not give",
    why="FastAPI resolves dependencies of endpoints, and a task is none: it gets the `Depends` object itself and fails "
    "at its first use, behind an answer of 200.",
    fix="Resolve it in the endpoint and hand over the plain value, or open what the task needs inside of the task.",
)
def depends_in_task(app: Application) -> Iterator[Place]:
    """Compare the signature of each task with what it is given."""
    for function, places in app.tasks.items():
        for name, _, _ in dependencies(function, app.symbols):
            if any(not _is_given(name, function, one) for one in places):
                problem = (
                    f"{function.name} runs as a task, where nobody resolves the dependency of its parameter {name}"
                )
                yield at(function.module, function.parameters[name], problem)


def _is_given(name: str, function: Function, one: HandOver) -> bool:
    count, names, unknown = one.supplied
    if (
        unknown
        or name in names
        or (one.given is not one.call and syntax.dotted(one.given) == "" and one.kind != "asyncio")
    ):
        return True
    positional = [argument.arg for argument in (*function.node.args.posonlyargs, *function.node.args.args)]
    if function.owner is not None and positional[:1] in (["self"], ["cls"]):
        positional = positional[1:]
    return name in positional[:count]
