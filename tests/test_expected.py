"""``every=`` and `afterword.heartbeat`: what has to succeed every so often is known, and booked once per run."""

import asyncio
import gc
import inspect
import pickle
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Annotated

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI
from fastapi.testclient import TestClient
from starlette.concurrency import run_in_threadpool

import afterword
from afterword import declarations
from tests.helpers.asgi import call
from tests.helpers.living import alive, eventually, turns

pytestmark = pytest.mark.framework
SUCCEEDED = {"scheduled": 1, "started": 1, "succeeded": 1}
FAILED = {"scheduled": 1, "started": 1, "failed": 1}


@afterword.task(every=60)
async def sync_orders(fails: bool = False) -> int:
    """On the loop."""
    await asyncio.sleep(0.001)
    if fails:
        raise LookupError("gone")
    return 7


@afterword.task(every=60)
def sync_stock(fails: bool = False) -> int:
    """In whatever calls it."""
    if fails:
        raise LookupError("gone")
    return 7


@afterword.task(name="cleanup", every=60)
def tidy() -> None:
    """With a name of its own."""


class Jobs:
    """Methods of every sort."""

    @afterword.task(every=60)
    async def method(self):
        """A method on the loop."""
        return self

    @afterword.task(every=60)
    def plain(self):
        """A method."""
        return self

    @afterword.task(every=60)
    @staticmethod
    def static():
        """Declared above `staticmethod`."""
        return 7

    @staticmethod
    @afterword.task(every=60)
    def static_too():
        """Declared below it."""
        return 7

    @afterword.task(every=60)
    @classmethod
    def of_class(cls):
        """Declared above `classmethod`."""
        return cls


@afterword.task(every=60)
def generates() -> Iterator[int]:
    """A generator function."""
    yield 7


@afterword.task(every=60)
async def generates_on_loop() -> AsyncIterator[int]:
    """An async generator function."""
    yield 7


@pytest.fixture
def living(instrumented):
    """``living(body)``: run ``await body(app)`` in a running application."""

    def run(body, **routes):
        async def main():
            app = instrumented(FastAPI(), time_scale=10)
            for path, endpoint in routes.items():
                app.get(f"/{path}")(endpoint)
            async with alive(app):
                return await body(app)

        return asyncio.run(main())

    return run


# -- booked once, however it runs


async def called(_):
    """From a loop of somebody's own."""
    return await sync_orders()


async def spawned(_):
    """Fire and forget, or awaited: it counts either way."""
    return await asyncio.create_task(sync_orders())


async def gathered(_):
    """With others."""
    return (await asyncio.gather(sync_orders(), asyncio.sleep(0)))[0]


async def waited_for(_):
    """In time."""
    return await asyncio.wait_for(sync_orders(), 5)


async def within_another(_):
    """A task of the application's own calls it."""

    async def outer():
        return await sync_orders()

    return await asyncio.create_task(outer())


@pytest.mark.parametrize("body", [called, spawned, gathered, waited_for, within_another], ids=lambda b: b.__name__)
def test_a_coroutine_function_is_booked_once(living, books, body):
    """Whoever calls it, and whoever waits."""
    assert living(body) == 7
    assert books.of("sync_orders") == SUCCEEDED
    assert books.balance() == (0, 0)


async def called_plainly(_):
    """On the loop."""
    return sync_stock()


async def to_thread(_):
    """In a thread of asyncio's pool."""
    return await asyncio.to_thread(sync_stock)


async def in_threadpool(_):
    """In a thread of Starlette's."""
    return await run_in_threadpool(sync_stock)


async def in_executor(_):
    """In a thread of the loop's pool."""
    return await asyncio.get_running_loop().run_in_executor(None, sync_stock)


async def by_call_soon(_):
    """Called by the loop."""
    asyncio.get_running_loop().call_soon(sync_stock)
    await turns()
    return 7


@pytest.mark.parametrize(
    "body", [called_plainly, to_thread, in_threadpool, in_executor, by_call_soon], ids=lambda b: b.__name__
)
def test_a_function_is_booked_once(living, books, body):
    """Wherever it runs."""
    assert living(body) == 7
    assert books.of("sync_stock") == SUCCEEDED


@pytest.mark.parametrize(("task", "name"), [(sync_orders, "sync_orders"), (sync_stock, "sync_stock")])
def test_a_background_task_is_booked_once(living, books, task, name):
    """Handed to `add_task`, it is a run of that kind and of no other."""

    async def order(tasks: BackgroundTasks):
        tasks.add_task(task)

    async def body(app):
        await call(app, "/order")

    living(body, order=order)
    assert books.of(name) == books.of(name, kind="background") == SUCCEEDED


