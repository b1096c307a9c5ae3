"""asyncio is the same with and without us: what a task looks like, raises, leaves behind, and who made it."""

# ruff: noqa: RUF006 - tasks that nobody keeps are the point

import asyncio
import contextlib
import contextvars
import gc
import inspect
import io
import logging
import re
import sys
import traceback
import types
import weakref

import pytest
from fastapi import FastAPI

from tests.helpers.asgi import call
from tests.helpers.living import alive, turns

pytestmark = pytest.mark.framework
NOTE = contextvars.ContextVar("NOTE", default="nothing")


def bare(app, **_):
    """Not instrumented."""
    return app


def same(thing):
    """As text, without the numbers of tasks and the places of objects."""
    return re.sub(r"Task-\d+|0x[0-9a-f]+", "", repr(thing))


def observed(look, instrument, *, factory=None, debug=False):
    """What ``look()`` sees in a request of an application."""

    async def main():
        app, seen = FastAPI(), []

        @app.get("/")
        async def order():
            seen.append(await look())

        loop = asyncio.get_running_loop()
        if factory is not None:
            loop.set_task_factory(factory)
        instrument(app)
        async with alive(app):
            await call(app)
            await turns()
        return seen[0]

    return asyncio.run(main(), debug=debug)


async def forever():
    """Waits."""
    await asyncio.get_running_loop().create_future()


async def deep():
    """Waits two coroutines deep."""
    await forever()


async def boom():
    """Fails after a step."""
    await asyncio.sleep(0)
    raise LookupError("gone")


def told(error):
    """A traceback as text; addresses and lines of the machinery are the same in both runs."""
    return "".join(traceback.format_exception(error))


async def look_at_a_pending_task():
    """Its text, its frames, its coroutine."""
    task = asyncio.create_task(deep(), name="mine")
    await turns(2)
    text = io.StringIO()
    task.print_stack(file=text)
    coro = task.get_coro()
    seen = [
        repr(task).split(" wait_for")[0],
        text.getvalue(),
        [frame.f_code.co_name for frame in task.get_stack()],
        coro.__name__, coro.__qualname__, coro.cr_code.co_name, coro.cr_frame.f_code.co_name,
        coro.cr_await.cr_code.co_name, coro.cr_running, coro.cr_origin,
        inspect.getcoroutinestate(coro), inspect.iscoroutine(coro), inspect.isawaitable(coro),
        asyncio.iscoroutine(coro), isinstance(coro, types.CoroutineType), inspect.getcoroutinelocals(coro),
        task.get_name(), repr(coro).split(" at ")[0], coro.__class__,
    ]  # fmt: skip
    task.cancel("enough")
    try:
        await task
    except asyncio.CancelledError as error:
        seen += [told(error), error.args, task.cancelled(), task.cancelling()]
    return seen


async def look_at_a_task_that_failed():
    """Its exception, wherever it is taken from."""
    task = asyncio.create_task(boom())
    try:
        await task
    except LookupError as error:
        seen = [told(error), error.__context__, error.__cause__]
    text = io.StringIO()
    task.print_stack(file=text)
    return [*seen, text.getvalue(), told(task.exception()), repr(task)]


async def look_at_a_failure_in_a_callback():
    """What the loop's own report of it says."""
    heard = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: heard.append(context))
    asyncio.create_task(boom(), name="alone")
    loop.call_soon(int, "seven")
    await turns()
    gc.collect()
    loop.set_exception_handler(None)
    return [(c["message"], told(c["exception"]), sorted(c)) for c in heard]


async def look_at_chains():
    """Causes and contexts of exceptions that cross tasks."""

    async def chained():
        try:
            await asyncio.create_task(boom())
        except LookupError as error:
            raise RuntimeError("translated") from error

    async def in_context():
        try:
            await asyncio.create_task(boom())
        finally:
            raise RuntimeError("instead")

    seen = []
    for work in (chained, in_context):
        try:
            await asyncio.create_task(work())
        except RuntimeError as error:
            seen += [told(error), type(error.__cause__), type(error.__context__)]
    return seen


