"""What a run says of itself: results nobody runs, ``success=``, ``effects=``, `fail`, errors that were swallowed."""

import asyncio
import functools
import logging
import subprocess
import sys

import pytest
from fastapi import BackgroundTasks, FastAPI
from opentelemetry.sdk.trace import TracerProvider
from starlette.background import BackgroundTask
from starlette.responses import Response

import afterword
from tests.helpers.asgi import call
from tests.helpers.living import alive, eventually, turns

pytestmark = pytest.mark.framework
SUCCEEDED = {"scheduled": 1, "started": 1, "succeeded": 1}
FAILED = {"scheduled": 1, "started": 1, "failed": 1}
LOG = logging.getLogger("shop.results")


class Shop:
    """One application on the loop of the test; what is in ``work`` is done in one request, one way or another."""

    def __init__(self, instrumented, books):
        self.instrumented, self.books = instrumented, books

    def run(self, function, way="add_task", check=None):
        """Hand ``function`` over and wait until nothing is left."""

        async def main():
            app = self.instrumented(FastAPI(), time_scale=10)

            @app.get("/")
            async def order(tasks: BackgroundTasks):
                response = Response()
                if way == "add_task":
                    tasks.add_task(function)
                    response = None  # type: ignore[assignment]  # it has answered
                elif way == "response":
                    response.background = BackgroundTask(function)
                elif way == "create_task":
                    asyncio.create_task(function())  # noqa: RUF006 - nobody keeps it
                    await asyncio.sleep(0.01)
                elif way == "awaited":
                    await asyncio.gather(asyncio.create_task(function()), asyncio.sleep(0.01))
                elif way == "called":
                    await function()
                return response

            async with alive(app):
                await call(app)
                await turns()
                if check is not None:
                    await eventually(check)

        asyncio.run(main())

    def swallowed(self, task):
        """Runs of a task that succeeded and told an error on the way."""
        return self.books.by("afterword_tasks_swallowed_total", "task").get(f"{__name__}.{task}", 0)

    def errors(self, task):
        """What the failures of a task are called."""
        return self.books.by("afterword_task_errors_total", "exception", task=f"{__name__}.{task}")


@pytest.fixture
def shop(instrumented, books):
    """A shop without work."""
    return Shop(instrumented, books)


# -- results that nobody runs


async def work():
    """What somebody forgot to await."""


def makes_coroutine():
    """The mistake of a lambda: the coroutine is returned, not awaited."""
    return work()


async def makes_coroutine_on_loop():
    """The same, awaited once too little."""
    return work()


def makes_generator():
    """A generator function: its body has not begun."""
    yield 1


async def makes_async_generator():
    """An async generator function."""
    yield 1


class Recipe:
    """An awaitable that nobody awaits."""

    def __await__(self):
        """Nothing."""
        yield from ()


def makes_awaitable():
    """An awaitable of somebody's own."""
    return Recipe()


FORGOTTEN = [makes_coroutine, makes_coroutine_on_loop, makes_generator, makes_async_generator, makes_awaitable]


@pytest.mark.filterwarnings("ignore:coroutine 'work' was never awaited")
@pytest.mark.parametrize("way", ["add_task", "response"])
@pytest.mark.parametrize("function", FORGOTTEN, ids=lambda f: f.__name__)
def test_a_result_that_nobody_will_run_is_a_failure(shop, function, way):
    """The task returned at once and did nothing; Starlette drops what it returned."""
    shop.run(function, way)
    assert shop.books.of(function.__name__) == FAILED
    assert shop.errors(function.__name__) == {"NeverAwaited": 1}
    assert shop.books.of("work") == {}  # told once


def begun():
    """A generator that has begun: somebody goes through it."""
    generator = makes_generator()
    next(generator)
    KEPT.append(generator)
    return generator


async def own_task():
    """A task goes on by itself."""
    KEPT.append(asyncio.create_task(work()))
    return KEPT[-1]


def text():
    """A result like any other."""
    return "text"


async def exhausted():
    """An async generator that was gone through."""
    generator = makes_async_generator()
    async for _ in generator:
        pass
    return generator


KEPT = []


@pytest.mark.parametrize("function", [begun, own_task, text, exhausted, list], ids=lambda f: f.__name__)
def test_other_results_are_none_of_our_business(shop, function):
    """Whatever does not wait for anybody."""
    shop.run(function)
    assert shop.books.of("builtins.list" if function is list else function.__name__) == SUCCEEDED
    KEPT.clear()


def test_a_result_that_the_owner_gets_is_the_owners(shop):
    """A spawned task returns a coroutine to whoever awaits it."""

    async def outer():
        await (await asyncio.create_task(makes_coroutine_on_loop()))

    shop.run(outer, "called")
    assert shop.books.of("makes_coroutine_on_loop") == {}


