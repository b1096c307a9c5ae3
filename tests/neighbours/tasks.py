"""Scenes: asyncio tasks that outlive the request or not, running, raising and cancelled."""

import asyncio
import contextvars
import gc
import inspect
import types
import warnings
import weakref
from collections.abc import Coroutine, Generator
from typing import Any

from fastapi import BackgroundTasks

from tests.neighbours.background import StopEverythingError
from tests.neighbours.record import ORDER, Scene, everybody, seen, task_facts


async def work(scene: Scene, what: str = "work") -> str:
    """A pause, and a result."""
    scene.note(f"{what} begins", task_facts(asyncio.current_task()))
    await asyncio.sleep(0)
    ORDER.set(f"{ORDER.get()}, set by {what}")
    scene.note(f"{what} ends")
    return f"result of {what}"


async def raises(scene: Scene) -> None:
    """A pause, and a failure."""
    scene.note("failing begins")
    await asyncio.sleep(0)
    raise LookupError("gone", 7)


async def stops(scene: Scene) -> None:
    """What is no Exception."""
    scene.note("stopping begins")
    await asyncio.sleep(0)
    raise StopEverythingError("now")


async def waits(scene: Scene) -> None:
    """Until it is cancelled."""
    scene.note("waiting begins")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError as error:
        current = asyncio.current_task()
        scene.note("cancelled", seen(error), current.cancelling() if current else None)
        raise