async def look_at_results():
    """Whatever is returned is returned."""

    async def give(value):
        return value

    values = [None, 7, (1, 2), StopIteration(3), (StopIteration(4),), Exception("held")]
    return [repr(await asyncio.create_task(give(value))) for value in values]


async def look_at_cancellation():
    """Messages, timeouts, `uncancel`, a cancellation that is refused, one before the first step."""
    seen = []

    async def refuses():
        try:
            await forever()
        except asyncio.CancelledError as error:
            seen.append(error.args)
            seen.append(asyncio.current_task().uncancel())
        await asyncio.sleep(0)
        return "refused"

    async def in_time():
        async with asyncio.timeout(0.001):
            await forever()

    task = asyncio.create_task(refuses())
    await turns(2)
    task.cancel("please")
    seen += [await task, task.cancelling()]
    try:
        await asyncio.create_task(in_time())
    except TimeoutError as error:
        seen.append(told(error))
    task = asyncio.create_task(forever())
    task.cancel("before")
    try:
        await task
    except asyncio.CancelledError as error:
        seen += [told(error), error.args]
    return seen


async def look_at_contexts():
    """A task's changes stay its own; a context that is given is used, and holds what it held."""
    seen = []

    async def change(value):
        seen.append(NOTE.get())
        NOTE.set(value)
        await asyncio.sleep(0)
        seen.append(NOTE.get())

    NOTE.set("request")
    await asyncio.create_task(change("one"))
    given = contextvars.copy_context()
    before = len(given)
    await asyncio.create_task(change("two"), context=given)
    return [*seen, NOTE.get(), given[NOTE], len(given) - before]


async def look_at_an_end_in_the_middle():
    """Closed, and collected: its ``finally`` runs, and the loop tells what it tells."""
    seen = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: seen.append(context["message"]))

    async def tidy(name):
        try:
            await loop.create_future()
        except BaseException as error:
            seen.append((name, type(error)))
            raise
        finally:
            seen.append((name, "tidied"))

    asyncio.create_task(tidy("forgotten"))
    await turns(2)
    gc.collect()
    coro = tidy("closed")
    coro.send(None)
    coro.close()
    loop.set_exception_handler(None)
    return sorted(map(repr, seen))  # in which order a cycle is collected is the collector's affair


async def look_at_a_refusal():
    """What is no coroutine is refused where it is handed over."""
    seen = []
    loop = asyncio.get_running_loop()
    for wrong in (7, None, forever):
        try:
            loop.create_task(wrong)
        except TypeError as error:
            seen.append(told(error).partition(", line")[0] + str(error)[:20])
    return seen


LOOKS = [
    look_at_a_pending_task, look_at_a_task_that_failed, look_at_a_failure_in_a_callback, look_at_chains,
    look_at_results, look_at_cancellation, look_at_contexts, look_at_an_end_in_the_middle, look_at_a_refusal,
]  # fmt: skip


def wrapping(loop, coro, **keywords):
    """A factory of the application's, which runs a coroutine of its own around each."""

    async def around():
        return await coro

    around.__qualname__ = "around"
    return asyncio.Task(around(), loop=loop, **keywords)


def plain(loop, coro, **keywords):
    """A factory of the application's that does what asyncio does."""
    return asyncio.Task(coro, loop=loop, **keywords)


FACTORIES = [None, plain, wrapping] + ([asyncio.eager_task_factory] if sys.version_info >= (3, 12) else [])


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.__name__)
@pytest.mark.parametrize("factory", FACTORIES, ids=lambda factory: getattr(factory, "__name__", "none"))
@pytest.mark.filterwarnings("ignore:coroutine 'forever' was never awaited")  # cancelled before `wrapping` awaits it
def test_a_task_is_the_same_with_and_without_us(instrumented, look, factory):
    """Under every factory: no frame of ours anywhere, and nothing else that is different."""
    if factory is wrapping and look is look_at_a_refusal:
        pytest.skip("this factory refuses nothing")
    before = observed(look, bare, factory=factory)
    seen = observed(look, instrumented, factory=factory)
    assert same(seen) == same(before)
    assert "afterword" not in repr(seen)


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.__name__)
def test_a_task_is_the_same_in_debug_mode(instrumented, look):
    """Where it was made is told without us, too."""
    before = observed(look, bare, debug=True)
    seen = observed(look, instrumented, debug=True)
    assert same(seen) == same(before)
    assert "afterword" not in repr(seen)