@pytest.mark.filterwarnings("ignore:coroutine 'work' was never awaited")
def test_a_result_of_fire_and_forget_is_nobodys(shop):
    """It goes on after the request, and returns a coroutine to nobody."""

    async def forgets():
        await asyncio.sleep(0.02)
        return work()

    shop.run(forgets, "create_task", lambda: shop.books.of(forgets.__qualname__) == FAILED)


# -- success=


@afterword.task(success=lambda answer: answer["status"] < 300)
def order_ok():
    """Goes well."""
    return {"status": 201}


@afterword.task(success=lambda answer: answer["status"] < 300)
def order_refused():
    """Returns what its declaration calls a failure."""
    return {"status": 503}


@afterword.task(success=lambda answer: answer["status"] < 300)
async def order_refused_on_loop():
    """The same, awaited."""
    return {"status": 503}


@afterword.task(success=lambda answer: answer["stauts"] < 300)
def order_mistyped():
    """Its declaration raises."""
    return {"status": 201}


@pytest.mark.parametrize(
    ("function", "story"),
    [(order_ok, SUCCEEDED), (order_refused, FAILED), (order_refused_on_loop, FAILED)],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_success_says_whether_it_went_well(shop, function, story):
    """A run that raised nothing and returned a refusal has failed."""
    shop.run(function)
    assert shop.books.of(function.__name__) == story
    assert shop.errors(function.__name__) == ({"NotSuccessful": 1} if story is FAILED else {})


@afterword.task(success=lambda answer: answer)
async def refused_early():
    """Before the request ends."""
    return False


@afterword.task(success=lambda answer: answer)
async def refused_late():
    """After it."""
    await asyncio.sleep(0.02)
    return False


@pytest.mark.parametrize("function", [refused_early, refused_late], ids=lambda f: f.__name__)
def test_success_of_fire_and_forget_is_asked_too(shop, function):
    """Before and after the request's end."""
    shop.run(function, "create_task", lambda: shop.books.of(function.__name__) == FAILED)
    assert shop.errors(function.__name__) == {"NotSuccessful": 1}


def test_success_of_what_is_awaited_is_its_owners_affair(shop):
    """The owner has the result, and does with it what it likes."""
    shop.run(order_refused_on_loop, "awaited")
    assert shop.books.of("order_refused_on_loop") == {}


def test_success_that_raises_is_told_once_and_changes_nothing(shop, capfd):
    """A mistake in the declaration: the work went well, and the books say so."""
    for _ in range(3):
        shop.run(order_mistyped)
    assert shop.books.of("order_mistyped") == {"scheduled": 3, "started": 3, "succeeded": 3}
    told = [line for line in capfd.readouterr().err.splitlines() if "success=" in line]
    assert told == [
        f"afterword: success= of {__name__}.order_mistyped raised KeyError: 'stauts'. The run is booked as succeeded."
    ]


# -- effects= and done()


@afterword.task(effects=2)
async def two_effects(reports):
    """Reports as often as it is told."""
    for _ in range(reports):
        afterword.done()


@afterword.task(effects=3)
def effects_in_thread():
    """Reports several at once."""
    afterword.done(2)
    afterword.done()


@pytest.mark.parametrize(("reports", "story"), [(0, FAILED), (1, FAILED), (2, SUCCEEDED), (3, SUCCEEDED)])
def test_a_run_without_its_effects_has_failed(shop, reports, story):
    """It raised nothing, and did not do what it is for."""
    shop.run(functools.partial(two_effects, reports))
    assert shop.books.of("two_effects") == story
    assert shop.errors("two_effects") == ({"EffectsMissing": 1} if story is FAILED else {})


def test_effects_are_counted_in_threads(shop):
    """Whoever runs it."""
    shop.run(effects_in_thread)
    assert shop.books.of("effects_in_thread") == SUCCEEDED


@afterword.task(effects=2)
async def effects_of_children():
    """Its children do the work, and report."""

    async def child():
        await asyncio.sleep(0)
        afterword.done()

    await asyncio.gather(child(), asyncio.create_task(child()))


def test_what_children_report_counts_for_the_run(shop):
    """A gather spawns tasks; they belong to the run that waits for them."""
    shop.run(effects_of_children)
    assert shop.books.of("effects_of_children") == SUCCEEDED


async def fails_in_child():
    """A child says that it failed, and raises nothing."""

    async def child():
        await asyncio.sleep(0)
        afterword.fail("declined")

    await asyncio.gather(child())


async def logs_in_child():
    """A child logs an error, and raises nothing."""

    async def child():
        LOG.error("not so well")

    await asyncio.gather(child(), return_exceptions=True)


async def child_raises():
    """A child logs an error and raises; the run handles that."""

    async def child():
        LOG.error("not so well")
        raise LookupError

    await asyncio.gather(child(), return_exceptions=True)


def test_what_children_say_holds_for_the_run(shop):
    """A failure and a swallowed error of an awaited child are the run's."""
    shop.run(fails_in_child)
    assert shop.books.of("fails_in_child") == FAILED
    assert shop.errors("fails_in_child") == {"declined": 1}
    shop.run(logs_in_child)
    shop.run(child_raises)
    assert shop.swallowed("logs_in_child") == shop.swallowed("child_raises") == 1
    assert set(shop.books.by("afterword_tasks_scheduled_total", "task")) == {
        f"{__name__}.{name}" for name in ("fails_in_child", "logs_in_child", "child_raises")
    }


@pytest.mark.parametrize("wrong", [-1, 1.5, "2", True, None], ids=str)
def test_effects_that_count_nothing_are_told(shop, capfd, wrong):
    """The work goes on."""

    async def reports():
        afterword.done(wrong)

    shop.run(reports)
    assert shop.books.of(reports.__qualname__) == SUCCEEDED
    assert f"afterword.done({wrong!r}) counts nothing" in capfd.readouterr().err


# -- saying that it failed


async def says_so():
    """On the loop."""
    afterword.fail("declined")


def says_so_in_thread():
    """In a thread."""
    afterword.fail("declined")


def says_so_twice():
    """The last word counts."""
    afterword.fail("declined")
    afterword.fail("no credit")


@pytest.mark.parametrize("function", [says_so, says_so_in_thread, says_so_twice], ids=lambda f: f.__name__)
def test_a_run_may_say_that_it_failed(shop, function):
    """Without raising anything; the reason takes the place of an exception's class."""
    shop.run(function)
    assert shop.books.of(function.__name__) == FAILED
    assert shop.errors(function.__name__) == {"no credit" if function is says_so_twice else "declined": 1}


@pytest.mark.parametrize("sleep", [0, 0.02])
def test_fire_and_forget_may_say_that_it_failed(shop, sleep):
    """Before and after the request's end."""

    async def refused():
        await asyncio.sleep(sleep)
        afterword.fail("declined")

    shop.run(refused, "create_task", lambda: shop.books.of(refused.__qualname__) == FAILED)


class Unreadable:
    """Cannot be made a text."""

    def __str__(self):
        """Refuse."""
        raise LookupError


@pytest.mark.parametrize(
    ("reason", "told"), [("", "failed"), (7, "7"), (Unreadable(), "Unreadable"), ("x" * 99, "x" * 48)], ids=range(4)
)
def test_any_reason_is_a_reason(shop, reason, told):
    """`fail` never raises."""

    async def refused():
        afterword.fail(reason)

    shop.run(refused)
    assert shop.books.by("afterword_task_errors_total", "exception") == {told: 1}


def test_outside_of_a_run_there_is_nothing_to_fail(shop, capfd):
    """Told once, in a request as well as anywhere else."""

    async def endpoint():
        for _ in range(3):
            afterword.fail("declined")
            afterword.done()

    shop.run(endpoint, "called")
    err = capfd.readouterr().err
    assert err.count("afterword.fail() was called outside of a task") == 1
    assert err.count("afterword.done() was called outside of a task") == 1


def test_after_a_run_has_ended_there_is_nothing_to_fail(shop, capfd):
    """What was called back later has the run's context, and not the run."""

    def late():
        afterword.fail("late")
        KEPT.append("late")

    async def leaves():
        asyncio.get_running_loop().call_later(0.005, late)

    shop.run(leaves, check=lambda: KEPT)
    KEPT.clear()
    assert capfd.readouterr().err.count("afterword.fail() was called outside of a task") == 1
    assert shop.books.of(leaves.__qualname__) == SUCCEEDED


def test_without_accounting_they_do_nothing():
    """Nothing is instrumented: no word, no error."""
    program = (
        "from afterword import done, fail, heartbeat, instrument; from fastapi import FastAPI\n"
        "instrument(FastAPI(), disabled=True); fail('declined'); done(); done('nonsense'); heartbeat('nobody')"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert run.stderr == run.stdout == ""


# -- errors that are told instead of raised


def logs_error():
    """The usual ``except``."""
    try:
        raise LookupError("gone")
    except LookupError:
        LOG.exception("not so well")


def logs_warning():
    """A retry that works."""
    for attempt in range(3):
        if attempt < 2:
            LOG.warning("once more")
        else:
            LOG.info("fine")


def logs_two_errors():
    """Two errors, one run."""
    LOG.error("one")
    LOG.critical("two")


def logs_and_raises():
    """It fails anyway."""
    LOG.error("not so well")
    raise LookupError("gone")


async def logs_error_on_loop():
    """On the loop, after a step."""
    await asyncio.sleep(0)
    LOG.error("not so well")


async def logs_in_thread_of_its_own():
    """`to_thread` takes the context along."""
    await asyncio.to_thread(LOG.error, "not so well")


def logs_nothing_of_ours():
    """The loop's and the server's own loggers tell of what is booked anyway."""
    logging.getLogger("asyncio").error("Task exception was never retrieved")
    logging.getLogger("uvicorn.error").error("Exception in ASGI application")


@pytest.mark.parametrize(
    ("function", "count"),
    [
        (logs_error, 1), (logs_warning, 0), (logs_two_errors, 1), (logs_error_on_loop, 1),
        (logs_in_thread_of_its_own, 1), (logs_nothing_of_ours, 0),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)  # fmt: skip
def test_a_run_that_succeeds_and_logged_an_error_has_swallowed_it(shop, function, count):
    """A warning and a retry are no errors; two errors are one run."""
    shop.run(function)
    assert shop.books.of(function.__name__) == SUCCEEDED
    assert shop.swallowed(function.__name__) == count


def test_what_fails_has_swallowed_nothing(shop):
    """It is counted as failed."""
    with pytest.raises(LookupError):
        shop.run(logs_and_raises)
    assert shop.books.of("logs_and_raises") == FAILED
    assert shop.swallowed("logs_and_raises") == 0


def test_an_error_logged_in_a_request_is_no_runs(shop):
    """A request is no run; neither is what it awaits."""

    async def endpoint():
        LOG.error("not so well")
        await asyncio.gather(logs_error_on_loop())

    shop.run(endpoint, "called")
    assert shop.books.by("afterword_tasks_swallowed_total", "task") == {}


@pytest.mark.parametrize("sleep", [0, 0.02])
def test_fire_and_forget_that_logged_an_error_has_swallowed_it(shop, sleep):
    """Whether it ended before the request or after it."""

    async def swallows():
        await asyncio.sleep(sleep)
        LOG.error("not so well")

    def told():
        return shop.books.scrape("afterword_tasks_swallowed_total", task=f"{__name__}.{swallows.__qualname__}") == 1

    shop.run(swallows, "create_task", told)
    assert shop.books.of(swallows.__qualname__) == SUCCEEDED


def test_an_error_in_what_was_fetched_ahead_is_the_runs_that_awaits_it(shop):
    """Nobody waits for it when it ends; but somebody keeps it."""

    async def parent():
        task = asyncio.create_task(logs_error_on_loop())
        await asyncio.sleep(0.02)
        await task

    shop.run(parent)
    assert shop.books.of("logs_error_on_loop") == {}
    assert shop.books.by("afterword_tasks_swallowed_total", "task") == {f"{__name__}.{parent.__qualname__}": 1}


def test_each_call_of_one_task_is_judged_alone(shop):
    """A wrapper that calls a task twice: what was noted of the first call is none of the second's."""
    calls = []

    async def twice(task):
        await task()
        await task()

    async def once_bad():
        calls.append(1)
        if len(calls) == 1:
            LOG.error("not so well")
            afterword.fail("declined")

    async def main():
        app = shop.instrumented(FastAPI())

        @app.get("/")
        async def order():
            class Twice(Response):
                async def __call__(self, scope, receive, send):
                    background, self.background = self.background, None
                    await super().__call__(scope, receive, send)
                    await twice(background)

            return Twice(background=BackgroundTask(once_bad))

        async with alive(app):
            await call(app)

    asyncio.run(main())
    assert shop.books.of(once_bad.__qualname__) == {"scheduled": 2, "started": 2, "failed": 1, "succeeded": 1}


# -- recorded exceptions

TRACER = TracerProvider().get_tracer("shop")


def records():
    """Told to the span instead of raised."""
    with TRACER.start_as_current_span("work") as span:
        try:
            raise LookupError("gone")
        except LookupError as error:
            span.record_exception(error)


def retries():
    """The library records what leaves the span; the second attempt works."""
    for attempt in range(2):
        try:
            with TRACER.start_as_current_span("attempt"):
                if attempt == 0:
                    raise LookupError("gone")
        except LookupError:
            continue


@pytest.mark.parametrize(("function", "count"), [(records, 1), (retries, 0)], ids=lambda x: getattr(x, "__name__", ""))
def test_a_recorded_exception_is_swallowed(shop, function, count):
    """What leaves a span and is handled outside of it is a retry."""
    shop.run(function)
    assert shop.books.of(function.__name__) == SUCCEEDED
    assert shop.swallowed(function.__name__) == count
