"""Workers of the lifespan: those that end, hang or keep failing are told, those that are well are left in peace."""

import asyncio
import contextlib
import logging
import queue
import threading
import time

import anyio
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import afterword
from afterword.hooks.tick import Tick
from tests.helpers import until

pytestmark = pytest.mark.framework
#: A minute is a tenth of a second, and so is a tick.
FAST = 600
ENDED, STALLED = "afterword_workers_ended", "afterword_workers_stalled"
#: Told of a worker from when its habit is known.
PROGRESS = "afterword_worker_progress_timestamp_seconds"
#: What a thread of a test waits with: it has to be ended by the test.
FOREVER = 60
#: How long a machine may take for a second's work before something must be wrong with the test.
LONG = 60
#: Set by the test once it has seen what it needs: until then its workers go round, however slowly they are looked at.
ENOUGH = threading.Event()


class UpstreamError(Exception):
    """The other side is down."""


@pytest.fixture(autouse=True)
def _not_enough():
    """The workers of each test begin to go round."""
    ENOUGH.clear()


@pytest.fixture
def life(instrumented):
    """``with life(lifespan):`` an application lives; ``lifespan`` is an async generator function of nothing."""

    @contextlib.contextmanager
    def live(lifespan, **keywords):
        of_app = contextlib.asynccontextmanager(lambda _: lifespan())
        app = instrumented(FastAPI(lifespan=of_app), **{"time_scale": FAST, **keywords})
        with TestClient(app) as client:
            yield client

    return live


@pytest.fixture
def workers(life):
    """``with workers(function, ...):`` an application lives whose lifespan starts them as tasks."""

    @contextlib.contextmanager
    def live(*functions, **keywords):
        async def lifespan():
            tasks = [asyncio.create_task(function()) for function in functions]
            yield
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        with life(lifespan, **keywords) as client:
            yield client

    return live


@pytest.fixture
def number(scrape):
    """``number(sample, task)``: one number of one worker; None if it is not in the books."""

    def read(sample, task, **labels):
        return scrape(sample, kind="worker", **labels) if task is None else _of(scrape, sample, task, labels)

    return read


def _of(scrape, sample, task, labels):
    books = scrape.__self__
    found = [
        one.value
        for one in books.samples()
        if one.name == sample and one.labels["task"].endswith(f".{task}") and labels.items() <= one.labels.items()
    ]
    return sum(found) if found else None


@pytest.fixture
def enough(number):
    """``patience = enough(task, ...)``: lets them go on once each has a habit, with several looks to spare.

    How long a worker is left alone after that depends on how late it was looked at until then: no longer than ten times
    the whole of it, and its last look may be as late again.
    """

    def see(*tasks):
        began = time.monotonic()
        for task in tasks:
            _seen_to_go_round(number, task)
        ENOUGH.set()
        return 20 * (time.monotonic() - began) + 10

    return see


def _seen_to_go_round(number, task):
    looks = set()

    def often():
        looks.add(number(PROGRESS, task))
        return len(looks - {None, 0}) > 5

    until(often, LONG)


async def a_few_rounds():
    """What makes a habit: the rounds of an ordinary worker, for as long as the test wants to see some."""
    while not ENOUGH.is_set():
        await asyncio.sleep(0.06)


async def hangs():
    """Goes round, then waits for what never comes."""
    await a_few_rounds()
    await asyncio.Event().wait()


# -- those that end


@pytest.mark.parametrize("started_by", ["create_task", "task_group"])
def test_a_worker_that_raises_is_gone_and_says_with_what(life, books, number, started_by):
    """The exception is in a task nobody awaits; the application serves on."""

    async def poll_mailbox():
        await asyncio.sleep(0.01)
        raise UpstreamError

    async def lifespan():
        if started_by == "create_task":
            task = asyncio.create_task(poll_mailbox())
            yield
            del task
        else:
            with contextlib.suppress(BaseExceptionGroup, asyncio.CancelledError):
                async with asyncio.TaskGroup() as group:
                    group.create_task(poll_mailbox())
                    yield

    with contextlib.suppress(UpstreamError), life(lifespan) as client:
        until(lambda: number(ENDED, "poll_mailbox") == 1)
        assert client.get("/openapi.json").status_code == 200
        assert books.of("poll_mailbox", kind="worker") == {"scheduled": 1, "started": 1, "failed": 1}
        assert books.by("afterword_task_errors_total", "exception") == {"tests.test_workers.UpstreamError": 1}
    # A group that ends takes its lifespan with it, and nobody can ask that one to stop any more.
    assert number(ENDED, "poll_mailbox") == (started_by == "task_group")


