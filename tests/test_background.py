"""Tasks that run: every shape of callable is booked under its name, and nothing about its work changes."""

import asyncio
import functools

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI
from fastapi.responses import FileResponse, JSONResponse, StreamingResponse
from fastapi.testclient import TestClient
from starlette.background import BackgroundTask
from starlette.background import BackgroundTasks as StarletteTasks

pytestmark = pytest.mark.framework
RAN = []
SUCCEEDED = {"scheduled": 1, "started": 1, "succeeded": 1}
FAILED = {"scheduled": 1, "started": 1, "failed": 1}


def sync(*args, **kwargs):
    """A task in the thread pool."""
    RAN.append((args, kwargs))


async def on_loop(*args, **kwargs):
    """A task on the event loop."""
    RAN.append((args, kwargs))


class Mailer:
    """Methods of every sort, and an object that is called itself."""

    def send(self, *args, **kwargs):
        """A method."""
        RAN.append((args, kwargs))

    async def deliver(self, *args, **kwargs):
        """An async method."""
        RAN.append((args, kwargs))

    @classmethod
    def announce(cls, *args, **kwargs):
        """A class method."""
        RAN.append((args, kwargs))

    @staticmethod
    def log(*args, **kwargs):
        """A static method."""
        RAN.append((args, kwargs))

    def __call__(self, *args, **kwargs):
        """The object itself."""
        RAN.append((args, kwargs))


class Courier:
    """An object whose call is awaited."""

    async def __call__(self, *args, **kwargs):
        """Awaited."""
        RAN.append((args, kwargs))


def decorated(function):
    """The usual decorator: every product of it shares one code object."""

    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


@decorated
def first(*args, **kwargs):
    """One product of the decorator."""
    RAN.append((args, kwargs))


@decorated
def second(*args, **kwargs):
    """Another one."""
    RAN.append((args, kwargs))


anonymous = lambda *args, **kwargs: RAN.append((args, kwargs))  # noqa: E731 - a lambda is the point

SHAPES = [
    (sync, "sync"),
    (on_loop, "on_loop"),
    (Mailer().send, "Mailer.send"),
    (Mailer().deliver, "Mailer.deliver"),
    (Mailer.announce, "Mailer.announce"),
    (Mailer.log, "Mailer.log"),
    (Mailer(), "Mailer"),
    (Courier(), "Courier"),
    (functools.partial(sync), "sync"),
    (functools.partial(functools.partial(on_loop)), "on_loop"),
    (functools.partial(Mailer().deliver), "Mailer.deliver"),
    (functools.partial(Courier()), "Courier"),
    (anonymous, "<lambda>"),
    (first, "first"),
]


def boom(_=None):
    """A task that fails."""
    raise LookupError("gone")


async def async_boom():
    """A task that fails on the loop."""
    raise LookupError("gone")


@pytest.mark.parametrize(("task", "name"), SHAPES, ids=str)
@pytest.mark.parametrize("way", ["add_task", "response"])
def test_every_shape_of_task_runs_and_is_booked(instrumented, books, task, name, way):
    """Whatever can be handed over gets its arguments, runs once and is booked once, under its own name."""
    app = instrumented(FastAPI())

    @app.get("/add_task")
    def injected(tasks: BackgroundTasks):
        tasks.add_task(task, 1, key="two")

    @app.get("/response")
    def on_response():
        return JSONResponse({}, background=BackgroundTask(task, 1, key="two"))

    RAN.clear()
    assert TestClient(app).get(f"/{way}").status_code == 200
    assert RAN == [((1,), {"key": "two"})]
    assert books.of(name, kind="background" if way == "add_task" else "response") == SUCCEEDED
    assert books.scrape("afterword_tasks_scheduled_total") == 1


def test_builtins_are_tasks_too(instrumented, books):
    """A method of a list has no Python code at all and is booked all the same."""
    app, taken = instrumented(FastAPI()), list[int]()

    @app.get("/")
    def order(tasks: BackgroundTasks):
        tasks.add_task(taken.append, 7)
        tasks.add_task(print, end="")

    TestClient(app).get("/")
    assert taken == [7]
    assert books.of("list.append") == books.of("builtins.print") == SUCCEEDED


def test_a_call_in_the_place_of_a_function_is_told_by_who_handed_it_over(instrumented, books):
    """``add_task(send())`` runs it now and hands over None: nobody knows what of, but where."""
    app = instrumented(FastAPI())

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        tasks.add_task(sync())

    TestClient(app, raise_server_exceptions=False).get("/")
    (task,) = books.by("afterword_tasks_finished_total", "task", outcome="failed")
    assert task == f"{__name__}.{order.__qualname__}.<NoneType>"
    assert books.by("afterword_task_errors_total", "exception") == {"TypeError": 1}


