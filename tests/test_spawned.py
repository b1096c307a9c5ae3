"""asyncio tasks an application spawns: booked when nobody waits for them, otherwise neither seen nor changed."""

# ruff: noqa: RUF006 - tasks that nobody keeps are the point

import asyncio
import contextlib
import functools
import gc
import logging
import signal
import sys
import threading
import time
import tracemalloc
from contextlib import asynccontextmanager

import anyio
import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from starlette.middleware.base import BaseHTTPMiddleware

import afterword
from afterword.hooks.process import PROCESS
from tests.helpers import until
from tests.helpers.asgi import call
from tests.helpers.living import alive, eventually, turns
from tests.helpers.processes import request

#: Since Python 3.12.
EAGER = getattr(asyncio, "eager_task_factory", None)
pytestmark = pytest.mark.framework

SUCCEEDED = {"scheduled": 1, "started": 1, "succeeded": 1}
FAILED = {"scheduled": 1, "started": 1, "failed": 1}
CANCELLED = {"scheduled": 1, "started": 1, "cancelled": 1}
COLLECTED = {"scheduled": 1, "started": 1, "collected": 1}
RUNNING = {"scheduled": 1, "started": 1, "running": 1}
LOG = logging.getLogger("shop")


async def late():
    """Fails after the request."""
    await asyncio.sleep(0.02)
    raise LookupError("gone")


async def early():
    """Fails at once."""
    raise LookupError("gone")


async def fine():
    """Succeeds after the request."""
    await asyncio.sleep(0.02)
    return "fine"


async def quick():
    """Succeeds at once."""
    return "quick"


async def stuck():
    """Waits for something that never comes."""
    await asyncio.get_running_loop().create_future()


class Shop:
    """One application, its lifespan running, on the loop of the test."""

    def __init__(self, app, books):
        self.app, self.books, self.kept = app, books, set()

    def keep(self, coro):
        """Spawn, as the manual of asyncio says."""
        task = asyncio.create_task(coro)
        self.kept.add(task)
        task.add_done_callback(self.kept.discard)
        return task

    def story(self):
        """Every task that was booked, by its short name."""
        names = self.books.by("afterword_tasks_scheduled_total", "task")
        return {name.rsplit(".", 1)[-1]: self.books.of(name) for name in names}

    async def tells(self, **story):
        """Wait until the books say this and nothing else."""
        try:
            await eventually(lambda: self.story() == story, 3)
        except AssertionError:
            assert self.story() == story
        assert self.books.balance() == (0, 0)

    async def quiet(self):
        """Wait until no task is left but the test's own and the lifespan's, and nothing was booked."""
        before = len(asyncio.all_tasks())
        await eventually(lambda: len(asyncio.all_tasks()) <= min(before, 2))
        await turns()
        gc.collect()
        await asyncio.sleep(0.15)  # at least one tick, which settles what has no owner
        assert self.story() == {}


@pytest.fixture
def scenario(instrumented, books):
    """``scenario(endpoint, check)``: one request to ``endpoint(shop)``, then ``check(shop)``, on one loop."""

    def run(endpoint, check, *, lifespan=None, requests=1, factory=None):
        async def main():
            app = FastAPI(lifespan=lifespan)
            shop = Shop(app, books)
            app.state.shop = shop

            @app.get("/")
            async def order():
                await endpoint(shop)

            if factory is not None:
                asyncio.get_running_loop().set_task_factory(factory)
            instrumented(app, time_scale=10)
            async with alive(app):
                for _ in range(requests):
                    with contextlib.suppress(Exception):
                        await call(app)
                await check(shop)

        return asyncio.run(main())

    return run


def told(**story):
    """A check: the books say this."""

    async def check(shop):
        await shop.tells(**story)

    return check


async def nothing(shop):
    """A check: nobody was left alone, nothing is booked."""
    await shop.quiet()


# -- what nobody waits for


@pytest.mark.parametrize(
    ("work", "story"),
    [(late, FAILED), (early, FAILED), (fine, SUCCEEDED), (stuck, COLLECTED)],
    ids=lambda x: getattr(x, "__name__", ""),
)
@pytest.mark.parametrize(
    "spawn",
    [asyncio.create_task, asyncio.ensure_future, lambda coro: asyncio.get_running_loop().create_task(coro)],
    ids=["create_task", "ensure_future", "loop.create_task"],
)
def test_fire_and_forget_is_booked(scenario, spawn, work, story):
    """However it is spawned, whether it fails before or after the response, or is forgotten in the middle."""

    async def endpoint(_):
        spawn(work())

    scenario(endpoint, told(**{work.__name__: story}))