def test_a_run_may_call_itself(living, books):
    """The task's own run is on: a call within it is no run of its own."""

    @afterword.task(every=60)
    async def again(count):
        if count:
            await again(count - 1)

    async def body(_):
        await again(3)

    living(body)
    assert books.of(again.__qualname__) == SUCCEEDED


def test_methods_are_booked(living, books):
    """Bound, static, of the class."""
    jobs = Jobs()

    async def body(_):
        assert await jobs.method() is jobs
        assert jobs.plain() is jobs
        assert jobs.static() == Jobs.static() == jobs.static_too() == 7
        assert jobs.of_class() is Jobs

    living(body)
    assert books.of("Jobs.method") == books.of("Jobs.plain") == books.of("Jobs.of_class") == SUCCEEDED
    assert books.of("Jobs.static") == {"scheduled": 2, "started": 2, "succeeded": 2}


@pytest.mark.parametrize(("function", "kind"), [(sync_orders, "asyncio"), (sync_stock, "thread")])
def test_a_call_that_raises_has_failed_and_raises(living, books, function, kind):
    """The traceback shows the caller and the function, nothing in between."""

    async def body(_):
        try:
            result = function(fails=True)
            await result
        except LookupError as error:
            return [frame.name for frame in traceback.extract_tb(error.__traceback__)]

    assert living(body) == ["body", function.__name__]
    assert books.of(function.__name__, kind=kind) == FAILED
    with pytest.raises(LookupError) as raised:  # nor without accounting
        asyncio.run(body_of(function))
    assert [frame.name for frame in raised.traceback][-2:] == ["body_of", function.__name__]


async def body_of(function):
    """Call it."""
    result = function(fails=True)
    await result


def test_a_call_that_is_cancelled_is_cancelled(living, books):
    """By its caller's timeout."""

    @afterword.task(every=60)
    async def slow():
        await asyncio.sleep(60)

    async def body(_):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await slow()

    living(body)
    assert books.of(slow.__qualname__) == {"scheduled": 1, "started": 1, "cancelled": 1}


def test_a_call_that_is_closed_is_no_failure(living, books):
    """`close` ends it where it is."""

    async def body(_):
        coro = sync_orders()
        coro.send(None)
        coro.close()

    living(body)
    assert books.of("sync_orders") == {"scheduled": 1, "started": 1, "cancelled": 1}


def test_what_the_caller_gets_is_the_callers(living, books):
    """A plain function that returns a coroutine: its caller awaits it."""

    @afterword.task(every=60, success=inspect.iscoroutine)
    def gives():
        return sync_orders()

    async def body(_):
        assert await gives() == 7

    living(body)
    assert books.of(gives.__qualname__) == books.of("sync_orders") == SUCCEEDED


# -- known before it runs


def test_what_is_expected_is_known_when_the_application_starts(living, scrape):
    """A task that never runs is missed by its interval, which is there from the start."""

    async def body(_):
        assert scrape("afterword_task_expected_interval_seconds", task="cleanup") == 60
        assert scrape("afterword_task_expected_interval_seconds", task=f"{__name__}.sync_orders") == 60
        assert scrape("afterword_task_expected_interval_seconds", task=f"{__name__}.generates") == 60
        assert scrape("afterword_tasks_scheduled_total", task="cleanup") == 0

    living(body)


def test_what_no_longer_exists_is_not_expected(living, scrape):
    """Functions that are made as they go are let go."""

    def make(number):
        @afterword.task(name=f"made {number}", every=60)
        def made():
            pass

        return made

    for number in range(1000):
        make(number)
    kept = make(1000)
    gc.collect()
    assert sum(name.startswith("made ") for name, _ in declarations.EXPECTED) == 1

    async def body(_):
        assert scrape("afterword_task_expected_interval_seconds", task="made 7") is None
        assert scrape("afterword_task_expected_interval_seconds", task="made 1000") == 60

    living(body)
    assert kept() is None


def test_generator_functions_stay_what_they_are(living, books):
    """Nobody can say when they are over: they say so themselves, by a heartbeat."""
    assert inspect.isgeneratorfunction(generates)
    assert inspect.isasyncgenfunction(generates_on_loop)

    async def body(_):
        assert list(generates()) == [7]
        assert [value async for value in generates_on_loop()] == [7]

    living(body)
    assert books.of("generates") == books.of("generates_on_loop") == {}


# -- the function stays the function