def test_products_of_one_decorator_stay_apart(instrumented, books):
    """Wrappers share one code object; a task is known by its function, so they do not merge."""
    app = instrumented(FastAPI())

    @app.get("/")
    def order(tasks: BackgroundTasks):
        for _ in range(3):
            tasks.add_task(first)
        tasks.add_task(second)

    TestClient(app).get("/")
    assert (books.of("first")["succeeded"], books.of("second")["succeeded"]) == (3, 1)


def test_tasks_come_from_dependencies_routers_and_mounted_applications(instrumented, books):
    """Wherever in the application a task is added, it is booked once."""
    app, router, sub, also = FastAPI(), APIRouter(), FastAPI(), FastAPI()

    def audited(tasks: BackgroundTasks):
        tasks.add_task(sync, "dependency")

    @router.get("/order", dependencies=[Depends(audited)])
    async def order(tasks: BackgroundTasks):
        tasks.add_task(sync, "endpoint")

    @sub.get("/order")
    async def sub_order(tasks: BackgroundTasks):
        tasks.add_task(on_loop)

    app.include_router(router)
    also.include_router(router)
    app.mount("/sub", sub)
    app.mount("/also", also)
    instrumented(app)
    instrumented(also)
    client = TestClient(app)
    client.get("/order")
    assert books.of("sync") == {"scheduled": 2, "started": 2, "succeeded": 2}
    client.get("/sub/order")
    assert books.of("on_loop") == SUCCEEDED
    client.get("/also/order")
    assert books.of("sync") == {"scheduled": 4, "started": 4, "succeeded": 4}


def test_all_kinds_of_responses_run_their_task(instrumented, books):
    """Streams and files keep their task until the last byte is sent."""
    app = instrumented(FastAPI())

    @app.get("/stream")
    def stream():
        return StreamingResponse(iter(["a", "b"]), background=BackgroundTask(sync, "stream"))

    @app.get("/file")
    def file():
        return FileResponse(__file__, background=StarletteTasks([BackgroundTask(sync, "file")]))

    RAN.clear()
    client = TestClient(app)
    assert client.get("/stream").text == "ab"
    assert client.get("/file").status_code == 200
    assert RAN == [(("stream",), {}), (("file",), {})]
    assert books.of("sync") == {"scheduled": 2, "started": 2, "succeeded": 2}


def test_a_task_may_add_tasks(instrumented, books):
    """Starlette runs what a running task adds behind it; so it is booked."""
    app = instrumented(FastAPI())

    def chain(tasks, left):
        if left:
            tasks.add_task(chain, tasks, left - 1)

    @app.get("/")
    def order(tasks: BackgroundTasks):
        tasks.add_task(chain, tasks, 3)

    TestClient(app).get("/")
    assert books.of("chain") == {"scheduled": 4, "started": 4, "succeeded": 4}


def test_a_response_that_is_sent_again_is_another_run(instrumented, books):
    """One Response object answers three requests: its task runs three times and is booked three times."""
    app = instrumented(FastAPI())
    kept = JSONResponse({}, background=StarletteTasks([BackgroundTask(sync), BackgroundTask(on_loop)]))

    @app.get("/")
    def same():
        return kept

    client = TestClient(app)
    for _ in range(3):
        client.get("/")
    assert books.of("sync") == books.of("on_loop") == {"scheduled": 3, "started": 3, "succeeded": 3}
    assert books.balance() == (0, 0)


@pytest.mark.parametrize("task", [boom, async_boom])
def test_a_failing_task_is_booked_by_its_exception(instrumented, books, scrape, task):
    """The exception reaches the server as it was, and its class is counted."""
    app = instrumented(FastAPI())

    @app.get("/")
    def order(tasks: BackgroundTasks):
        tasks.add_task(task)

    with pytest.raises(LookupError, match="gone"):
        TestClient(app).get("/")
    assert books.of(task.__name__) == FAILED
    assert scrape("afterword_task_errors_total", exception="LookupError") == 1


async def interrupted():
    """Something it awaits is cancelled: it is the task that ends, not the request."""
    waiting = asyncio.get_running_loop().create_future()
    waiting.cancel()
    await waiting


def interrupted_in_thread():
    """A loop of its own, whose work is cancelled."""
    asyncio.run(interrupted())


@pytest.mark.parametrize("task", [interrupted, interrupted_in_thread])
def test_a_task_whose_work_is_cancelled_ends_cancelled(instrumented, books, task):
    """Cancelled is neither failed nor succeeded; the tasks behind it never start because of it."""
    app = instrumented(FastAPI())

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        tasks.add_task(task)
        tasks.add_task(sync)

    with pytest.raises(BaseException):  # noqa: B017, PT011 - how it surfaces is the client's business
        TestClient(app).get("/")
    assert books.of(task.__name__) == {"scheduled": 1, "started": 1, "cancelled": 1}
    assert books.of("sync") == {"scheduled": 1, "sibling_failed": 1}