def test_fire_and_forget_is_running_in_the_books_while_it_runs(scenario):
    """After the response it is work the service owes; its run began when it was spawned."""

    async def endpoint(shop):
        shop.keep(stuck())
        await asyncio.sleep(0.05)

    async def check(shop):
        assert shop.story() == {"stuck": RUNNING}
        oldest = shop.books.scrape("afterword_task_oldest_running_timestamp_seconds")
        assert 0.05 < time.time() - oldest < 5
        assert shop.books.scrape("afterword_task_wait_seconds_sum") < 0.01  # it did not wait for the request's end
        task = next(iter(shop.kept))
        task.cancel()
        await shop.tells(stuck=CANCELLED)
        assert shop.books.by("afterword_tasks_cancelled_total", "reason") == {"orphaned": 1}

    scenario(endpoint, check)


def test_what_succeeds_before_the_response_is_its_owners_affair_until_it_once_was_not(scenario):
    """Nobody knows whether a task is fire and forget before it once outlived its request."""

    async def endpoint(shop):
        shop.keep(quick())
        await asyncio.sleep(0.01)

    scenario(endpoint, nothing)

    async def mixed(shop):
        shop.keep(sometimes(0.03))
        shop.keep(sometimes(0))
        await asyncio.sleep(0.01)

    scenario(mixed, told(sometimes={"scheduled": 3, "started": 3, "succeeded": 3}), requests=2)


async def sometimes(seconds):
    """As quick as it is told."""
    await asyncio.sleep(seconds)


def test_kept_by_a_reference_and_never_awaited_is_booked_when_the_request_ends(scenario):
    """The loop tells only of what is forgotten; what is kept fails in silence."""
    kept = []

    async def endpoint(_):
        kept.append(asyncio.create_task(early()))
        await asyncio.sleep(0.01)

    scenario(endpoint, told(early=FAILED))
    kept.clear()


def test_many_that_are_kept_and_failed_are_all_found(scenario):
    """More than a long connection remembers at once."""
    kept = []

    async def endpoint(_):
        for _ in range(300):
            kept.append(asyncio.create_task(early()))
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)

    scenario(endpoint, told(early={"scheduled": 300, "started": 300, "failed": 300}))
    kept.clear()


def test_what_is_collected_before_its_owner_ends_is_found(scenario):
    """Nobody refers to it, and the request goes on."""

    async def endpoint(_):
        asyncio.create_task(stuck())
        await asyncio.sleep(0.001)
        gc.collect()
        await asyncio.sleep(0.001)

    scenario(endpoint, told(stuck=COLLECTED))


def test_a_group_of_the_applications_own_outlives_the_request(scenario):
    """A TaskGroup of the lifespan takes a task over: nobody in the request waits for that."""

    @asynccontextmanager
    async def lifespan(app):
        async with asyncio.TaskGroup() as group:
            app.state.group = group
            yield

    async def endpoint(shop):
        shop.app.state.group.create_task(fine())

    scenario(endpoint, told(fine=SUCCEEDED), lifespan=lifespan)


def test_a_group_of_anyios_outlives_the_request(scenario):
    """The same with anyio, whose groups run coroutines inside of their own."""

    @asynccontextmanager
    async def lifespan(app):
        async with anyio.create_task_group() as group:
            app.state.group = group
            yield

    async def endpoint(shop):
        shop.app.state.group.start_soon(fine)

    scenario(endpoint, told(fine=SUCCEEDED), lifespan=lifespan)


def test_what_a_failed_gather_leaves_behind_is_found(scenario):
    """`gather` raises at the first failure; the others go on, and their exceptions are swallowed by asyncio itself."""

    async def endpoint(_):
        await asyncio.gather(early(), late())

    scenario(endpoint, told(late=FAILED))


def test_a_gather_that_nobody_awaits_is_fire_and_forget(scenario):
    """Its members hand their ends to a future that nobody looks at."""

    async def endpoint(shop):
        shop.gathered = asyncio.gather(fine(), late())

    scenario(endpoint, told(fine=SUCCEEDED, late=FAILED))


