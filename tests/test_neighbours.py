"""Other instrumentations of the same classes: both see everything, in every order, and leave nothing behind."""

import asyncio
import functools
import os
import sys

import fastapi.background
import pytest
import wrapt
from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.background import BackgroundTasks as StarletteTasks

import afterword
from tests.helpers.asgi import call
from tests.neighbours.played import Theatre, differences

pytestmark = pytest.mark.framework
CLASSES = (BackgroundTask, StarletteTasks, fastapi.background.BackgroundTasks, Starlette, FastAPI)
NATIVE = tuple(int(part) for part in fastapi.__version__.split(".")[:2]) >= (0, 142)
SUCCEEDED = {"scheduled": 1, "started": 1, "succeeded": 1}


def sync():
    """A task in the thread pool."""


async def on_loop():
    """A task on the loop."""


class Courier:
    """A callable object."""

    async def __call__(self):
        """Awaited."""


def boom():
    """One that fails."""
    raise LookupError("gone")


def found():
    """What the classes hold, by identity."""
    return [{name: id(value) for name, value in vars(cls).items()} for cls in CLASSES]


@pytest.fixture
def spans():
    """A tracer provider, and a function that tells the finished spans with their parents' names."""
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def tell():
        finished = exporter.get_finished_spans()
        names = {span.context.span_id: span.name for span in finished}
        told = sorted(
            (span.name, names.get(span.parent.span_id, "?") if span.parent else "", span.status.status_code.name)
            for span in finished
        )
        exporter.clear()
        return told

    yield provider, tell
    provider.shutdown()


def shop(**keywords):
    """Tasks of every shape, one after the other, and one that fails."""
    app = FastAPI(**keywords)

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        for task in (sync, on_loop, Courier(), functools.partial(sync)):
            tasks.add_task(task)

    @app.get("/response")
    async def on_response():
        return JSONResponse({}, background=BackgroundTask(sync))

    @app.get("/boom")
    async def failing(tasks: BackgroundTasks):
        tasks.add_task(boom)
        tasks.add_task(on_loop)

    return app


def visit(app):
    """One request to each endpoint."""
    client = TestClient(app, raise_server_exceptions=False)
    for path in ("/", "/response", "/boom"):
        assert client.get(path).status_code == 200


def booked(books):
    """What our side of the story must be after one `visit`."""
    assert books.of("sync") == {"scheduled": 3, "started": 3, "succeeded": 3}
    assert books.of("Courier") == SUCCEEDED
    assert books.of("on_loop") == {"scheduled": 2, "started": 1, "succeeded": 1, "sibling_failed": 1}
    assert books.of("boom") == {"scheduled": 1, "started": 1, "failed": 1}


@pytest.mark.parametrize("theirs_first", [True, False])
def test_opentelemetry_makes_the_same_spans_with_and_without_us(instrumented, books, spans, theirs_first):
    """Same names, same parents, same statuses, in both orders."""
    provider, tell = spans
    bare = shop()
    FastAPIInstrumentor.instrument_app(bare, tracer_provider=provider)
    visit(bare)
    FastAPIInstrumentor.uninstrument_app(bare)
    expected = tell()
    assert [name for name, _, _ in expected].count("BackgroundTask sync") == 2

    app = shop()
    steps = [lambda: FastAPIInstrumentor.instrument_app(app, tracer_provider=provider), lambda: instrumented(app)]
    for step in steps if theirs_first else reversed(steps):
        step()
    try:
        visit(app)
    finally:
        FastAPIInstrumentor.uninstrument_app(app)
    assert tell() == expected
    booked(books)


@pytest.mark.skipif(not NATIVE, reason="FastAPI has had telemetry of its own since 0.142")
def test_fastapi_makes_the_same_spans_with_and_without_us(instrumented, books, spans):
    """FastAPI's own telemetry opens a span for each task in the container we watch. With ``trace``: test_traces."""
    provider, tell = spans
    visit(shop(telemetry={"tracer_provider": provider, "metrics": False, "logs": False}))
    expected = tell()
    assert [name for name, _, _ in expected].count("fastapi.background_task") >= 4
    telemetry = {"tracer_provider": provider, "metrics": False, "logs": False}
    visit(instrumented(shop(telemetry=telemetry), trace="off"))
    assert tell() == expected
    booked(books)