def test_a_worker_of_an_anyio_task_group_is_booked_by_its_own_name(life, books):
    """The group's runner is around it; a group that is left cancels its workers, and nothing is lost."""
    gate = threading.Event()

    async def poll_mailbox():
        while not gate.is_set():
            await anyio.sleep(0.01)
        raise UpstreamError

    async def sync_prices(seconds):
        while True:
            await anyio.sleep(seconds)

    async def lifespan():
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(poll_mailbox)
                group.start_soon(sync_prices, 0.01)
                yield
                group.cancel_scope.cancel()
        except* UpstreamError:
            pass

    running = {"scheduled": 1, "started": 1, "running": 1}
    with life(lifespan):
        until(lambda: books.of("poll_mailbox", kind="worker") == books.of("sync_prices", kind="worker") == running)
    cancelled = {"scheduled": 1, "started": 1, "cancelled": 1}
    assert books.of("poll_mailbox", kind="worker") == books.of("sync_prices", kind="worker") == cancelled
    assert books.by("afterword_tasks_cancelled_total", "reason") == {"shutdown": 2}


def test_a_worker_that_fails_while_the_application_still_starts_is_gone_as_well(life, books, number):
    """It needs the other side at once, and the lifespan waits for something else meanwhile."""

    async def poll_mailbox():
        raise UpstreamError

    async def lifespan():
        task = asyncio.create_task(poll_mailbox())
        await asyncio.sleep(0.01)
        yield
        del task

    with life(lifespan):
        assert books.of("poll_mailbox", kind="worker") == {"scheduled": 1, "started": 1, "failed": 1}
        assert number(ENDED, "poll_mailbox") == 1


def test_a_failure_at_start_that_the_lifespan_deals_with_is_its_own_affair(life, books):
    """It awaits the task and goes on without."""

    async def connect():
        raise UpstreamError

    async def lifespan():
        with contextlib.suppress(UpstreamError):
            await asyncio.create_task(connect())
        await asyncio.gather(asyncio.create_task(connect()), return_exceptions=True)
        yield

    with life(lifespan):
        assert books.of("connect") == {}


def test_a_worker_that_returns_after_it_went_round_for_long_is_gone(workers, books, number):
    """Nobody asked it to: it fell out of its loop."""
    gate = threading.Event()

    async def consume():
        while not gate.is_set():
            await asyncio.sleep(0.02)

    with workers(consume):
        until(lambda: number(PROGRESS, "consume"))
        gate.set()
        until(lambda: number(ENDED, "consume") == 1)
        assert books.of("consume", kind="worker") == {"scheduled": 1, "started": 1, "failed": 1}
        assert books.by("afterword_task_errors_total", "exception") == {"Returned": 1}


def test_what_runs_once_at_start_is_no_worker_that_ended(workers, books, number):
    """A retry until the other side is up, and a cache that is filled: both end well, the first within a minute."""
    tries = iter(range(5))

    async def connect():
        while next(tries) < 4:
            await asyncio.sleep(0.02)

    async def fill_cache():
        for _ in range(20):
            await asyncio.sleep(0.02)

    succeeded = {"scheduled": 1, "started": 1, "succeeded": 1}
    with workers(connect, time_scale=1), workers(fill_cache, time_scale=1):
        until(lambda: books.of("fill_cache", kind="worker") == succeeded)
        until(lambda: books.of("connect", kind="worker") == succeeded)
        assert number(ENDED, None) == 0


def test_a_worker_that_was_cancelled_by_what_it_awaited_is_gone(workers, books, number):
    """A shared future is cancelled somewhere else: the worker ends without a word, and nobody asked for that."""
    shared = []

    async def consume():
        shared.append(asyncio.get_running_loop().create_future())
        asyncio.get_running_loop().call_later(0.05, shared[0].cancel)
        await shared[0]

    with workers(consume):
        until(lambda: number(ENDED, "consume") == 1)
        assert books.by("afterword_tasks_cancelled_total", "reason") == {"inner": 1}


# -- those that hang


