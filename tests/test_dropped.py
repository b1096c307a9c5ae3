"""Tasks that never start: each is booked as dropped, once, by the reason a person would give."""

import asyncio
import contextlib
import gc
from typing import Annotated

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from starlette.background import BackgroundTask
from starlette.background import BackgroundTasks as StarletteTasks

from tests.helpers import until
from tests.helpers.asgi import call, receive, scope, sink

pytestmark = pytest.mark.framework
DROPPED = {"scheduled": 1}


async def send():
    """A task."""


async def archive():
    """Another one."""


def boom():
    """One that fails."""
    raise LookupError("gone")


def client(app):
    """Sees a failure as its status, as a browser does."""
    return TestClient(app, raise_server_exceptions=False)


def test_tasks_behind_a_failing_one_are_dropped_before_the_server_knows(instrumented, books):
    """Starlette stops at the first exception: the rest is booked before the exception leaves the tasks."""
    app, at_once = FastAPI(), []

    class Outermost:
        """What stands between the tasks and the server."""

        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            try:
                await self.app(scope, receive, send)
            except LookupError:
                at_once.append(books.of("send"))
                raise

    @app.get("/")
    def order(tasks: BackgroundTasks):
        tasks.add_task(archive)
        tasks.add_task(boom)
        tasks.add_task(send)

    app.add_middleware(Outermost)
    assert client(instrumented(app)).get("/").status_code == 200
    assert at_once == [books.of("send")] == [DROPPED | {"sibling_failed": 1}]
    assert books.of("archive") == {"scheduled": 1, "started": 1, "succeeded": 1}


def test_siblings_in_a_container_within_a_container_are_dropped_too(instrumented, books):
    """A response's own container may carry the injected one."""
    app = instrumented(FastAPI())

    @app.get("/")
    def order(tasks: BackgroundTasks):
        tasks.add_task(send)
        return JSONResponse({}, background=StarletteTasks([BackgroundTask(boom), tasks]))

    client(app).get("/")
    assert books.of("send") == DROPPED | {"sibling_failed": 1}


async def refused(tasks: BackgroundTasks):
    """An error that FastAPI turns into a response."""
    tasks.add_task(send)
    raise HTTPException(409)


async def broken(tasks: BackgroundTasks):
    """An error nobody handles."""
    tasks.add_task(send)
    raise LookupError


async def own_cancellation(tasks: BackgroundTasks):
    """Something the endpoint awaits is cancelled; the request itself is not."""
    tasks.add_task(send)
    raise asyncio.CancelledError


@pytest.mark.parametrize("endpoint", [refused, broken, own_cancellation])
def test_tasks_of_a_failed_request_are_dropped_by_it(instrumented, books, endpoint):
    """A 4xx, a 5xx and an exception all mean: the response with the tasks was never sent."""
    app = instrumented(FastAPI())
    app.get("/")(endpoint)

    async def server():
        with contextlib.suppress(LookupError, asyncio.CancelledError):
            await call(app)

    asyncio.run(server())
    assert books.of("send") == DROPPED | {"request_failed": 1}


@pytest.mark.parametrize("status", [400, 500])
def test_an_error_response_that_carries_its_tasks_runs_them(instrumented, books, status):
    """A status alone drops nothing: an endpoint may answer 500 and still mean its tasks."""
    app = instrumented(FastAPI())

    @app.get("/", status_code=status)
    async def order(tasks: BackgroundTasks):
        tasks.add_task(send)

    assert client(app).get("/").status_code == status
    assert books.of("send") == {"scheduled": 1, "started": 1, "succeeded": 1}


def test_an_exception_handlers_own_task_runs(instrumented, books):
    """The handler's response replaces the endpoint's: its task runs, the endpoint's is dropped."""
    app = instrumented(FastAPI())

    @app.exception_handler(LookupError)
    async def handle(_, __):
        return JSONResponse({}, status_code=410, background=BackgroundTask(archive))

    app.get("/")(broken)
    assert client(app).get("/").status_code == 410
    assert books.of("send") == DROPPED | {"request_failed": 1}
    assert books.of("archive") == {"scheduled": 1, "started": 1, "succeeded": 1}


def test_injected_tasks_behind_a_response_with_its_own_are_dropped(instrumented, books):
    """FastAPI keeps the response's background and forgets the injected tasks; no collection is needed to see it."""
    app = instrumented(FastAPI())

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        tasks.add_task(send)
        return JSONResponse({}, background=BackgroundTask(archive))

    gc.disable()
    try:
        client(app).get("/")
        until(lambda: books.of("send") == DROPPED | {"response_replaced": 1})
    finally:
        gc.enable()
    assert books.of("archive") == {"scheduled": 1, "started": 1, "succeeded": 1}


def test_a_task_object_nobody_sends_is_dropped(instrumented, books):
    """A BackgroundTask made in a request and set on no response will never run."""
    app = instrumented(FastAPI())

    @app.get("/")
    async def order():
        BackgroundTask(send)

    client(app).get("/")
    assert books.of("send") == DROPPED | {"response_replaced": 1}