def test_opentelemetry_switched_off_does_not_switch_us_off(instrumented, books, spans):
    """Their way back restores what they found, which must not be our hooks."""
    provider, tell = spans
    app = instrumented(shop())
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)
    FastAPIInstrumentor.uninstrument_app(app)
    visit(app)
    booked(books)
    assert tell() == []


@pytest.mark.parametrize("order", ["OAoa", "OAao", "AOoa", "AOao", "Aa", "AaAa"])
def test_uninstrumenting_restores_the_identical_attributes(instrumented, spans, order):
    """In every order with OpenTelemetry (O, o) and us (A, a) every class ends as it began."""
    app, before = shop(), found()
    step = {
        "O": lambda: FastAPIInstrumentor.instrument_app(app, tracer_provider=spans[0]),
        "o": lambda: FastAPIInstrumentor.uninstrument_app(app),
        "A": lambda: instrumented(app),
        "a": lambda: afterword.uninstrument(app),
    }
    for letter in order:
        step[letter]()
    for cls, now, then in zip(CLASSES, found(), before, strict=True):
        assert now == then, cls


@pytest.mark.parametrize("otel", ["", "BackgroundTask sync BackgroundTask on_loop "])
def test_what_was_loaded_before_us_still_sees_every_task(children, directory, otel):
    """Nothing of Starlette's may be taken for pristine only because it was there when we were imported."""
    program = children.folder / "first.py"
    program.write_text(_THEIRS_FIRST)
    env = {"PYTHONPATH": os.pathsep.join(sys.path), "AFTERWORD_DIR": str(directory)}
    child = children.python(str(program), otel, **env)
    assert child.wait() == 0, child.output
    assert child.output == f"{otel}wrapped sync wrapped on_loop\n"


_THEIRS_FIRST = """
import asyncio, functools, sys
from fastapi import BackgroundTasks, FastAPI
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from starlette.background import BackgroundTask

told = []
original = BackgroundTask.__call__

@functools.wraps(original)
async def wrapped(self):
    told.append(f"wrapped {self.func.__name__}")
    await original(self)

BackgroundTask.__call__ = wrapped  # looks like Starlette's own to whoever asks for its name
exporter, provider, app = InMemorySpanExporter(), TracerProvider(), FastAPI()
provider.add_span_processor(SimpleSpanProcessor(exporter))
if sys.argv[1]:
    FastAPIInstrumentor.instrument_app(app, tracer_provider=provider)
import afterword
afterword.instrument(app)

def sync(): pass
async def on_loop(): pass

@app.get("/")
async def order(tasks: BackgroundTasks):
    tasks.add_task(sync)
    tasks.add_task(on_loop)

from tests.helpers.asgi import call
asyncio.run(call(app))
print(*[s.name for s in exporter.get_finished_spans() if s.name.startswith("Back")], *told)
"""


def seeing(seen):
    """A wrapper in the style of the wrapt-based libraries."""

    def wrapper(wrapped, _, args, kwargs):
        seen.append(getattr(args[0], "__name__", "?"))
        return wrapped(*args, **kwargs)

    return wrapper


WRAPPED = [(StarletteTasks, "add_task"), (BackgroundTask, "__init__")]