def test_a_worker_that_hangs_is_told_with_its_place_until_it_goes_on(workers, scrape, number, capsys, enough):
    """By its own habit: it never waited there. One line on stderr, a series with the place; both end with it."""
    go_on = []

    async def call_upstream():
        go_on.append(asyncio.Event())
        await go_on[0].wait()

    async def sync_prices():
        await a_few_rounds()
        await call_upstream()
        while True:
            await asyncio.sleep(0.02)

    with workers(sync_prices) as client:
        patience = enough("sync_prices")
        until(lambda: number(STALLED, "sync_prices") == 1, patience)
        place = scrape.__self__.by("afterword_task_stuck_info", "at", kind="worker")
        (where,) = place
        assert "test_workers.py:" in where
        assert "call_upstream" in where
        client.portal.call(go_on[0].set)
        until(lambda: number(STALLED, "sync_prices") == 0)
        assert scrape("afterword_task_stuck_info") is None
    told = [line for line in capsys.readouterr().err.splitlines() if "no progress" in line]
    assert len(told) == 1
    assert f"it is at {where}" in told[0]


def test_a_declared_deadline_is_the_limit_of_a_worker(workers, number):
    """From its first round on; but a queue may be empty for longer."""

    @afterword.task(deadline=0.3)
    async def sync_prices():
        await asyncio.sleep(60)

    @afterword.task(deadline=0.3)
    async def consume():
        await asyncio.Queue().get()

    with workers(sync_prices, consume):
        until(lambda: number(STALLED, "sync_prices") == 1)
        assert number(STALLED, "consume") == 0


def test_a_heartbeat_is_progress(workers, number, enough):
    """Who says that it goes on does, as long as it says so."""
    gate = threading.Event()

    @afterword.task(deadline=0.3)
    async def crunch():
        await asyncio.Event().wait()

    async def beats():
        while not gate.is_set():
            afterword.heartbeat(crunch)
            await asyncio.sleep(0.02)

    with workers(crunch, beats, hangs):
        patience = enough("hangs")
        until(lambda: number(STALLED, "hangs") == 1, patience)
        assert number(STALLED, "crunch") == 0
        gate.set()
        until(lambda: number(STALLED, "crunch") == 1)


def test_a_worker_that_only_logs_that_its_work_fails_is_told_at_once(workers, books, number):
    """The loop, the try, the log, the sleep: it never ends, so its errors are counted while it runs."""

    async def cleanup_sessions():
        while True:
            try:
                raise UpstreamError
            except UpstreamError:
                logging.getLogger("shop").error("cleanup failed")  # noqa: TRY400 - what tutorials show
            await asyncio.sleep(0.02)

    with workers(cleanup_sessions):
        until(lambda: (number("afterword_tasks_swallowed_total", "cleanup_sessions") or 0) > 3)
        assert books.of("cleanup_sessions", kind="worker") == {"scheduled": 1, "started": 1, "running": 1}


# -- those that are well


async def consume_queue():
    """Waits for an item that does not come."""
    items = asyncio.Queue()
    while True:
        if not ENOUGH.is_set():
            items.put_nowait("item")
        await items.get()
        await asyncio.sleep(0.06)


async def consume_with_timeout():
    """Looks up from its queue now and then."""
    items = asyncio.Queue()
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(items.get(), 0.05)


async def consume_stream():
    """The same with anyio."""
    send, receive = anyio.create_memory_object_stream(10)
    send.send_nowait("item")
    with send, receive:
        async for item in receive:
            await asyncio.sleep(0.06)
            if not ENOUGH.is_set():
                send.send_nowait(item)


async def sleeps_long():
    """Works at once, and then once an hour."""
    while True:
        while not ENOUGH.is_set():
            await asyncio.sleep(0.06)
        await asyncio.sleep(3600)


async def backs_off():
    """Has two resting places: between two rounds, and when the other side is down."""
    while True:
        if ENOUGH.is_set():
            await asyncio.sleep(600)
        await asyncio.sleep(0.06)


async def works_long():
    """Its work took as long before."""
    while True:
        for seconds in (0.5, 0.02, 0.5, 0.02, 0.02, 0.02, 2):
            await job(seconds)
            await asyncio.sleep(0.7)


async def job(seconds):
    """Some work."""
    await asyncio.sleep(seconds)


async def listens():
    """Waits for the next message wherever that comes from; it came often at first."""
    while not ENOUGH.is_set():
        await message(0.06)
    await message(3600)


async def message(seconds):
    """What is listened for."""
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_later(seconds, lambda: future.done() or future.set_result(None))
    await future


