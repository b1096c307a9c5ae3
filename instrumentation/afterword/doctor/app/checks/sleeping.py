"""AW120: a task that sleeps for longer than its own deadline."""

from collections.abc import Iterator
from typing import Final

from afterword.doctor.app import syntax
from afterword.doctor.app.application import Application, Running
from afterword.doctor.app.declared import declared_as, seconds_of
from afterword.doctor.app.registry import Place, at, check

_SLEEPS: Final = frozenset({"time.sleep", "asyncio.sleep", "anyio.sleep"})


@check(
    "AW120",
    finds="a sleep in a task that is longer than the `deadline=` the task declares",
    why="Every run that gets there is overdue, so nobody can tell it from one that hangs; and what sleeps behind a "
    "response is lost with its process, at the next deploy.",
    fix="Declare a `deadline=` that the task can meet, or let a scheduler or a durable queue begin the rest later.",
)
def sleeps_too_long(app: Application) -> Iterator[Place]:
    """Compare the sleeps of declared tasks, and of what they call, with the deadline."""
    declared = [one for one in app.project.functions() if one not in app.tasks]
    for run in (*app.running, *(Running(one, one, one.is_async) for one in declared)):
        task = declared_as(run.task, app.symbols)
        if task is None or task.deadline is None or run.limited:
            continue
        for call in run.function.calls:
            name = app.symbols.called(call, run.function.module)
            if name in _SLEEPS and not app.is_limited(call, run.function):
                seconds = seconds_of(syntax.argument(call, 0, "delay"), run.function)
                if seconds is not None and seconds > task.deadline:
                    problem = f"{name} takes {seconds:g} s here, and the deadline of the task {run.task.name} is "
                    yield at(run.function.module, call, f"{problem}{task.deadline:g} s")