@pytest.mark.parametrize("factory", [None, plain])
def test_where_a_task_was_made_is_the_applications_line(instrumented, factory):
    """In debug mode a task knows the stack of its making."""

    async def look():
        task = asyncio.create_task(forever())
        made = [(frame.filename, frame.lineno) for frame in task._source_traceback]
        task.cancel()
        return made[-4:]

    before = observed(look, bare, factory=factory, debug=True)
    assert observed(look, instrumented, factory=factory, debug=True) == before


def test_a_factory_of_the_applications_gets_what_it_got(instrumented):
    """The same keywords, and something that looks like its coroutine."""

    def run(instrument):
        calls = []

        def factory(loop, coro, **keywords):
            if coro.__name__ == "forever":
                calls.append(
                    (
                        keywords, coro.__qualname__, coro.cr_code is forever.__code__, dict(coro.cr_frame.f_locals),
                        asyncio.iscoroutine(coro), inspect.iscoroutine(coro), inspect.getcoroutinestate(coro),
                    )
                )  # fmt: skip
            return asyncio.Task(coro, loop=loop, **keywords)

        async def look():
            loop = asyncio.get_running_loop()
            context = contextvars.copy_context()
            tasks = [
                asyncio.create_task(forever(), name="one"),
                loop.create_task(forever(), name="two", context=context),
                asyncio.ensure_future(forever()),
            ]
            seen = [task.get_name() for task in tasks[:2]], [c[0].get("context") is context for c in calls]
            for task in tasks:
                task.cancel()
            return *seen, [(sorted(c[0]), *c[1:]) for c in calls]

        return observed(look, instrument, factory=factory)

    before = run(bare)
    assert run(instrumented) == before


def test_a_factory_that_raises_raises_as_it_did(instrumented):
    """No frame of ours, and a coroutine that nobody awaits."""

    def factory(loop, coro, **keywords):
        if coro.__name__ == "forever":
            coro.close()
            raise OSError("no more")
        return asyncio.Task(coro, loop=loop, **keywords)

    async def look():
        try:
            asyncio.create_task(forever())
        except OSError as error:
            return told(error)

    before = observed(look, bare, factory=factory)
    assert observed(look, instrumented, factory=factory) == before


def test_a_factory_that_makes_no_task_is_told_once_and_obeyed(instrumented, scrape, capfd):
    """It gets its way, and the books say that something is not told."""

    class Made:
        """No task."""

        def set_name(self, _):
            """Early releases of 3.13 name whatever they get."""

    made = Made()

    def factory(loop, coro, **keywords):
        if coro.__name__ != "forever":
            return asyncio.Task(coro, loop=loop, **keywords)
        coro.close()
        return made

    async def look():
        loop = asyncio.get_running_loop()
        return [loop.create_task(forever()) is made for _ in range(3)]

    assert observed(look, instrumented, factory=factory) == [True, True, True]
    told_ = [line for line in capfd.readouterr().err.splitlines() if "task factory" in line]
    assert len(told_) == 1
    assert "Made, which is no asyncio.Future" in told_[0]
    assert scrape("afterword_internal_errors_total") in (3, None)


def test_a_factory_around_ours_is_watched_once(instrumented, books):
    """Set in the lifespan, around the one it found there, with a coroutine of its own: one task stays one run."""

    async def main():
        async def work():
            await asyncio.sleep(0.3)

        @contextlib.asynccontextmanager
        async def lifespan(_):
            loop = asyncio.get_running_loop()
            before = loop.get_task_factory()

            def factory(loop, coro, **keywords):
                async def traced():
                    return await coro

                return before(loop, traced(), **keywords)

            loop.set_task_factory(factory)
            yield

        app, kept = instrumented(FastAPI(lifespan=lifespan), time_scale=10), []

        @app.get("/")
        async def order():
            kept.append(asyncio.create_task(work()))

        async with alive(app):
            await call(app)
            await kept[0]
        return books.by("afterword_tasks_started_total", "task")

    assert [name.rsplit(".")[-1] for name in asyncio.run(main())] == ["work"]