@pytest.mark.parametrize(
    "healthy", [consume_queue, consume_with_timeout, consume_stream, sleeps_long, backs_off, works_long, listens]
)
def test_a_healthy_worker_is_left_in_peace(workers, books, number, capsys, enough, healthy):
    """It has its habit; another one beside it that hangs shows how long was waited."""
    with workers(healthy, hangs):
        patience = enough(healthy.__name__, "hangs")
        until(lambda: number(STALLED, "hangs") == 1, patience)
        since = number(PROGRESS, "hangs")
        until(lambda: number(PROGRESS, healthy.__name__) > since + 2, patience)
        assert number(STALLED, healthy.__name__) == 0
        assert number(ENDED, None) == 0
        assert number("afterword_tasks_overdue", None) == 0
    assert books.of(healthy.__name__, kind="worker") == {"scheduled": 1, "started": 1, "cancelled": 1}
    assert healthy.__name__ not in capsys.readouterr().err


@pytest.mark.parametrize("way", ["cancel", "event", "catches", "left alone"])
def test_a_shutdown_ends_workers_in_order(life, books, scrape, way):
    """Cancelled, asked to return, or left to whoever closes the loop: nothing is lost and nothing failed."""

    async def lifespan():
        stop = asyncio.Event()

        async def poll():
            try:
                while not stop.is_set():
                    await asyncio.sleep(0.02)
            except asyncio.CancelledError:
                if way != "catches":
                    raise

        task = asyncio.create_task(poll())
        yield
        if way == "event":
            stop.set()
            await task
        elif way != "left alone":
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    with life(lifespan):
        until(lambda: (scrape(PROGRESS) or 0) > 0)
    ending = "succeeded" if way in ("event", "catches") else "cancelled"
    assert books.of("poll", kind="worker") == {"scheduled": 1, "started": 1, ending: 1}
    assert scrape("afterword_tasks_lost_total") is None
    assert books.by("afterword_tasks_cancelled_total", "reason") == ({"shutdown": 1} if ending == "cancelled" else {})


@pytest.mark.parametrize("by", ["callback", "supervisor"])
def test_a_worker_that_is_started_again_is_a_worker_again(life, books, number, by):
    """Whoever starts it again, it goes on for ever: it is not overdue, and when it hangs that is seen."""
    gate, again = threading.Event(), threading.Event()

    async def consume():
        while not gate.is_set():
            await asyncio.sleep(0.02)
        if not again.is_set():
            again.set()
            gate.clear()
            raise UpstreamError
        await asyncio.Event().wait()

    async def supervise(tasks):
        while True:
            if tasks[-1].done():
                tasks.append(asyncio.create_task(consume()))
            await asyncio.sleep(0.02)

    async def lifespan():
        tasks = [asyncio.create_task(consume())]

        def start_again(_):
            tasks.append(asyncio.create_task(consume()))

        if by == "callback":
            tasks[0].add_done_callback(start_again)
        else:
            tasks.append(asyncio.create_task(supervise(tasks[:])))
        yield
        for task in tasks:
            task.cancel()

    with life(lifespan):
        until(lambda: number(PROGRESS, "consume"))
        gate.set()
        until(lambda: books.of("consume", kind="worker") == {"scheduled": 2, "started": 2, "failed": 1, "running": 1})
        assert number(ENDED, "consume") == 0
        first = number(PROGRESS, "consume")
        until(lambda: number(PROGRESS, "consume") > first + 1)
        assert books.of("consume", kind="asyncio") == {}
        gate.set()
        until(lambda: number(STALLED, "consume") == 1)


def test_what_a_worker_leaves_alone_and_ends_is_no_worker(workers, books):
    """A consumer that spawns a task for each message: those are fire and forget."""

    async def handle():
        await asyncio.sleep(0.25)

    async def consume():
        tasks = set()
        while True:
            if not tasks:
                tasks.add(asyncio.create_task(handle()))
            await asyncio.sleep(0.02)

    with workers(consume):
        until(lambda: books.of("handle", kind="asyncio") == {"scheduled": 1, "started": 1, "succeeded": 1})
        assert books.of("handle", kind="worker") == {}


