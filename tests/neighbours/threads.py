"""Scenes: threads, executors, and the ways between threads and the loop."""

import asyncio
import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

import anyio.to_thread
from fastapi import BackgroundTasks

from tests.neighbours.background import StopEverythingError, on_loop_raises
from tests.neighbours.record import ORDER, Scene, plain, seen
from tests.neighbours.tasks import outcome, work

P = ParamSpec("P")
T = TypeVar("T")


def piece(scene: Scene, what: str = "piece", **kwargs: Any) -> str:
    """Work in whatever thread."""
    scene.note(what, kwargs)
    return f"result of {what}"


def setting(scene: Scene) -> None:
    """Work that leaves something in its context. Not for a pool of Python's: who gets the same thread is chance."""
    ORDER.set("set in a thread")
    scene.note("set")


def raising(scene: Scene) -> None:
    """Work that fails."""
    scene.note("raising")
    raise LookupError("gone", 7)


def stopping(scene: Scene) -> None:
    """What is no Exception."""
    scene.note("stopping")
    raise StopEverythingError("now")


class Worker(threading.Thread):
    """A thread class of the user's."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(name="worker", daemon=True)
        self.scene = scene

    def run(self) -> None:
        """Its own way to run."""
        self.scene.note("own run", self.name, self.daemon, self is threading.current_thread())


async def thread(scene: Scene, _: BackgroundTasks) -> None:
    """Started, joined, started again."""
    one = threading.Thread(target=piece, args=(scene,), kwargs={"what": "in a thread", "more": 1})
    facts = [plain(one.name), one.daemon, one.is_alive(), one.ident]
    one.start()
    one.join()
    scene.note("thread", facts, one.is_alive(), one.ident is not None)
    for again in (one.start, threading.Thread(target=None).join):
        try:
            again()
        except RuntimeError as error:
            scene.note("refused", error.args)
    for other in (
        Worker(scene),
        threading.Thread(target=setting, args=(scene,)),
        threading.Timer(0.001, piece, (scene, "by timer")),
        threading.Thread(),
    ):
        other.start()
        other.join()
        scene.note("thread of another kind", type(other).__name__, type(other).run.__qualname__)


async def thread_raises(scene: Scene, _: BackgroundTasks) -> None:
    """What threading.excepthook is told; SystemExit it is not told."""
    before, told = threading.excepthook, list[Any]()

    def hook(args: Any) -> None:
        told.append([args.exc_type.__name__, seen(args.exc_value), plain(args.thread.name)])

    threading.excepthook = hook
    try:
        for target in (raising, stopping, lambda _: exit_quietly()):
            one = threading.Thread(target=target, args=(scene,), name=f"raises-{target.__name__}")
            one.start()
            one.join()
    finally:
        threading.excepthook = before
    scene.note("excepthook", told)


def exit_quietly() -> None:
    """As sys.exit() in a thread."""
    raise SystemExit(3)


async def thread_outlives(scene: Scene, tasks: BackgroundTasks) -> None:
    """Threads that run on after the response, one of them started by a background task."""

    def late() -> None:
        piece(scene, "late")
        scene.paid()

    def starts() -> None:
        threading.Thread(target=late, name="from a task").start()

    scene.owe(2)
    threading.Thread(target=late, name="from the endpoint").start()
    tasks.add_task(starts)


class Pool(ThreadPoolExecutor):
    """An executor of the user's, which looks at what it is given."""

    scene: Scene

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Tell, then Python's own."""
        self.scene.note("submitted", fn.__qualname__, len(args), kwargs)
        return super().submit(fn, *args, **kwargs)


async def executor(scene: Scene, _: BackgroundTasks) -> None:
    """submit, map, cancel, callbacks, shutdown."""
    gate = threading.Event()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="own") as pool:
        ready = pool.submit(piece, scene, more=1)
        failed, stopped = pool.submit(raising, scene), pool.submit(stopping, scene)
        scene.note("results", ready.result(), seen(failed.exception()), seen(stopped.exception()), type(ready).__name__)
        first, second = pool.submit(gate.wait, 10), pool.submit(piece, scene, "never")
        second.add_done_callback(lambda done: scene.note("callback", done.cancelled()))
        scene.note("cancelled", second.cancel(), second.cancelled())
        gate.set()
        scene.note("gate", first.result())
        scene.note("map", list(pool.map(functools.partial(piece, scene), ["m", "n"])))
        waiting = pool.submit(piece, scene, "last")
    scene.note("after shutdown", waiting.done())
    try:
        pool.submit(piece, scene)
    except RuntimeError as error:
        scene.note("refused", seen(error))


async def own_executor(scene: Scene, _: BackgroundTasks) -> None:
    """A subclass sees the functions themselves, also those the loop hands over."""
    with Pool(max_workers=1, thread_name_prefix="mine", initializer=scene.note, initargs=("initialised",)) as pool:
        pool.scene = scene
        scene.note("submit", pool.submit(piece, scene).result())
        loop = asyncio.get_running_loop()
        scene.note("run_in_executor", await outcome(loop.run_in_executor(pool, piece, scene, "handed over")))


async def executor_outlives(scene: Scene, _: BackgroundTasks) -> None:
    """A future that is done after the response."""
    pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="outlives")
    scene.owe()
    scene.kept += [pool, pool.submit(piece, scene, "after the response")]
    scene.kept[1].add_done_callback(scene.paid)
    pool.shutdown(wait=False)


async def from_loop(scene: Scene, _: BackgroundTasks) -> None:
    """run_in_executor, to_thread, anyio: results, exceptions, context."""
    loop = asyncio.get_running_loop()
    for call in (piece, raising, stopping):
        scene.note("run_in_executor", await outcome(loop.run_in_executor(None, call, scene)))
        scene.note("to_thread", await outcome(asyncio.to_thread(call, scene)))
        scene.note("anyio", await outcome(anyio.to_thread.run_sync(call, scene)))
    await asyncio.to_thread(setting, scene)
    await anyio.to_thread.run_sync(setting, scene)
    scene.note("nobody awaits it", type(loop.run_in_executor(None, int)).__name__)


async def to_loop(scene: Scene, _: BackgroundTasks) -> None:
    """From a thread into the loop and back, and a loop of its own in a thread."""
    loop = asyncio.get_running_loop()

    def calls_back() -> Any:
        result = asyncio.run_coroutine_threadsafe(work(scene, "for a thread"), loop).result(10)
        return [result, seen(asyncio.run_coroutine_threadsafe(on_loop_raises(scene), loop).exception(10))]

    scene.note("threadsafe", await asyncio.to_thread(calls_back))

    async def own_loop() -> Any:
        return [await outcome(asyncio.create_task(one)) for one in (work(scene, "own loop"), on_loop_raises(scene))]

    scene.note("another loop", await asyncio.to_thread(asyncio.run, own_loop()))


SCENES = (
    thread, thread_raises, thread_outlives, executor, own_executor, executor_outlives, from_loop, to_loop,
)  # fmt: skip