@pytest.mark.parametrize(("owner", "name"), WRAPPED)
def test_a_wrapper_put_on_after_us_stays_and_we_stand_aside(instrumented, books, owner, name):
    """Uninstrumenting leaves what is theirs; instrumenting again neither recurses nor counts twice."""
    app, seen = instrumented(shop()), list[str]()
    before = vars(owner)[name]
    wrapt.wrap_function_wrapper(owner, name, seeing(seen))
    theirs = vars(owner)[name]
    try:
        visit(app)
        booked(books)
        afterword.uninstrument(app)
        assert vars(owner)[name] is theirs
        visit(app)
        booked(books)
        instrumented(app)
        seen.clear()
        visit(app)
        assert books.of("Courier") == {"scheduled": 2, "started": 2, "succeeded": 2}
        assert books.of("sync") == {"scheduled": 6, "started": 6, "succeeded": 6}
        assert books.of("boom") == {"scheduled": 2, "started": 2, "failed": 2}
        assert seen
        afterword.uninstrument(app)
    finally:
        setattr(owner, name, before)
        setattr(owner, name, getattr(before, "__wrapped__", before))


@pytest.mark.parametrize(("owner", "name"), WRAPPED)
def test_a_wrapper_put_on_before_us_sees_what_it_saw(instrumented, books, owner, name):
    """A library that hooked first keeps every call, and gets its class back as it left it."""
    seen, bare = list[str](), vars(owner)[name]
    wrapt.wrap_function_wrapper(owner, name, seeing(seen))
    theirs = vars(owner)[name]
    try:
        visit(shop())
        expected, seen[:] = list(seen), []
        app = instrumented(shop())
        visit(app)
        assert seen == expected
        booked(books)
        afterword.uninstrument(app)
        assert vars(owner)[name] is theirs
    finally:
        setattr(owner, name, bare)


async def again(self, original=BackgroundTask.__call__):
    """A neighbour that tries a task a second time."""
    for attempt in range(2):
        try:
            return await original(self)
        except LookupError:
            if attempt:
                raise
    return None


async def skipped(_):
    """A neighbour that runs no task at all."""


@pytest.mark.parametrize("task", [boom, on_loop])
def test_a_neighbour_that_calls_twice_or_never_leaves_the_books_balanced(instrumented, books, monkeypatch, task):
    """A retried sync task is another run; one that is never called is dropped."""
    app = instrumented(FastAPI())

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        tasks.add_task(task)

    monkeypatch.setattr(BackgroundTask, "__call__", again)
    TestClient(app, raise_server_exceptions=False).get("/")
    assert books.of("boom") == ({"scheduled": 2, "started": 2, "failed": 2} if task is boom else {})
    monkeypatch.setattr(BackgroundTask, "__call__", skipped)
    asyncio.run(call(app))
    assert books.of("boom").get("discarded") == (1 if task is boom else None)
    assert books.balance() == (0, 0)


@pytest.fixture(scope="module")
def theatre(tmp_path_factory):
    """Plays tests.neighbours with this interpreter."""
    made = Theatre(sys.executable, tmp_path_factory.mktemp("plays"))
    yield made
    made.end()


PLAYS = [
    (),
    ("--factory",),
    ("--neighbour", "opentelemetry-fastapi", "--loaded", "early"),
    ("--neighbour", "opentelemetry-fastapi", "--loaded", "late"),
]


@pytest.mark.parametrize("options", PLAYS, ids=" ".join)
def test_a_program_sees_the_same_with_and_without_us(theatre, directory, books, options):
    """Every way to hand over work: order, results, exceptions, names, contexts, what a task factory is given."""
    bare, watched = theatre.start(*options), theatre.start(*options, "--afterword", "present", directory=directory)
    assert differences(theatre.seen(bare), theatre.seen(watched)) == []
    assert theatre.seen(watched)["afterword"]
    assert books.of("on_loop")["started"] > 0
    assert books.balance() == (0, 0)


def test_a_program_sees_the_same_once_we_are_gone(theatre, directory):
    """Uninstrumented, we leave nothing that could be noticed, also where another library came after us."""
    options = ("--neighbour", "opentelemetry-fastapi", "--loaded", "late")
    bare, gone = theatre.start(*options), theatre.start(*options, "--afterword", "gone", directory=directory)
    assert differences(theatre.seen(bare), theatre.seen(gone)) == []
    assert theatre.seen(gone)["afterword"]
