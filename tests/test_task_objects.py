"""The task objects: users' own classes, copies, and that nothing of them is kept."""

import asyncio
import copy
import gc
import pickle
from abc import ABC
from collections import Counter
from typing import ClassVar

import pytest
from fastapi import BackgroundTasks, FastAPI, WebSocket
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from starlette.background import BackgroundTask
from starlette.background import BackgroundTasks as StarletteTasks

from tests.helpers.asgi import call

pytestmark = pytest.mark.framework
SUCCEEDED = {"scheduled": 1, "started": 1, "succeeded": 1}
RAN: list[object] = []


def sync(*args):
    """A task in the thread pool."""
    RAN.append(args)


async def on_loop(*args):
    """A task on the loop."""
    RAN.append(args)


async def boom():
    """One that fails."""
    raise LookupError("gone")


class Quiet(BackgroundTask, ABC):
    """A user's task that swallows failures and counts; it has a constructor, a slot and a registry."""

    __slots__ = ("extra",)
    made: ClassVar[list[object]] = []

    def __init__(self, func, *args, label="none"):
        super().__init__(func, *args)
        self.label, self.extra = label, len(self.made)
        self.made.append(self)

    async def __call__(self):
        """Swallows."""
        try:
            await super().__call__()
        except LookupError:
            RAN.append(self.label)


class Announced(BackgroundTask):
    """A user's base class that wants to know its subclasses, with an argument."""

    known: ClassVar[list[str]] = []

    def __init_subclass__(cls, *, queue: str, **more: object) -> None:
        super().__init_subclass__(**more)
        cls.known.append(queue)


class Billing(Announced, queue="billing"):
    """One of them."""


class Insistent(StarletteTasks):
    """A user's container that goes on after a failure."""

    async def __call__(self):
        """Goes on."""
        for task in self.tasks:
            try:
                await task()
            except LookupError:
                RAN.append("went on")


class Doubled(BackgroundTasks):
    """A user's container that adds every task twice, by way of the class it extends."""

    def add_task(self, func, *args, **kwargs):
        """Doubles."""
        super().add_task(func, *args, **kwargs)
        super().add_task(func, *args, **kwargs)


def get(app):
    """One request; a failing task is the server's business."""
    return TestClient(app, raise_server_exceptions=False).get("/")


@pytest.mark.parametrize(("task", "ran"), [(sync, ()), (on_loop, ()), (boom, "quiet")])
def test_a_users_own_task_class_keeps_its_behaviour(instrumented, books, task, ran):
    """Its own call, constructor and attributes work; the run is booked by what its call does."""
    app = instrumented(FastAPI())

    @app.get("/")
    def order():
        made = Quiet(task, label="quiet")
        assert (made.label, type(made).__name__, isinstance(made, Quiet)) == ("quiet", "Quiet", True)
        return JSONResponse({}, background=made)

    RAN.clear()
    Quiet.made.clear()
    get(app)
    assert [ran] == RAN
    assert books.of(task.__name__, kind="response") == SUCCEEDED


def test_a_users_own_attributes_are_hers_whatever_they_are_called(instrumented, books):
    """Ours all begin with our name: hers may be called as what we need to know."""
    app, made = instrumented(FastAPI()), []

    class Timed(BackgroundTask):
        """Notes that it began and ended."""

        async def __call__(self):
            self.started, self.run, self.ended = True, 7, False
            await super().__call__()
            self.ended, self.failure = True, None

    @app.get("/")
    def order():
        made.append(Timed(sync))
        return JSONResponse({}, background=made[0])

    get(app)
    assert (made[0].started, made[0].run, made[0].ended, made[0].failure) == (True, 7, True, None)
    assert books.of("sync", kind="response") == SUCCEEDED


def test_a_users_own_container_goes_on_after_a_failure(instrumented, books):
    """Nothing is dropped where nothing is: the user's container runs what Starlette's would not."""
    app = instrumented(FastAPI())

    @app.get("/")
    def order():
        tasks = Insistent()
        tasks.add_task(boom)
        tasks.add_task(sync)
        return JSONResponse({}, background=tasks)

    get(app)
    assert books.of("boom") == {"scheduled": 1, "started": 1, "failed": 1}
    assert books.of("sync") == SUCCEEDED


def test_a_users_own_add_task_is_booked_once_for_each_task(instrumented, books):
    """What counts is what ends up in the container."""
    app = instrumented(FastAPI())

    @app.get("/")
    def order():
        tasks = Doubled()
        tasks.add_task(sync, 1)
        return JSONResponse({}, background=tasks)

    get(app)
    assert books.of("sync") == {"scheduled": 2, "started": 2, "succeeded": 2}