def test_a_declared_function_looks_like_itself():
    """Its name, its signature, its text, its module, and pickle finds it."""
    assert str(inspect.signature(sync_orders)) == "(fails: bool = False) -> int"
    assert inspect.iscoroutinefunction(sync_orders)
    assert not inspect.iscoroutinefunction(sync_stock)
    assert sync_stock.__name__ == sync_stock.__qualname__ == "sync_stock"
    assert sync_stock.__module__ == __name__
    assert sync_stock.__doc__ == "In whatever calls it."
    assert sync_stock.__globals__ is globals()
    assert pickle.loads(pickle.dumps(sync_stock)) is sync_stock  # noqa: S301 - of our own making


NAMESPACE = """
from __future__ import annotations

from typing import Annotated
from fastapi import BackgroundTasks, Depends, Query
import afterword

class Basket:
    pass

@afterword.task(every=60)
def depends(text: Annotated[str, Query()] = "x") -> Basket:
    return Basket()

@afterword.task(every=60)
async def endpoint(basket: Annotated[Basket, Depends(depends)], tasks: BackgroundTasks, count: int = 1):
    return [type(basket).__name__, type(tasks).__name__, count]
"""


def test_a_declared_function_is_a_dependency_and_an_endpoint(instrumented, books):
    """FastAPI reads annotations that are texts in the function's own module."""
    module = {"__name__": "shop_orders"}
    exec(NAMESPACE, module)  # noqa: S102 - a module whose annotations are texts
    app = instrumented(FastAPI())
    app.get("/")(module["endpoint"])
    with TestClient(app) as client:
        assert client.get("/?count=3").json() == ["Basket", "BackgroundTasks", 3]
    assert books.of("shop_orders.depends") == books.of("shop_orders.endpoint") == SUCCEEDED


def test_a_declared_generator_is_a_dependency(instrumented):
    """With what comes before and after."""
    app = instrumented(FastAPI())

    @app.get("/")
    async def order(value: Annotated[int, Depends(generates)], other: Annotated[int, Depends(generates_on_loop)]):
        return value + other

    with TestClient(app) as client:
        assert client.get("/").json() == 14


# -- heartbeats


def test_a_heartbeat_is_a_success(living, scrape):
    """By the task's name, by the end of it, and by the function."""

    def last(task):
        return scrape("afterword_task_last_success_timestamp_seconds", task=task)

    async def body(_):
        names = ["cleanup", f"{__name__}.sync_orders", f"{__name__}.sync_stock", f"{__name__}.Jobs.plain"]
        assert {last(name) or 0 for name in names} == {0}
        afterword.heartbeat("cleanup")
        afterword.heartbeat("sync_orders")
        afterword.heartbeat(sync_stock)
        afterword.heartbeat(Jobs().plain)
        assert all(last(name) > 0 for name in names)

    living(body)


def test_a_heartbeat_that_nobody_knows_is_told_once_and_counted(living, capfd, scrape):
    """With what may have been meant."""

    async def body(_):
        for _ in range(3):
            afterword.heartbeat("clean-up")
        afterword.heartbeat("nothing like it")
        afterword.heartbeat(print)
        afterword.heartbeat(7)
        assert scrape("afterword_internal_errors_total") in (6, None)

    living(body)
    told = [line for line in capfd.readouterr().err.splitlines() if "heartbeat" in line]
    assert len(told) == 4
    assert told[0] == (
        "afterword: afterword.heartbeat('clean-up'): no task of this name; did you mean 'cleanup'? "
        "A task is known by @afterword.task(every=...)."
    )
    assert "known: " in told[1]


def test_a_name_that_ends_two_tasks_is_nobodys(living, capfd):
    """Which one is meant cannot be known."""

    class One:
        @afterword.task(name="one.job", every=60)
        def job(self):
            pass

        @afterword.task(name="two.job", every=60)
        def other(self):
            pass

    async def body(_):
        afterword.heartbeat("job")
        afterword.heartbeat("one.job")

    living(body)
    assert capfd.readouterr().err.count("heartbeat") == 1
    assert One  # type: ignore[truthy-function]  # a class of the test's own


def test_a_worker_beats(instrumented, books, scrape):
    """A worker that declares every= says that it goes on."""

    @afterword.task(every=60)
    async def worker():
        while True:
            afterword.heartbeat(worker)
            await asyncio.sleep(0.01)

    @asynccontextmanager
    async def lifespan(_):
        task = asyncio.create_task(worker())
        yield
        task.cancel()

    async def main():
        app = instrumented(FastAPI(lifespan=lifespan), time_scale=10)
        async with alive(app):
            name = f"{__name__}.{worker.__qualname__}"
            await eventually(lambda: scrape("afterword_task_last_success_timestamp_seconds", task=name))
            assert books.of(name) == books.of(name, kind="worker") == {"scheduled": 1, "started": 1, "running": 1}

    asyncio.run(main())
