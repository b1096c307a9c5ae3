"""AW109: a deploy that gives tasks less time than they need."""

import ast
from collections.abc import Iterator

from afterword.doctor.app import syntax
from afterword.doctor.app.application import Application
from afterword.doctor.app.deployment import graces
from afterword.doctor.app.model import Function
from afterword.doctor.app.registry import Place, check


@check(
    "AW109",
    finds="a graceful timeout that is shorter than a task usually takes, or than its `deadline=` allows",
    why="At every deploy the server waits that long for what is under way and then ends the process. The task is cut "
    "off in the middle, after its request was answered with 200.",
    fix="Give the server (`--timeout-graceful-shutdown`, `graceful_timeout`) and what stops it (`stop_grace_period`, "
    "`TimeoutStopSec`, `terminationGracePeriodSeconds`) more time than the longest task, or move it to a durable "
    "queue.",
)
def ends_too_early(app: Application) -> Iterator[Place]:
    """Compare each grace that is set with the task that needs most."""
    needs = {name: (seconds, f"usually takes {seconds:g} s") for name, seconds in app.usual.items()}
    for name, seconds in _deadlines(app).items():
        if seconds > needs.get(name, (0.0, ""))[0]:
            needs[name] = (seconds, f"may take {seconds:g} s by its deadline")
    if not needs:
        return
    for grace in graces(app.folder, app.project.target):
        cut = sorted((one for one in needs if needs[one][0] > grace.seconds), key=lambda one: (-needs[one][0], one))
        if cut:
            others = f", and {len(cut) - 1} more do not fit" if len(cut) > 1 else ""
            problem = f"{grace.setting} gives {grace.seconds:g} s, and {cut[0]} {needs[cut[0]][1]}{others}"
            yield Place(grace.file, grace.line, grace.column, grace.line, problem)


def _deadlines(app: Application) -> dict[str, float]:
    """The ``deadline=`` of tasks that are handed over to responses, by the name of the task."""
    found = {}
    for function in app.tasks:
        for decorator in function.decorators:
            if not isinstance(decorator, ast.Call):
                continue
            if app.symbols.outside(decorator.func, None, function.module) in {
                "afterword.task",
                "afterword.declarations.task",
            }:
                seconds = syntax.number(syntax.keyword(decorator, "deadline"))
                name = syntax.keyword(decorator, "name")
                if seconds is not None and not _loops(function):
                    shown = name.value if isinstance(name, ast.Constant) else function.name
                    found[str(shown)] = seconds
    return found


def _loops(function: Function) -> bool:
    """A worker's deadline is about progress, and it is cancelled at the end anyway."""
    return any(isinstance(one, ast.While) and isinstance(one.test, ast.Constant) for one in function.nodes)