def test_classes_made_as_one_goes_are_not_kept(instrumented, books):
    """A class defined in every request must not pile up in ours."""
    app = instrumented(FastAPI())

    @app.get("/")
    async def order():
        class Local(BackgroundTask):
            """One for each request."""

        return JSONResponse({}, background=Local(on_loop))

    async def many():
        for _ in range(600):
            await call(app)

    asyncio.run(many())
    gc.collect()
    kept = sum(c.__name__ == "Local" for c in BackgroundTask.__subclasses__())
    assert kept < 300
    assert books.of("on_loop") == {"scheduled": 600, "started": 600, "succeeded": 600}


COPIES = [copy.copy, copy.deepcopy, lambda task: pickle.loads(pickle.dumps(task))]  # noqa: S301 - of our own making


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("made", [BackgroundTask, Quiet, "add_task"])
def test_a_copy_is_what_it_would_be_without_us(instrumented, books, copied, made):
    """A copy has the user's class and attributes, runs, and takes nothing from the run of its original."""
    app, seen = instrumented(FastAPI()), []

    @app.get("/")
    async def order():
        tasks = BackgroundTasks()
        if made == "add_task":
            tasks.add_task(on_loop, 7)
        else:
            tasks.tasks.append(made(on_loop, 7))
        twin = copied(tasks.tasks[0])
        seen.append((type(twin), vars(twin), getattr(twin, "extra", None)))
        await twin()
        return JSONResponse({}, background=tasks)

    RAN.clear()
    Quiet.made.clear()
    TestClient(app).get("/")
    cls = BackgroundTask if made == "add_task" else made
    own = {"label": "none"} if made is Quiet else {}
    attributes = {"func": on_loop, "args": (7,), "kwargs": {}, "is_async": True, **own}
    assert seen == [(cls, attributes, 0 if made is Quiet else None)]
    assert RAN == [(7,), (7,)]
    assert books.of("on_loop") == SUCCEEDED


def test_copies_of_a_container_work(instrumented, books):
    """A middleware that copies a response's tasks deeply gets tasks that run."""
    app = instrumented(FastAPI())

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        tasks.add_task(on_loop, 1)
        await copy.deepcopy(tasks)()

    RAN.clear()
    get(app)
    assert RAN == [(1,), (1,)]
    assert books.balance() == (0, 0)


def alive():
    """How many of our objects there are, by class."""
    gc.collect()
    ours = ("TrackedTask", "LooseTask", "Call", "ThreadRun")
    return Counter(type(o).__name__ for o in gc.get_objects() if type(o).__name__ in ours)


def test_ten_thousand_requests_leave_no_object_behind(instrumented, books):
    """Neither tasks nor calls nor functions made in a request are kept once it is over."""
    from afterword.hooks.process import PROCESS

    app = instrumented(FastAPI(openapi_url=None))

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        async def local():
            """A function of this request alone."""

        tasks.add_task(on_loop)
        tasks.add_task(local)

    async def many(n):
        for _ in range(n):
            await call(app)

    asyncio.run(many(10))
    before, known = alive(), len(PROCESS.known)
    asyncio.run(many(10_000))
    assert alive() == before
    assert len(PROCESS.known) == known
    assert books.of("on_loop")["succeeded"] == 10_010


def test_a_stream_that_adds_tasks_for_hours_keeps_few_of_them(instrumented, books):
    """What a long-lived response adds and runs by hand is let go while it lasts."""
    app, most = instrumented(FastAPI()), []

    class Load:
        """An argument whose life is watched."""

    @app.websocket("/")
    async def talk(socket: WebSocket):
        await socket.accept()
        for _ in range(1000):
            tasks = BackgroundTasks()
            tasks.add_task(on_loop, Load())
            await tasks()
        RAN.clear()
        gc.collect()
        most.append(sum(type(o) is Load for o in gc.get_objects()))
        await socket.close()

    with TestClient(app).websocket_connect("/") as socket:
        assert socket.receive()["type"] == "websocket.close"
    assert most[0] < 10
    assert books.of("on_loop") == {"scheduled": 1000, "started": 1000, "succeeded": 1000}


def test_a_users_registry_of_task_classes_hears_nothing_of_ours(instrumented, books):
    """Our version of a class is none that a user announced, and needs no arguments of hers."""
    app = FastAPI()

    @app.get("/")
    async def order():
        return JSONResponse({}, background=Billing(on_loop))

    for _ in range(12):
        asyncio.run(call(instrumented(app)))
    assert Announced.known == ["billing"]
    assert books.of("on_loop") == {"scheduled": 12, "started": 12, "succeeded": 12}
