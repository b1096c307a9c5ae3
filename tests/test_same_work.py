"""The watched work comes first: what a task does, raises and leaves behind is the same with and without us."""

import asyncio
import contextlib
import contextvars
import gc
import traceback
import weakref

import pytest
from fastapi import BackgroundTasks, FastAPI
from fastapi.testclient import TestClient
from starlette.background import BackgroundTask

from tests.helpers.asgi import call

pytestmark = pytest.mark.framework
NOTE = contextvars.ContextVar("NOTE", default="nothing")


def sync(*_, **__):
    """A task in the thread pool."""


def boom():
    """A task that fails."""
    raise LookupError("gone")


async def interrupted():
    """A task that waits for something which is cancelled."""
    waiting = asyncio.get_running_loop().create_future()
    waiting.cancel()
    await waiting


def observed(task):
    """An application, run the way a server does; what its task's failure looks like from outside."""
    app, seen = FastAPI(), list[object]()

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        NOTE.set("endpoint")
        tasks.add_task(task)

    async def server(instrument=lambda app: app):
        instrument(app)
        try:
            await call(app)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is compared
            seen.append((type(error), str(error), chain(error), own_frames(error)))
        seen.append(NOTE.get())
        return seen

    return server


def chain(error):
    """The classes of an exception and of what led to it."""
    return [(type(e), type(e.__cause__), e.__suppress_context__) for e in (error, error.__context__) if e]


def own_frames(error):
    """The functions in the traceback that are the test's own."""
    return [f.name for f in traceback.extract_tb(error.__traceback__) if f.filename == __file__]


async def chained():
    """A failure with a cause."""
    NOTE.set("task")
    try:
        boom()
    except LookupError as error:
        raise RuntimeError("translated") from error


def chained_in_thread():
    """A failure with a context, in a thread."""
    NOTE.set("thread")
    try:
        boom()
    except LookupError:
        raise RuntimeError(NOTE.get())  # noqa: B904 - the context is the point


def leaves():
    """A task that ends its process, or tries to."""
    raise SystemExit(3)


@pytest.mark.parametrize("task", [chained, chained_in_thread, interrupted, leaves, sync])
def test_a_failure_looks_the_same_with_and_without_us(instrumented, task):
    """Same exception, same chain, same frames of the application, same context variables."""
    bare = asyncio.run(observed(task)())
    assert asyncio.run(observed(task)(instrumented)) == bare


def test_a_coroutine_that_somebody_else_awaits_is_left_alone(instrumented):
    """A task whose function hands out what another one is in the middle of: an error, and that other one goes on."""

    async def main(instrument):
        app, gate = FastAPI(), asyncio.Event()
        shared = gate.wait()

        async def hand_over():
            return await shared

        other = asyncio.get_running_loop().create_task(hand_over())
        await asyncio.sleep(0)

        @app.get("/")
        async def order(tasks: BackgroundTasks):
            task = BackgroundTask(hand_over)  # a task that is awaited
            task.func = lambda: shared  # type: ignore[assignment]  # whatever it takes is its own affair
            tasks.tasks.append(task)

        instrument(app)
        with pytest.raises(RuntimeError) as raised:
            await call(app)
        gate.set()
        return str(raised.value), await other

    assert asyncio.run(main(instrumented)) == asyncio.run(main(lambda app: app))


def test_an_exception_is_freed_as_soon_as_without_us(instrumented):
    """No reference of ours keeps a failed request's frames alive until the next collection."""
    app, kept = instrumented(FastAPI()), []

    class Body:
        """Something large in a frame."""

    async def task():
        body = Body()
        kept.append(weakref.ref(body))
        raise LookupError

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        tasks.add_task(task)

    async def server():
        with contextlib.suppress(LookupError):
            await call(app)
        return kept[0]()

    gc.disable()
    try:
        assert asyncio.run(server()) is None
    finally:
        gc.enable()


def test_the_task_object_shows_the_users_function(instrumented):
    """Code that looks at a task finds its function and arguments as Starlette keeps them."""
    app, looked = instrumented(FastAPI()), []

    @app.get("/")
    def order(tasks: BackgroundTasks):
        tasks.add_task(sync, 1, key=2)
        task = tasks.tasks[0]
        looked.append((task.func is sync, task.args, task.kwargs, task.is_async, isinstance(task, BackgroundTask)))

    TestClient(app).get("/")
    assert looked == [(True, (1,), {"key": 2}, False, True)]