def test_what_is_left_of_as_completed_is_found(scenario):
    """The first answer wins, the rest goes on without anybody."""

    async def endpoint(_):
        for first in asyncio.as_completed([quick(), late(), fine()]):
            await first
            break

    scenario(endpoint, told(late=FAILED, fine=SUCCEEDED))


def test_shielded_work_of_a_cancelled_request_that_then_fails_is_found(scenario):
    """The shield keeps it going; whoever waited is gone."""

    async def endpoint(_):
        try:
            async with asyncio.timeout(0.005):
                await asyncio.shield(late())
        except TimeoutError:
            raise RuntimeError("too late") from None

    scenario(endpoint, told(late=FAILED))


@pytest.mark.parametrize("seconds", [0, 0.04], ids=["after its owner", "before it"])
def test_what_a_thread_hands_to_the_loop_and_never_asks_for_is_found(scenario, seconds):
    """`run_coroutine_threadsafe` puts the exception into a future; nobody looks there."""

    async def endpoint(_):
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(lambda: asyncio.run_coroutine_threadsafe(late(), loop) and None)
        await asyncio.sleep(seconds)

    scenario(endpoint, told(late=FAILED))


def test_what_a_thread_waits_for_is_no_news(scenario):
    """While a thread waits for a coroutine, nobody else has to, however long the application goes on."""
    answers = []

    async def check(shop):
        loop = asyncio.get_running_loop()
        thread = threading.Thread(
            target=lambda: answers.append(asyncio.run_coroutine_threadsafe(sometimes(0.3), loop).result(10))
        )
        thread.start()
        await eventually(lambda: answers)
        thread.join()
        assert "sometimes" not in shop.story()

    async def endpoint(_):
        pass

    scenario(endpoint, check)


def test_a_child_of_a_child_is_found(scenario):
    """Whoever spawned it was awaited, and left something behind."""

    async def parent(shop):
        shop.keep(late())

    async def endpoint(shop):
        await asyncio.create_task(parent(shop))

    scenario(endpoint, told(late=FAILED))


def test_a_child_that_a_child_hands_to_the_request_is_the_requests(scenario):
    """`wait_for` runs in a task of its own; what that starts may be awaited by the request."""

    async def begin():
        return asyncio.create_task(late())

    async def endpoint(_):
        task = await asyncio.create_task(begin())
        await asyncio.sleep(0.001)
        with pytest.raises(LookupError):
            await task

    scenario(endpoint, nothing)


def test_what_a_background_task_leaves_behind_is_found(instrumented, books):
    """A task of a response spawns another one and ends."""

    async def parent():
        asyncio.create_task(late())

    async def main():
        app = instrumented(FastAPI(), time_scale=10)
        shop = Shop(app, books)

        @app.get("/")
        async def order(tasks: BackgroundTasks):
            tasks.add_task(parent)

        async with alive(app):
            await call(app)
            await shop.tells(parent=SUCCEEDED, late=FAILED)

    asyncio.run(main())


def test_a_sync_background_task_may_spawn_by_the_loop_and_outlive_itself(instrumented, books):
    """From a thread, by `run_coroutine_threadsafe`."""
    loop = []

    def parent():
        asyncio.run_coroutine_threadsafe(sometimes(0.3), loop[0])
        asyncio.run_coroutine_threadsafe(late(), loop[0])

    async def main():
        loop.append(asyncio.get_running_loop())
        app = instrumented(FastAPI(), time_scale=10)
        shop = Shop(app, books)

        @app.get("/")
        async def order(tasks: BackgroundTasks):
            tasks.add_task(parent)

        async with alive(app):
            await call(app)
            await shop.tells(parent=SUCCEEDED, sometimes=SUCCEEDED, late=FAILED)

    asyncio.run(main())


def test_each_child_of_a_worker_is_found(instrumented, books):
    """A worker never ends: what it spawns and leaves is settled while it goes on, the second like the first."""

    async def worker():
        for _ in range(3):
            asyncio.create_task(late())
        await stuck()

    @asynccontextmanager
    async def lifespan(_):
        task = asyncio.create_task(worker())
        yield
        task.cancel()

    async def main():
        app = instrumented(FastAPI(lifespan=lifespan), time_scale=10)
        async with alive(app):
            await eventually(lambda: books.of("late") == {"scheduled": 3, "started": 3, "failed": 3})

    asyncio.run(main())


