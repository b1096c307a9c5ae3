"""Forks: a child has a ledger of its own, and what the parent had open stays the parent's."""

import asyncio
import multiprocessing
import os
import signal

import pytest
from fastapi import BackgroundTasks, FastAPI

from tests.helpers import until
from tests.helpers.asgi import call

pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]
RUNNING = {"scheduled": 1, "started": 1, "running": 1}


async def send():
    """A task."""


def shop():
    """An application with one task."""
    app = FastAPI()

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        tasks.add_task(send)

    return app


def forked(work):
    """Run ``work`` in a forked child that ends without ceremony; its pid."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def ended(pid):
    """The child's exit code, waited for."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_forked_after_the_import_has_its_own_ledger(instrumented, books, scrape):
    """As with a preloading server: instrumented once, then forked, then serving."""
    app = instrumented(shop())
    children = [forked(lambda: asyncio.run(call(app))) for _ in range(3)]
    assert [ended(pid) for pid in children] == [0, 0, 0]
    assert books.of("send") == {"scheduled": 3, "started": 3, "succeeded": 3}
    asyncio.run(call(app))
    assert books.of("send") == {"scheduled": 4, "started": 4, "succeeded": 4}
    assert scrape("afterword_processes") == 1


def test_a_child_forked_after_the_ledger_opened_leaves_the_parents_alone(instrumented, books, directory):
    """Both write at once, each its own file, and the child's end is not the parent's."""
    app = instrumented(shop())
    asyncio.run(call(app))
    assert len(list(directory.glob("*.ledger"))) == 1

    def many():
        for _ in range(50):
            asyncio.run(call(app))

    pid = forked(many)
    many()
    assert ended(pid) == 0
    assert books.of("send") == {"scheduled": 101, "started": 101, "succeeded": 101}
    assert books.scrape("afterword_processes") == 1
    asyncio.run(call(app))
    assert books.of("send")["succeeded"] == 102


def test_runs_open_at_the_fork_are_the_parents_to_end(instrumented, books):
    """The child's copy of a running task may end as it likes: it is booked where it was started."""
    app, seen = instrumented(FastAPI()), []

    async def forking():
        pid = os.fork()
        if pid:  # the child goes on as if it were the parent, until the next task
            seen.append(ended(pid))

    async def leave():
        if not seen:
            os._exit(7)

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        tasks.add_task(forking)
        tasks.add_task(leave)

    asyncio.run(call(app))
    assert seen == [7]
    assert books.of("forking") == {"scheduled": 1, "started": 1, "succeeded": 1}
    assert books.of("leave") == {"scheduled": 1, "started": 1, "succeeded": 1}
    assert books.balance() == (0, 0)


def test_the_death_of_a_child_does_not_end_the_parents_runs(instrumented, books):
    """A child killed in the middle: only its own run is lost, the parent's goes on."""
    app, seen = instrumented(FastAPI()), []

    def parent():
        pid = forked(lambda: asyncio.run(call(app, "/child")))
        until(lambda: books.of("child") == RUNNING)
        os.kill(pid, signal.SIGKILL)
        ended(pid)
        until(lambda: books.of("child") == {"scheduled": 1, "started": 1, "killed": 1})
        seen.append(books.of("parent"))

    async def child():
        await asyncio.get_running_loop().create_future()

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        tasks.add_task(parent)

    @app.get("/child")
    async def child_order(tasks: BackgroundTasks):
        tasks.add_task(child)

    asyncio.run(call(app))
    assert seen == [RUNNING]
    assert books.of("parent") == {"scheduled": 1, "started": 1, "succeeded": 1}


def test_a_task_that_waits_at_the_fork_is_not_dropped_by_the_child(instrumented, books):
    """The child forgets its copy; the parent still runs the original."""
    instrumented(FastAPI())
    tasks = BackgroundTasks()
    tasks.add_task(send)
    assert ended(forked(tasks.tasks.clear)) == 0
    assert books.of("send") == {"scheduled": 1, "waiting": 1}
    asyncio.run(tasks())
    assert books.of("send") == {"scheduled": 1, "started": 1, "succeeded": 1}


def test_multiprocessing_with_fork_books_in_the_child(instrumented, books):
    """The standard library's way to fork."""
    app = instrumented(shop())
    asyncio.run(call(app))
    process = multiprocessing.get_context("fork").Process(target=lambda: asyncio.run(call(app)))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert books.of("send") == {"scheduled": 2, "started": 2, "succeeded": 2}
