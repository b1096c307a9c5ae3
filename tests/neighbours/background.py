"""Scenes: BackgroundTasks and tasks set on a Response, in every shape, running and raising."""

import asyncio
import functools
from collections.abc import AsyncIterator
from typing import Any, ClassVar

from fastapi import BackgroundTasks, HTTPException
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from starlette.background import BackgroundTask

from tests.neighbours.record import ORDER, Scene, task_facts


class StopEverythingError(BaseException):
    """No Exception: most handlers do not catch it."""


def sync(scene: Scene, *args: Any, **kwargs: Any) -> str:
    """In the thread pool."""
    scene.note("sync task", list(args), kwargs)
    ORDER.set("set in a thread")
    return "ignored"


async def on_loop(scene: Scene, *args: Any, **kwargs: Any) -> str:
    """On the loop, with a pause in the middle."""
    scene.note("async task begins", list(args), kwargs, task_facts(asyncio.current_task())[2:4])
    await asyncio.sleep(0)
    ORDER.set(f"{ORDER.get()}, set by a task")
    scene.note("async task ends")
    return "ignored"


def sync_raises(scene: Scene) -> None:
    """Fails in the thread pool, for a reason."""
    scene.note("sync task raises")
    try:
        raise KeyError("inner")
    except KeyError as error:
        error.add_note("a note")
        raise LookupError("gone", 7) from error


async def on_loop_raises(scene: Scene) -> None:
    """Fails on the loop."""
    scene.note("async task raises")
    await asyncio.sleep(0)
    raise LookupError("gone", 7)


def sync_stops(scene: Scene) -> None:
    """Raises what is no Exception."""
    scene.note("sync task stops everything")
    raise StopEverythingError("now")


class Courier:
    """Callable objects and methods."""

    def __call__(self, scene: Scene) -> None:
        """In the thread pool."""
        scene.note("callable object")

    async def method(self, scene: Scene) -> None:
        """On the loop."""
        scene.note("async method")


class AsyncCourier:
    """A callable object that is awaited."""

    async def __call__(self, scene: Scene) -> None:
        """On the loop."""
        scene.note("async callable object")


class Watched(BackgroundTask):
    """A user's own class of tasks."""

    made: ClassVar[list[str]] = []

    async def __call__(self) -> None:
        """Around Starlette's."""
        scene: Scene = self.args[0]  # type: ignore[assignment] # ParamSpec
        scene.note("own class begins", self.func.__name__, len(self.args), self.is_async, type(self).__name__)
        try:
            await super().__call__()
        finally:
            scene.note("own class ends")


async def every_shape(scene: Scene, tasks: BackgroundTasks) -> None:
    """One after the other, whatever they are."""
    for task in (
        sync, on_loop, functools.partial(sync, more="partial"), functools.partial(on_loop, more="partial"),
        Courier(), Courier().method, AsyncCourier(),
    ):  # fmt: skip
        tasks.add_task(task, scene)
    tasks.add_task(sync, scene, 1, two=2)
    tasks.add_task(on_loop, scene, 1, two=2)
    scene.note("added", len(tasks.tasks), [task.func is not None for task in tasks.tasks], tasks.tasks[-1].is_async)


async def sync_failing(scene: Scene, tasks: BackgroundTasks) -> None:
    """The one behind it never runs."""
    tasks.add_task(sync_raises, scene)
    tasks.add_task(on_loop, scene)


async def async_failing(scene: Scene, tasks: BackgroundTasks) -> None:
    """The one behind it never runs."""
    tasks.add_task(sync, scene)
    tasks.add_task(on_loop_raises, scene)
    tasks.add_task(sync, scene)


async def stopping(scene: Scene, tasks: BackgroundTasks) -> None:
    """Not even an Exception."""
    tasks.add_task(sync_stops, scene)


async def adds_more(scene: Scene, tasks: BackgroundTasks) -> None:
    """A task that adds another while they run."""

    def more() -> None:
        scene.note("adds one more")
        tasks.add_task(sync, scene, "added by a task")

    tasks.add_task(more)


async def by_mistake(scene: Scene, tasks: BackgroundTasks) -> None:
    """A coroutine in the place of a function: refused when it is added or when it runs, the same in both worlds."""
    coroutine = on_loop(scene)
    scene.kept.append(coroutine)
    try:
        tasks.add_task(coroutine)  # type: ignore[arg-type] # the mistake
        scene.note("accepted")
    finally:
        coroutine.close()


async def on_response(scene: Scene, _: BackgroundTasks) -> JSONResponse:
    """Set on a response, and what else the endpoint got is not used."""
    return JSONResponse({}, background=BackgroundTask(sync, scene))


async def async_on_response(scene: Scene, _: BackgroundTasks) -> PlainTextResponse:
    """The same on the loop."""
    return PlainTextResponse("", background=BackgroundTask(on_loop, scene))


async def on_response_raises(scene: Scene, _: BackgroundTasks) -> JSONResponse:
    """A task on a response that fails."""
    return JSONResponse({}, background=BackgroundTask(sync_raises, scene))


async def own_class(scene: Scene, _: BackgroundTasks) -> JSONResponse:
    """A user's own class, on a response."""
    return JSONResponse({}, background=Watched(on_loop, scene))


async def container_on_response(scene: Scene, _: BackgroundTasks) -> JSONResponse:
    """A container made by hand."""
    made = BackgroundTasks()
    made.add_task(sync, scene)
    made.add_task(on_loop, scene)
    return JSONResponse({}, background=made)


async def streamed(scene: Scene, _: BackgroundTasks) -> StreamingResponse:
    """After a streamed body."""

    async def parts() -> AsyncIterator[bytes]:
        for letter in (b"a", b"b"):
            scene.note("part")
            yield letter

    return StreamingResponse(parts(), background=BackgroundTask(on_loop, scene))


async def refused(scene: Scene, tasks: BackgroundTasks) -> None:
    """Its tasks never run."""
    tasks.add_task(sync, scene)
    raise HTTPException(409)


async def broken(scene: Scene, tasks: BackgroundTasks) -> None:
    """An endpoint that fails itself."""
    tasks.add_task(sync, scene)
    raise LookupError("the endpoint")


async def hanging(scene: Scene, tasks: BackgroundTasks) -> None:
    """A task that never ends by itself, and one behind it."""

    async def hangs() -> None:
        scene.note("hanging")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError as error:
            current = asyncio.current_task()
            scene.note("cancelled", list(error.args), current.cancelling() if current else None)
            raise

    tasks.add_task(hangs)
    tasks.add_task(sync, scene)


SCENES = (
    every_shape, sync_failing, async_failing, stopping, adds_more, on_response, async_on_response,
    on_response_raises, own_class, container_on_response, streamed, refused, broken,
)  # fmt: skip