def test_a_task_added_after_the_background_ran_is_too_late(instrumented, books):
    """Where a dependency's exit runs after the response, its task is dropped; before it, FastAPI runs the task."""
    app, order_of = instrumented(FastAPI()), []

    async def unit_of_work(tasks: BackgroundTasks):
        yield
        order_of.append("exit")
        tasks.add_task(send)

    @app.get("/")
    async def order(tasks: BackgroundTasks, _: Annotated[None, Depends(unit_of_work)]):
        tasks.add_task(order_of.append, "task")

    client(app).get("/")
    late = order_of == ["task", "exit"]
    assert books.of("send") == DROPPED | ({"added_too_late": 1} if late else {"started": 1, "succeeded": 1})


def test_a_task_added_by_what_outlives_its_request_is_dropped_when_forgotten(instrumented, books):
    """An asyncio task carries the request's context on; what it adds after the end has nobody to run it."""
    app, left, ended = instrumented(FastAPI()), list[asyncio.Task[None]](), asyncio.Event()

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        async def later():
            await ended.wait()
            tasks.add_task(send)

        left.append(asyncio.create_task(later()))

    async def server():
        await call(app)
        ended.set()
        await left.pop()

    asyncio.run(server())
    gc.collect()
    assert books.of("send") == DROPPED | {"added_too_late": 1}


def test_tasks_that_somebody_else_runs_are_not_called_dropped(instrumented, books):
    """An endpoint may hand its tasks to an asyncio task: they start after the response, and none is dropped."""
    app, left, answered = instrumented(FastAPI()), list[asyncio.Task[None]](), asyncio.Event()

    @app.get("/")
    async def order():
        tasks = BackgroundTasks()
        for task in (send, archive):
            tasks.add_task(task)
        left.append(asyncio.create_task(after(tasks)))

    async def after(tasks):
        await answered.wait()
        await tasks()

    async def server():
        await call(app)
        assert books.of("send") == {"scheduled": 1, "waiting": 1}
        answered.set()
        await left.pop()

    asyncio.run(server())
    assert books.of("send") == books.of("archive") == {"scheduled": 1, "started": 1, "succeeded": 1}


def test_tasks_made_by_hand_and_thrown_away_are_discarded(instrumented, books):
    """Outside of any request nothing settles: the objects tell when they are forgotten."""
    instrumented(FastAPI())
    tasks = BackgroundTasks()
    tasks.add_task(send)
    assert books.of("send") == {"scheduled": 1, "waiting": 1}
    del tasks
    assert books.of("send") == DROPPED | {"discarded": 1}
    tasks = BackgroundTasks()
    tasks.add_task(archive)
    asyncio.run(tasks())
    del tasks
    assert books.of("archive") == {"scheduled": 1, "started": 1, "succeeded": 1}


async def cancelled_once(app, started):
    """Call the application, and cancel the call once ``started`` says so."""
    request = asyncio.create_task(app(scope(), receive, sink))
    for _ in range(10_000):
        if started():
            break
        await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


def test_cancelling_a_request_cancels_what_runs_and_drops_what_waits(instrumented, books):
    """At a shutdown without patience the server cancels: one task is cancelled, those behind it go by shutdown."""
    app, running = instrumented(FastAPI()), []

    async def endless():
        running.append(1)
        await asyncio.get_running_loop().create_future()

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        tasks.add_task(endless)
        tasks.add_task(send)

    asyncio.run(cancelled_once(app, lambda: running))
    assert books.of("endless") == {"scheduled": 1, "started": 1, "cancelled": 1}
    assert books.of("send") == DROPPED | {"shutdown": 1}


def test_a_request_cancelled_before_its_response_drops_its_tasks_by_shutdown(instrumented, books):
    """The endpoint never returned, so nothing was sent and nothing starts."""
    app, running = instrumented(FastAPI()), []

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        tasks.add_task(send)
        running.append(1)
        await asyncio.get_running_loop().create_future()

    asyncio.run(cancelled_once(app, lambda: running))
    assert books.of("send") == DROPPED | {"shutdown": 1}


def test_a_task_cancelled_while_it_waits_for_a_thread_is_dropped(instrumented, books):
    """A full thread pool: the task waits, has not begun, and is never going to."""
    from anyio.to_thread import current_default_thread_limiter

    app = instrumented(FastAPI())

    def in_thread():
        """Never runs."""

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        tasks.add_task(in_thread)

    async def server():
        limiter = current_default_thread_limiter()
        limiter.total_tokens = 1
        async with limiter:
            await cancelled_once(app, lambda: limiter.statistics().tasks_waiting)

    asyncio.run(server())
    assert books.of("in_thread") == DROPPED | {"shutdown": 1}


def test_a_task_that_its_owner_still_runs_is_not_dropped_by_an_error_answer(instrumented, books):
    """The endpoint answers 403 and runs its tasks all the same: whoever holds them may."""
    app, kept = FastAPI(), []

    @app.get("/")
    async def denied():
        tasks = BackgroundTasks()
        tasks.add_task(send)
        kept.append(asyncio.create_task(tasks()))
        raise HTTPException(403)

    async def visit():
        await call(instrumented(app))
        await asyncio.gather(*kept)

    asyncio.run(visit())
    assert books.of("send") == {"scheduled": 1, "started": 1, "succeeded": 1}