def test_children_of_a_worker_are_booked_whenever_it_spawned_them(instrumented, books):
    """While the application starts, before it is known as a worker, and later."""
    kept = []

    async def worker():
        kept.append(asyncio.create_task(stuck()))
        await asyncio.sleep(0.05)
        kept.append(asyncio.create_task(stuck()))
        await stuck()

    @asynccontextmanager
    async def lifespan(_):
        kept.append(asyncio.create_task(worker()))
        await asyncio.sleep(0.01)
        yield
        for task in kept:
            task.cancel()
        await asyncio.gather(*kept, return_exceptions=True)

    async def main():
        app = instrumented(FastAPI(lifespan=lifespan), time_scale=10)
        async with alive(app):
            await eventually(lambda: books.of("stuck") == {"scheduled": 2, "started": 2, "running": 2})
            assert books.of(worker.__qualname__, kind="worker") == RUNNING
        assert books.by("afterword_tasks_cancelled_total", "reason") == {"shutdown": 3}

    asyncio.run(main())


def test_why_a_run_was_cancelled_is_told(scenario):
    """What it waited for was, or somebody asked for it."""

    async def inner():
        waiting = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.02, waiting.cancel)
        await waiting

    async def endpoint(shop):
        shop.keep(inner())

    async def check(shop):
        await shop.tells(inner=CANCELLED)
        assert shop.books.by("afterword_tasks_cancelled_total", "reason") == {"inner": 1}

    scenario(endpoint, check)


def test_what_refuses_to_be_cancelled_goes_on(scenario):
    """Asked to stop by its owner, it does not."""

    async def refuses():
        try:
            await stuck()
        except asyncio.CancelledError:
            await asyncio.sleep(0.02)
        raise LookupError("gone")

    async def endpoint(_):
        task = asyncio.create_task(refuses())
        await asyncio.sleep(0)
        task.cancel()

    scenario(endpoint, told(refuses=FAILED))


KILLED = """
import asyncio
from fastapi import FastAPI
import afterword

app = FastAPI()
kept = set()

async def follow_up():
    await asyncio.sleep(60)

@app.get("/")
async def order():
    kept.add(asyncio.create_task(follow_up()))

afterword.instrument(app)
"""


def test_fire_and_forget_is_lost_with_its_process(children, books, directory):
    """The response was sent, the work was not done."""
    (children.folder / "shop.py").write_text(KILLED, encoding="utf-8")
    server, port = children.uvicorn("shop:app", AFTERWORD_DIR=str(directory))
    assert request(port, "/") == 200
    until(lambda: books.of("follow_up") == RUNNING)
    server.signal(signal.SIGKILL)
    server.wait()
    until(lambda: books.of("follow_up") == {"scheduled": 1, "started": 1, "killed": 1})


# -- callbacks


def test_a_callback_that_logs_the_failure_does_not_hide_it(scenario):
    """It asks for the exception, so asyncio stays silent; nobody has repaired anything."""

    def report(task):
        if not task.cancelled() and task.exception():
            LOG.warning("failed")

    async def endpoint(_):
        asyncio.create_task(early()).add_done_callback(report)
        await asyncio.sleep(0.01)

    scenario(endpoint, told(early=FAILED))


def test_a_callback_that_asks_for_the_result_is_the_tasks_own_failure(scenario):
    """``lambda task: task.result()`` raises what the task raised: told once, as that."""

    async def endpoint(_):
        asyncio.create_task(early()).add_done_callback(lambda task: task.result())
        await asyncio.sleep(0.01)

    scenario(endpoint, told(early=FAILED))


@pytest.mark.parametrize("when", ["soon", "later"])
def test_a_callback_of_the_loop_that_raises_is_booked(scenario, when):
    """`call_soon` and `call_later` run it; asyncio only logs what it raises."""

    def remind(_):
        raise LookupError("gone")

    async def endpoint(_):
        loop = asyncio.get_running_loop()
        if when == "soon":
            loop.call_soon(remind, 1)
        else:
            loop.call_later(0.01, functools.partial(remind, 1))

    scenario(endpoint, told(remind=FAILED))


# -- what somebody waits for


async def awaited(_):
    """Awaited, and its failure handled."""
    with contextlib.suppress(LookupError):
        await asyncio.create_task(late())


async def gathered(_):
    """Exceptions are results."""
    await asyncio.gather(late(), early(), fine(), return_exceptions=True)


async def gathered_twice(_):
    """A gather in a gather."""
    await asyncio.gather(asyncio.gather(late(), fine(), return_exceptions=True), fine())