def test_a_late_tick_makes_no_healthy_worker_stalled(workers, number, monkeypatch):
    """Who reads between the tick and the look at the workers would measure old progress by the new tick."""
    write, found = Tick._write, []

    def wrote(self, now):
        write(self, now)
        found.append(number(STALLED, "polls"))

    async def polls():
        while True:
            await asyncio.sleep(0.02)

    monkeypatch.setattr(Tick, "_write", wrote)
    with workers(polls):
        until(lambda: number(PROGRESS, "polls"))
        del found[:]
        until(lambda: len(found) > 10)
    assert set(found) == {0}


# -- threads


@pytest.fixture
def thread_workers(life):
    """The same with threads; each function gets the event that stops it."""

    @contextlib.contextmanager
    def live(*functions, **keywords):
        stop = threading.Event()

        async def lifespan():
            threads = [threading.Thread(target=function, args=(stop,), daemon=True) for function in functions]
            for thread in threads:
                thread.start()
            yield
            stop.set()
            for thread in threads:
                await asyncio.to_thread(thread.join)

        with life(lifespan, **keywords) as client:
            yield client

    return live


def quietly(thread_error):
    """Threads that raise on purpose need not be printed."""


def thread_rounds(stop):
    """The rounds of an ordinary thread, for as long as the test wants to see some."""
    while not ENOUGH.is_set() and not stop.wait(0.06):
        pass


def thread_hangs(stop):
    """Goes round, then hangs further in."""
    thread_rounds(stop)
    thread_call(stop)


def thread_call(stop):
    """A call without a timeout."""
    stop.wait(FOREVER)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_raises_is_gone(thread_workers, books, number, enough):
    """Its traceback is on stderr, where nobody looks."""

    def poll(stop):
        thread_rounds(stop)
        raise UpstreamError

    with thread_workers(poll):
        enough("poll")
        until(lambda: number(ENDED, "poll") == 1)
        assert books.of("poll", kind="worker") == {"scheduled": 1, "started": 1, "failed": 1}
        assert books.by("afterword_task_errors_total", "exception") == {"tests.test_workers.UpstreamError": 1}


def test_a_thread_that_returns_after_it_went_round_for_long_is_gone(thread_workers, books, number):
    """Nobody told it to stop."""
    gate = threading.Event()

    def consume(stop):
        while not stop.is_set() and not gate.is_set():
            stop.wait(0.02)

    with thread_workers(consume):
        until(lambda: number(PROGRESS, "consume"))
        gate.set()
        until(lambda: number(ENDED, "consume") == 1)
        assert books.by("afterword_task_errors_total", "exception") == {"Returned": 1}


def test_a_thread_that_hangs_is_told_with_its_place(thread_workers, scrape, number, capsys, enough):
    """The kernel says that it does nothing, its frames say where."""
    with thread_workers(thread_hangs):
        patience = enough("thread_hangs")
        until(lambda: number(STALLED, "thread_hangs") == 1, patience)
        (where,) = scrape.__self__.by("afterword_task_stuck_info", "at")
        assert "thread_call" in where
    assert f"it is at {where}" in capsys.readouterr().err


def thread_consumes(stop):
    """Its queue is empty."""
    items = queue.Queue()
    threading.Thread(target=lambda: stop.wait(FOREVER) and items.put(None), daemon=True).start()
    while not stop.is_set():
        if not ENOUGH.is_set():
            items.put("item")
        if items.get() is not None:
            stop.wait(0.06)


def thread_waits(stop):
    """Every minute, or when it is to stop."""
    while not ENOUGH.is_set() and not stop.wait(0.06):
        pass
    while not stop.wait(FOREVER):
        pass


def thread_computes(stop):
    """Never waits."""
    while not stop.is_set():
        sum(range(1000))


@pytest.mark.parametrize("healthy", [thread_consumes, thread_waits, thread_computes])
def test_a_healthy_thread_is_left_in_peace(thread_workers, books, number, capsys, enough, healthy):
    """And stops when it is told to: nothing is lost and nothing failed."""
    with thread_workers(healthy, thread_hangs, time_scale=FAST / 2):  # a busy machine may leave it out for a while
        patience = enough(healthy.__name__, "thread_hangs")
        until(lambda: number(STALLED, "thread_hangs") == 1, patience)
        assert (number(STALLED, healthy.__name__), number(ENDED, None)) == (0, 0)
    until(lambda: books.of(healthy.__name__, kind="worker") == {"scheduled": 1, "started": 1, "succeeded": 1})
    assert healthy.__name__ not in capsys.readouterr().err
