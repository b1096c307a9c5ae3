"""The application of the request figures: one endpoint that schedules nothing, one task, ten tasks; bare or counted."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import BackgroundTasks, FastAPI

if TYPE_CHECKING:
    from collections.abc import Callable


async def nothing() -> None:
    """A task that costs as little as a task can."""


def build(stack: str, directory: Path) -> FastAPI:
    """``bare``, ``afterword``, ``fix7`` or ``fix7_multiprocess``; the last needs its variable before the import."""
    app = FastAPI()
    task: Callable[..., Any] = nothing
    if stack == "afterword":
        import afterword

        afterword.instrument(app, dir=directory)
    elif stack.startswith("fix7"):
        from benchmarks.fix7 import instrumented

        task = instrumented("nothing")(nothing)

    @app.get("/0")
    async def none() -> dict[str, str]:
        return {}

    @app.get("/1")
    async def one(background: BackgroundTasks) -> dict[str, str]:
        background.add_task(task)
        return {}

    @app.get("/10")
    async def ten(background: BackgroundTasks) -> dict[str, str]:
        for _ in range(10):
            background.add_task(task)
        return {}

    return app