async def waited_for(_):
    """In time, and not in time."""
    with contextlib.suppress(LookupError):
        await asyncio.wait_for(late(), 1)
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stuck(), 0.001)


async def timed_out(_):
    """The timeout of a block."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.001):
            await asyncio.create_task(stuck())


async def waited(_):
    """The first wins, the rest is cancelled, and one is asked."""
    tasks = {asyncio.create_task(early()), asyncio.create_task(stuck())}
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    assert [type(task.exception()) for task in done] == [LookupError]


async def shielded(_):
    """A shield that is awaited to the end."""
    with contextlib.suppress(LookupError):
        await asyncio.shield(late())


async def one_by_one(_):
    """As they complete, each looked at."""
    for each in asyncio.as_completed([late(), quick(), fine()]):
        with contextlib.suppress(LookupError):
            await each


async def grouped(_):
    """A group of the request's own."""
    with contextlib.suppress(BaseExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(late())
            group.create_task(stuck())


async def grouped_by_anyio(_):
    """A group of anyio's."""
    with contextlib.suppress(BaseExceptionGroup):
        async with anyio.create_task_group() as group:
            group.start_soon(late)
            group.start_soon(stuck)


async def grouped_from_within(_):
    """A member adds another one and ends before it."""

    async def member(group):
        group.create_task(fine())

    async with asyncio.TaskGroup() as group:
        group.create_task(member(group))


async def fetched_ahead(_):
    """Spawned early, awaited late."""
    task = asyncio.create_task(early())
    await asyncio.sleep(0.01)
    with contextlib.suppress(LookupError):
        await task


async def few_at_a_time(_):
    """A callback that looks at nothing, and a gather that comes later."""
    few, tasks = asyncio.Semaphore(2), []
    for _ in range(6):
        await few.acquire()
        task = asyncio.create_task(early())
        task.add_done_callback(lambda _: few.release())
        tasks.append(task)
    await asyncio.gather(*tasks, return_exceptions=True)


async def cancelled_in_finally(_):
    """The sender of a websocket, for instance."""
    task = asyncio.create_task(stuck())
    try:
        await asyncio.sleep(0.001)
    finally:
        task.cancel()


async def cancelled_and_awaited(_):
    """And its end awaited."""
    task = asyncio.create_task(stuck())
    await asyncio.sleep(0.001)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def over_the_thread(_):
    """A thread asks for a coroutine's end."""
    loop = asyncio.get_running_loop()

    def ask():
        with contextlib.suppress(LookupError):
            asyncio.run_coroutine_threadsafe(late(), loop).result(5)

    await asyncio.to_thread(ask)


async def failed_with_an_open_timer(_):
    """What is kept by a timer's context is not kept by anybody who would ask."""

    async def fetch():
        asyncio.get_running_loop().call_later(0.05, int)
        raise LookupError("gone")

    with contextlib.suppress(LookupError):
        await asyncio.create_task(fetch())
    await asyncio.sleep(0.001)  # now the task is gone


QUIET = [
    awaited, gathered, gathered_twice, waited_for, timed_out, waited, shielded, one_by_one, grouped, grouped_by_anyio,
    grouped_from_within, fetched_ahead, few_at_a_time, cancelled_in_finally, cancelled_and_awaited, over_the_thread,
    failed_with_an_open_timer,
]  # fmt: skip


@pytest.mark.parametrize("endpoint", QUIET, ids=lambda endpoint: endpoint.__name__)
def test_what_somebody_waits_for_is_no_news(scenario, endpoint):
    """Whatever becomes of it, its owner is told: nothing is booked."""
    scenario(endpoint, nothing, requests=2)


@pytest.mark.parametrize("shield", [True, False])
def test_one_task_that_several_requests_wait_for_is_theirs(scenario, shield):
    """Requests that ask for the same share one task; whoever began it may be the first to end."""

    async def endpoint(shop):
        task = getattr(shop, "load", None)
        if task is None:
            shop.load = task = asyncio.create_task(late())
            task.add_done_callback(lambda _: None)
        with contextlib.suppress(LookupError):
            await (asyncio.shield(task) if shield else task)

    async def check(shop):
        del shop.load
        with contextlib.suppress(LookupError):
            await asyncio.gather(*(call(shop.app) for _ in range(5)))
        del shop.load
        await shop.quiet()

    scenario(endpoint, check)


def test_the_middleware_and_streams_of_starlette_are_no_news(instrumented, books):
    """`BaseHTTPMiddleware` and `StreamingResponse` spawn tasks of their own, which nobody spawned."""
    app = instrumented(FastAPI(), time_scale=10)

    class Middleware(BaseHTTPMiddleware):
        """Does nothing, by tasks."""

        async def dispatch(self, request, call_next):
            """Pass it on."""
            return await call_next(request)

    app.add_middleware(Middleware)

    @app.get("/")
    async def stream():
        async def parts():
            yield b"a"
            await asyncio.sleep(0.01)
            yield b"b"

        return StreamingResponse(parts())

    with TestClient(app) as client:
        assert client.get("/").text == "ab"
    assert Shop(app, books).story() == {}


def test_a_client_in_a_gather_is_no_news(scenario):
    """A client of httpx in the application: its coroutines are spawned by the application itself, and awaited."""
    inner = FastAPI()

    async def endpoint(_):
        transport = httpx.ASGITransport(inner)
        async with httpx.AsyncClient(transport=transport, base_url="http://inner") as client:
            await asyncio.gather(*(client.get("/") for _ in range(3)))

    scenario(endpoint, nothing)


async def receiver(websocket):
    """Reads until the client leaves."""
    while True:
        await websocket.receive_text()


async def sender(websocket):
    """Sends for ever."""
    while True:
        await websocket.send_text("tick")
        await asyncio.sleep(0.01)


async def first_completed(websocket):
    """The common pattern: nobody looks at why the first ended."""
    tasks = [asyncio.create_task(receiver(websocket)), asyncio.create_task(sender(websocket))]
    _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()


async def sender_in_finally(websocket):
    """The other common pattern."""
    task = asyncio.create_task(sender(websocket))
    try:
        await receiver(websocket)
    except WebSocketDisconnect:
        pass
    finally:
        task.cancel()


async def library_tasks(websocket):
    """Tasks of Starlette's own coroutines."""
    tasks = [asyncio.create_task(websocket.receive_text()), asyncio.create_task(websocket.send_text("tick"))]
    await asyncio.wait(tasks)


@pytest.mark.parametrize("endpoint", [first_completed, sender_in_finally, library_tasks], ids=lambda e: e.__name__)
def test_the_patterns_of_websockets_are_no_news(instrumented, books, endpoint):
    """Every connection ends, and its client's leaving is no failure of anything."""
    app = instrumented(FastAPI(), time_scale=10)

    @app.websocket("/")
    async def connect(websocket: WebSocket):
        await websocket.accept()
        await endpoint(websocket)

    with TestClient(app) as client:
        for _ in range(3):
            with client.websocket_connect("/") as connection:
                assert connection.receive_text() == "tick"
        gc.collect()
    assert Shop(app, books).story() == {}


def test_a_failure_in_a_websocket_is_found(instrumented, books):
    """A receiver that fails for a reason of its own is no client's leaving."""
    app = instrumented(FastAPI(), time_scale=10)

    async def reader(websocket):
        int(await websocket.receive_text())

    @app.websocket("/")
    async def connect(websocket: WebSocket):
        await websocket.accept()
        await asyncio.wait([asyncio.create_task(reader(websocket))])

    with TestClient(app) as client, client.websocket_connect("/") as connection:
        connection.send_text("seven")
    gc.collect()
    assert Shop(app, books).story() == {"reader": FAILED}


# -- names


def decorated(function):
    """The usual decorator: all its products share one code object."""

    @functools.wraps(function)
    async def wrapper(*args):
        return await function(*args)

    return wrapper


@decorated
async def first():
    """One product."""
    await asyncio.sleep(0.01)


@decorated
async def second():
    """Another one."""
    await asyncio.sleep(0.01)


@afterword.task(name="the third", deadline=7)
@decorated
async def third():
    """One that is declared outside of the decorator."""
    await asyncio.sleep(0.01)


@decorated
@afterword.task(name="the fourth")
async def fourth():
    """One that is declared inside of it."""
    await asyncio.sleep(0.01)


def test_products_of_one_decorator_stay_apart(scenario):
    """Each has its own name and its own declaration."""

    async def endpoint(shop):
        for work in (first, second, third, fourth):
            shop.keep(work())

    async def check(shop):
        stories = {"first": SUCCEEDED, "second": SUCCEEDED, "the third": SUCCEEDED, "the fourth": SUCCEEDED}
        await shop.tells(**stories)
        assert shop.books.scrape("afterword_task_deadline_seconds", task="the third") == 7
        assert shop.books.scrape("afterword_task_deadline_seconds", task="the fourth") == 30
        assert shop.books.of(f"{__name__}.first") == SUCCEEDED

    scenario(endpoint, check)


def test_an_awaitable_of_ones_own_has_its_name(scenario):
    """`ensure_future` wraps it in a coroutine of asyncio's."""

    class Parcel:
        """Awaited like a coroutine."""

        def __await__(self):
            """Fail, later."""
            yield from asyncio.sleep(0.01).__await__()
            raise LookupError("gone")

    async def endpoint(_):
        asyncio.ensure_future(Parcel())

    scenario(endpoint, told(__await__=FAILED))


# -- factories that begin a task at once

eager = pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks begin at once since Python 3.12")


@eager
@pytest.mark.parametrize(
    ("work", "story"), [(late, FAILED), (early, FAILED), (fine, SUCCEEDED), (stuck, COLLECTED)], ids=str
)
def test_fire_and_forget_is_booked_where_tasks_begin_at_once(scenario, work, story):
    """A task may have ended before its factory returns it."""

    async def endpoint(_):
        asyncio.create_task(work())

    scenario(endpoint, told(**{work.__name__: story}), factory=EAGER)


@eager
@pytest.mark.parametrize("endpoint", QUIET, ids=lambda endpoint: endpoint.__name__)
def test_what_somebody_waits_for_is_no_news_where_tasks_begin_at_once(scenario, endpoint):
    """As with tasks that begin later."""
    scenario(endpoint, nothing, requests=2, factory=EAGER)


# -- bounds


def test_a_connection_that_spawns_for_long_holds_what_is_alive(instrumented, books):
    """100,000 short tasks in one websocket: what they leave is gone when they are."""
    count, held = 100_000, []
    app = instrumented(FastAPI())

    async def short():
        pass

    async def spawn(n):
        for _ in range(n // 100):
            kept = [asyncio.create_task(short()) for _ in range(100)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert all(task.done() for task in kept)

    @app.websocket("/")
    async def connect(websocket: WebSocket):
        await websocket.accept()
        await spawn(5000)
        gc.collect()
        tracemalloc.start()
        before = len(gc.get_objects())
        await spawn(count)
        gc.collect()
        held.extend([tracemalloc.get_traced_memory()[0], len(gc.get_objects()) - before])
        tracemalloc.stop()
        await websocket.close()

    with TestClient(app) as client, client.websocket_connect("/") as connection:
        assert connection.receive()["type"] == "websocket.close"
    assert held[0] < 300_000, held
    assert held[1] < 2000, held
    assert Shop(app, books).story() == {}


def test_ten_thousand_kinds_of_work_are_bounded(instrumented, scrape):
    """Coroutines of code that is made as it goes: names fit the ledger or go under another, and nothing piles up."""

    async def main():
        app = instrumented(FastAPI())

        @app.get("/")
        async def order():
            for number in range(10_000):
                made = {}
                exec(f"async def made_{number}():\n    await wait()", {"wait": wait}, made)  # noqa: S102 - new code
                kept.append(asyncio.create_task(made[f"made_{number}"]()))

        async def wait():
            await gate.wait()

        gate, kept = asyncio.Event(), []
        async with alive(app):
            await call(app)
            assert scrape("afterword_tasks_waiting") == 10_000  # they begin when the loop turns
            await asyncio.sleep(0)
            assert scrape("afterword_tasks_running") == 10_000
            gate.set()
            await asyncio.gather(*kept)
            kept.clear()
            assert scrape("afterword_tasks_finished_total", outcome="succeeded") == 10_000
            assert len(PROCESS.origins) <= 4096

    asyncio.run(main())


def test_closures_are_one_kind_of_work(instrumented, books):
    """Ten thousand functions of one ``def`` have one name."""

    def make(number):
        async def closure():
            await asyncio.sleep(0)
            return number

        return closure

    async def main():
        app, kept = instrumented(FastAPI()), []

        @app.get("/")
        async def order():
            kept.extend(asyncio.create_task(make(number)()) for number in range(10_000))

        async with alive(app):
            await call(app)
            await asyncio.gather(*kept)
            assert len(PROCESS.origins) < 100
        assert books.of("closure") == {"scheduled": 10_000, "started": 10_000, "succeeded": 10_000}

    asyncio.run(main())
