"""AW109: a deploy that gives tasks less time than they need."""

from collections.abc import Iterator

from afterword.doctor.app.application import Application
from afterword.doctor.app.declared import declared_as
from afterword.doctor.app.deployment import graces
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
            fix = f"Set `{grace.setting}` to more than {needs[cut[0]][0]:g} s, or move the task to a durable queue."
            yield Place(grace.file, grace.line, grace.column, grace.line, problem, fix)


def _deadlines(app: Application) -> dict[str, float]:
    """The ``deadline=`` of tasks that are handed over to responses, by the name of the task."""
    found = {}
    for function in app.tasks:
        declared = declared_as(function, app.symbols)
        if declared is not None and declared.deadline is not None:
            found[declared.name] = declared.deadline
    return found