def test_uninstrumented_the_loop_has_the_factory_it_had(instrumented):
    """And one that was set around ours stays, ours standing aside."""
    import afterword

    async def main():
        loop, app = asyncio.get_running_loop(), FastAPI()
        loop.set_task_factory(plain)
        instrumented(app)
        async with alive(app):
            assert loop.get_task_factory() is not plain
            afterword.uninstrument(app)
            assert loop.get_task_factory() is plain

    asyncio.run(main())


def test_the_loops_class_gets_its_method_back(instrumented):
    """What is told of exceptions is heard on the class of the loop."""
    import afterword

    async def main():
        kind, app = type(asyncio.get_running_loop()), FastAPI()
        before = kind.__dict__.get("call_exception_handler")
        instrumented(app)
        async with alive(app):
            assert kind.__dict__.get("call_exception_handler") is not before
            afterword.uninstrument(app)
            assert kind.__dict__.get("call_exception_handler") is before

    asyncio.run(main())


def test_tasks_go_on_when_accounting_ends_in_the_middle(instrumented):
    """Switched off while a task of ours is in a step, and between its steps."""
    import afterword

    async def main():
        app, seen = FastAPI(), []

        async def work():
            await asyncio.sleep(0.01)
            afterword.uninstrument(app)
            await asyncio.sleep(0.01)
            seen.append("done")
            return 7

        @app.get("/")
        async def order():
            seen.append(asyncio.create_task(work()))

        instrumented(app)
        await call(app)
        assert await seen[0] == 7
        assert seen[1] == "done"

    asyncio.run(main())


def test_what_lives_long_does_not_keep_who_spawned_it(instrumented):
    """A task for ever, spawned in a task with a large argument; and a chain of tasks that spawn their successor."""

    class Body:
        """Something large."""

    async def main():
        app, kept, bodies = instrumented(FastAPI()), [], []

        async def parent(body):
            bodies.append(weakref.ref(body))
            kept.append(asyncio.create_task(forever()))

        async def tick(count):
            bodies.append(weakref.ref(asyncio.current_task().get_coro()))
            if count:
                kept[0] = asyncio.create_task(tick(count - 1))

        @app.get("/")
        async def order():
            await asyncio.create_task(parent(Body()))

        async with alive(app):
            await call(app)
            await turns()
            gc.collect()
            assert bodies.pop()() is None
            kept[0].cancel()
            await asyncio.create_task(tick(100))
            await turns(300)
            gc.collect()
            assert sum(ref() is not None for ref in bodies) <= 2

    asyncio.run(main())


def test_logging_is_the_same(instrumented):
    """A filter and a handler that raise: the same text on stderr, the same exception, no frame of ours."""

    def run(instrument):
        async def look():
            log, seen = logging.getLogger("shop.filters"), []

            def refuse(_):
                raise LookupError("filtered")

            async def work():
                log.addFilter(refuse)
                try:
                    log.error("not so well")
                except LookupError as error:
                    seen.append(told(error))
                finally:
                    log.removeFilter(refuse)
                handler = logging.StreamHandler(Broken())
                log.addHandler(handler)
                with contextlib.redirect_stderr(io.StringIO()) as text:
                    log.error("not at all")
                log.removeHandler(handler)
                seen.append(text.getvalue().partition("Call stack:")[2])
                try:
                    log.error("overwritten", extra={"message": "x"})  # noqa: G101 - the clash is the point
                except KeyError as error:
                    seen.append(told(error))

            await asyncio.create_task(work())
            return seen

        return observed(look, instrument)

    theirs = run(bare)
    ours = run(instrumented)
    assert ours[0] == theirs[0]
    assert ours[2] == theirs[2]
    assert ours[1].splitlines()[-4:] == theirs[1].splitlines()[-4:]
    assert "troubles" not in ours[1]


class Broken(io.StringIO):
    """A stream that takes nothing."""

    def write(self, _):
        """Refuse."""
        raise OSError("full")
