"""Signals, threads and thousands of names: the books balance under all of them."""

import asyncio
import contextlib
import functools
import gc
import signal
import sys
import threading
import types

import pytest
from fastapi import BackgroundTasks, FastAPI
from starlette.background import BackgroundTask

from tests.helpers.asgi import call

pytestmark = pytest.mark.framework


async def on_loop():
    """A task on the loop."""


def sync():
    """A task in the thread pool."""


async def boom():
    """One that fails."""
    raise LookupError


def interrupting():
    """What a signal handler of the user's schedules."""


def shop():
    """Requests that go well, fail, and leave tasks behind."""
    app = FastAPI(openapi_url=None)

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        tasks.add_task(on_loop)
        tasks.add_task(sync)

    @app.get("/boom")
    async def failing(tasks: BackgroundTasks):
        tasks.add_task(boom)
        tasks.add_task(on_loop)

    @app.get("/thrown-away")
    async def thrown_away():
        BackgroundTask(sync)

    @app.get("/thread")
    def in_thread(tasks: BackgroundTasks):
        for _ in range(10):
            tasks.add_task(on_loop)

    return app


async def requests(app, n):
    """``n`` rounds of all of them."""
    for _ in range(n):
        await call(app)
        await call(app, "/thrown-away")
        with contextlib.suppress(LookupError):
            await call(app, "/boom")


def test_a_storm_of_signals_that_schedule_leaves_the_books_balanced(instrumented, books):
    """A handler runs between any two instructions of ours; some of its tasks run, others are thrown away."""
    app, handled = instrumented(shop()), []

    def handler(*_):
        tasks = BackgroundTasks()
        tasks.add_task(interrupting)
        handled.append(1)

    asyncio.run(requests(app, 1))
    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)
    try:
        rounds = 1
        while len(handled) < 500 and rounds < 5000:
            asyncio.run(requests(app, 20))
            rounds += 20
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    gc.collect()
    assert books.balance() == (0, 0)
    assert books.of("interrupting")["scheduled"] == len(handled) >= 500
    assert "waiting" not in books.of("interrupting")
    assert books.of("boom") == {"scheduled": rounds, "started": rounds, "failed": rounds}
    assert books.of("on_loop") == {
        "scheduled": 2 * rounds, "started": rounds, "succeeded": rounds, "sibling_failed": rounds
    }  # fmt: skip


def test_threads_that_schedule_at_once_lose_nothing(instrumented, books):
    """Sync endpoints in the pool and hand-made tasks in threads, switched as often as can be."""
    app, interval = instrumented(shop()), sys.getswitchinterval()

    def by_hand():
        for _ in range(300):
            tasks = BackgroundTasks()
            tasks.add_task(sync)
            tasks.add_task(interrupting)
            if len(tasks.tasks) == 2:
                tasks.tasks.pop()
            asyncio.run(tasks())

    async def from_pool():
        await asyncio.gather(*(call(app, "/thread") for _ in range(100)))

    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=by_hand) for _ in range(3)]
    try:
        for thread in threads:
            thread.start()
        asyncio.run(from_pool())
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    gc.collect()
    assert books.balance() == (0, 0)
    assert books.of("on_loop") == {"scheduled": 1000, "started": 1000, "succeeded": 1000}
    assert books.of("sync") == {"scheduled": 900, "started": 900, "succeeded": 900}
    assert books.of("interrupting") == {"scheduled": 900, "discarded": 900}


def test_ten_thousand_names_are_capped_and_counted(instrumented, books, scrape):
    """The table of tasks is full at its bound: the rest is booked together, and the totals are right."""
    app = instrumented(FastAPI(openapi_url=None))
    names = iter(range(10_000))

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        for number in (next(names) for _ in range(100)):
            code = on_loop.__code__
            task = types.FunctionType(code, globals(), f"task_{number}")
            task.__qualname__ = f"task_{number}"
            tasks.add_task(functools.partial(task) if number % 2 else task)

    async def all_of_them():
        for _ in range(100):
            await call(app)

    asyncio.run(all_of_them())
    assert scrape("afterword_tasks_scheduled_total") == scrape("afterword_tasks_finished_total") == 10_000
    named = len({sample.labels["task"] for sample in books.samples() if "task" in sample.labels})
    assert 100 < named <= 1000
    other = scrape("afterword_tasks_scheduled_total", task="__other__")
    assert other == 10_000 - (named - 1)
    assert scrape("afterword_ledger_overflow_total", bound="tasks") >= 1
    assert books.balance() == (0, 0)