async def refuses(scene: Scene) -> str:
    """Takes no for an answer."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        current = asyncio.current_task()
        scene.note("uncancelled", current.uncancel() if current else None)
    return "went on"


async def outcome(awaitable: Any) -> list[Any]:
    """The result, or the exception as the awaiting code sees it."""
    try:
        return ["result", await awaitable]
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
        return ["raised", seen(error)]


async def forgotten(scene: Scene, _: BackgroundTasks) -> None:
    """Fire and forget, beside what the loop was told before and after: who runs first."""
    loop = asyncio.get_running_loop()
    scene.owe(3)
    loop.call_soon(scene.note, "called before")
    made = asyncio.create_task(work(scene, "unnamed"))
    loop.call_soon(scene.note, "called after")
    named = asyncio.create_task(work(scene, "named"), name="send-mail-7")
    own = loop.create_task(work(scene, "in its own context"), context=contextvars.copy_context())
    for task in (made, named, own):
        task.add_done_callback(lambda done: scene.note("first callback", done.result()))
        task.add_done_callback(lambda _: scene.note("second callback"))
        task.add_done_callback(scene.paid)
    scene.kept += [made, named, own]
    scene.note("made", [task_facts(task) for task in scene.kept], named.get_name(), everybody())
    named.set_name("renamed")


async def awaited(scene: Scene, _: BackgroundTasks) -> None:
    """Each ending, as the awaiting code sees it."""
    for function in (work, raises, stops):
        coroutine = function(scene)
        task = asyncio.create_task(coroutine)
        scene.note("coroutine", asyncio.iscoroutine(task.get_coro()), inspect.getcoroutinestate(coroutine))
        scene.note("outcome", await outcome(task), task_facts(task), task.cancelled())


async def context_given(scene: Scene, _: BackgroundTasks) -> None:
    """What a task sets is seen in the context it was given, and nowhere else."""
    mine = contextvars.copy_context()
    await asyncio.create_task(work(scene), context=mine)
    scene.note("contexts", mine[ORDER], ORDER.get())


async def cancelled(scene: Scene, _: BackgroundTasks) -> None:
    """With a message, before its first step, twice, and in vain."""
    running, unborn, stubborn = (asyncio.create_task(one(scene)) for one in (waits, waits, refuses))
    scene.note("before the first step", unborn.cancel("never begun"), await outcome(unborn))
    await asyncio.sleep(0)
    scene.note("asked", running.cancel("why"), running.cancelling(), await outcome(running), running.cancelled())
    scene.note("in vain", stubborn.cancel(), await outcome(stubborn), stubborn.cancelling(), stubborn.cancelled())


async def grouped(scene: Scene, _: BackgroundTasks) -> None:
    """A group that ends well, and one whose member fails: the other is cancelled."""
    async with asyncio.TaskGroup() as group:
        first, second = group.create_task(work(scene, "first")), group.create_task(work(scene, "second"), name="second")
    scene.note("group", first.result(), second.result(), second.get_name())

    async def failing() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(waits(scene))
            group.create_task(raises(scene))

    scene.note("failed group", await outcome(failing()))


async def combined(scene: Scene, _: BackgroundTasks) -> None:
    """What asyncio offers to wait for several."""
    found = await asyncio.gather(work(scene, "a"), raises(scene), return_exceptions=True)
    scene.note("gather", [seen(one) if isinstance(one, BaseException) else one for one in found])
    scene.note("gather raises", await outcome(asyncio.gather(raises(scene), asyncio.sleep(0))))
    scene.note("wait_for", await outcome(asyncio.wait_for(waits(scene), 0.001)))
    scene.note("wait_for result", await outcome(asyncio.wait_for(work(scene, "timed"), 5)))
    inner = asyncio.create_task(work(scene, "shielded"))
    scene.note("shield", await outcome(asyncio.shield(inner)))
    done, pending = await asyncio.wait([asyncio.create_task(raises(scene))])
    scene.note("wait", [seen(task.exception()) for task in done], len(pending))
    for first in asyncio.as_completed([work(scene, "completed")]):
        scene.note("as_completed", await outcome(first))
    scene.note("timeout", await outcome(_timed_out(scene)))


async def _timed_out(scene: Scene) -> None:
    async with asyncio.timeout(0.001):
        await waits(scene)


class Later:
    """An awaitable that is no coroutine."""

    def __await__(self) -> Generator[Any, None, str]:
        """One pause."""
        yield from asyncio.sleep(0).__await__()
        return "later"


class ByHand(Coroutine[Any, Any, str]):
    """A coroutine that is an object: what compiled code looks like."""

    def __init__(self) -> None:
        self.__qualname__ = self.__name__ = "ByHand"

    def send(self, _: Any) -> Any:
        """Ends at the first step."""
        raise StopIteration("by hand")

    def throw(self, *error: Any) -> Any:
        """Is cancelled without a word."""
        raise error[0] if isinstance(error[0], BaseException) else error[0]()

    def __await__(self) -> Generator[Any, None, str]:
        """Not used by a task."""
        return self

    def __iter__(self) -> Any:
        """Itself."""
        return self

    def __next__(self) -> Any:
        """One step."""
        return self.send(None)


@types.coroutine
def old_style() -> Generator[Any, None, str]:
    """A generator that is a coroutine."""
    yield from asyncio.sleep(0).__await__()
    return "old style"


async def ensured(scene: Scene, _: BackgroundTasks) -> None:
    """ensure_future with whatever it takes, and what it refuses."""
    future = asyncio.get_running_loop().create_future()
    scene.note("a future stays itself", asyncio.ensure_future(future) is future)
    future.cancel()
    for thing in (work(scene, "ensured"), Later(), ByHand(), old_style()):  # type: ignore[abstract]  # asyncio asks for no more
        made = asyncio.ensure_future(thing)
        scene.note("ensured", type(made).__name__, await outcome(made))
    for refused in (7, work):
        try:
            asyncio.ensure_future(refused)  # type: ignore[call-overload]  # noqa: RUF006 - the mistake
        except TypeError as error:
            scene.note("refused", type(error).__name__, len(error.args))


async def no_coroutine(scene: Scene, _: BackgroundTasks) -> None:
    """create_task with what is none: a function, a number, a future."""
    for thing in (work, 7, asyncio.get_running_loop().create_future()):
        try:
            task = asyncio.create_task(thing)  # type: ignore[arg-type] # the mistake
            scene.note("accepted", await outcome(task))
        except TypeError as error:
            scene.note("refused", len(error.args))


async def never_retrieved(scene: Scene, _: BackgroundTasks) -> None:
    """What the loop says of an exception that nobody looked at, and of a task that is thrown away pending."""
    loop, told = asyncio.get_running_loop(), list[Any]()

    def handler(_: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        told.append([context["message"], error and type(error).__name__, "task" in context or "future" in context])

    before = loop.get_exception_handler()
    loop.set_exception_handler(handler)
    task: Any = asyncio.create_task(raises(scene))
    while not task.done():
        await asyncio.sleep(0)
    gone = weakref.ref(task)
    del task
    gc.collect()
    scene.note("never retrieved", gone() is None)

    async def parked() -> None:
        await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(parked())
    await asyncio.sleep(0)
    gone = weakref.ref(task)
    del task
    gc.collect()
    scene.note("thrown away", gone() is None, told)
    loop.set_exception_handler(before)


async def never_awaited(scene: Scene, _: BackgroundTasks) -> None:
    """A coroutine that nobody awaits is warned of, as ever."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        work(scene)
        gc.collect()
    scene.note("warned", [str(one.message) for one in caught])


async def outlived(scene: Scene, tasks: BackgroundTasks) -> None:
    """A background task that starts an asyncio task, which outlives the request."""

    async def starts() -> None:
        scene.kept.append(asyncio.create_task(work(scene, "child")))
        scene.kept[-1].add_done_callback(scene.paid)
        scene.note("child made", task_facts(scene.kept[-1]))

    scene.owe()
    tasks.add_task(starts)


SCENES = (
    forgotten, awaited, context_given, cancelled, grouped, combined, ensured, never_retrieved, never_awaited, outlived,
)  # fmt: skip
