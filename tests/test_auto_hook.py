"""The hook of `afterword run`: which applications are instrumented in their first call, and which are not."""

import asyncio
import contextlib

import pytest
from fastapi import BackgroundTasks, FastAPI
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

import afterword
from afterword.auto.hook import ADOPTION
from afterword.hooks import asgi
from afterword.hooks.process import PROCESS
from tests.helpers.asgi import call, receive, scope, sink

pytestmark = pytest.mark.framework


def task():
    """What is owed."""


def shop(**keywords):
    """An application with one task."""
    app = FastAPI(**keywords)

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        tasks.add_task(task)

    return app


def once(times=1):
    """What the books say of a task that was run so often."""
    return {"scheduled": times, "started": times, "succeeded": times}


@pytest.fixture
def adopting(monkeypatch, directory):
    """The hook, switched on in this process."""
    monkeypatch.setenv("AFTERWORD_DIR", str(directory))
    before = Starlette.__dict__["__call__"]
    ADOPTION.on()
    yield
    ADOPTION.off()
    assert Starlette.__dict__["__call__"] is before


@pytest.mark.usefixtures("adopting")
def test_without_a_lifespan_the_first_request_is_accounted_for(books):
    """The call that an application is adopted in is settled like any other."""
    app = shop()

    @app.get("/failing")
    async def failing(tasks: BackgroundTasks):
        tasks.add_task(task)
        raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(call(app, "/failing"))
    assert books.of("task") == {"scheduled": 1, "request_failed": 1}


@pytest.mark.usefixtures("adopting")
def test_a_mounted_application_stays_part_of_the_outer_one(books):
    """It is not instrumented itself, whatever is called first, and its tasks are the outer one's."""
    inner = shop(title="inner")
    outer = FastAPI(title="outer")
    outer.mount("/inner", inner)
    with TestClient(outer) as client:
        client.get("/inner/")
    assert asgi.MARK in outer.__dict__
    assert asgi.MARK not in inner.__dict__
    assert books.of("task", service="outer") == once()


@pytest.mark.usefixtures("adopting")
def test_every_outermost_application_is_adopted(books):
    """Also what the second one does in its lifespan, which was none of ours a moment before."""

    async def note():
        """What is owed from the start."""

    @contextlib.asynccontextmanager
    async def lifespan(_):
        tasks = BackgroundTasks()
        tasks.add_task(note)
        await tasks()
        yield

    for title in ("first", "second"):
        with TestClient(shop(title=title, lifespan=lifespan)) as client:
            client.get("/")
    assert books.of("task", service="first") == once(2)
    assert books.of("note") == once(2)


@pytest.mark.usefixtures("adopting")
def test_a_mounted_application_is_adopted_where_nobody_else_is_around_it(books):
    """A plain ASGI callable outside of it is no application that could be instrumented instead."""
    inner = shop(title="inner")

    async def plain(scope, receive, send):
        await inner(scope, receive, send)

    TestClient(plain).get("/")
    assert books.of("task", service="inner") == once()


@pytest.mark.usefixtures("adopting")
def test_one_behind_another_on_the_same_scope_is_adopted_too(books):
    """A cascade: the first one has answered 404, the second is asked with what the first one left in the scope."""
    first, second = Starlette(), shop(title="second")

    async def cascade(scope, receive, send):
        if scope["type"] == "lifespan":
            return
        await first(scope, receive, sink)
        await second(scope, receive, send)

    assert TestClient(cascade).get("/").status_code == 200
    assert asgi.MARK in first.__dict__
    assert books.of("task") == once()


@pytest.mark.usefixtures("adopting")
def test_below_one_that_was_uninstrumented_nothing_is_adopted(books):
    """What is mounted in it was meant as well."""
    inner = shop()
    outer = Starlette(routes=[Mount("/inner", inner)])
    afterword.uninstrument(outer)
    assert TestClient(outer).get("/inner/").status_code == 200
    assert books.of("task") == {}
    assert asgi.MARK not in inner.__dict__


@pytest.mark.usefixtures("adopting")
def test_one_that_is_instrumented_again_by_hand_is_accounted_for_again(instrumented, books):
    """The last word of its own code counts."""
    app = shop()
    for times in (1, 2):
        afterword.uninstrument(app)
        TestClient(app).get("/")
        instrumented(app)
        TestClient(app).get("/")
        assert books.of("task") == once(times)


def test_somebody_elses_wrapper_sees_each_call_once(monkeypatch, directory, books):
    """The first call is not sent round again: a wrapper above our hook is entered once for it."""
    monkeypatch.setenv("AFTERWORD_DIR", str(directory))
    before, seen = Starlette.__dict__["__call__"], []
    ADOPTION.on()
    ours = Starlette.__dict__["__call__"]

    async def theirs(self, scope, receive, send):
        seen.append(scope["path"])
        await ours(self, scope, receive, send)

    Starlette.__call__ = theirs  # type: ignore[method-assign]
    try:
        app = shop()
        for _ in range(2):
            asyncio.run(call(app))
        assert seen == ["/", "/"]
        assert books.of("task") == once(2)
        ADOPTION.off()
        assert Starlette.__dict__["__call__"] is theirs
        asyncio.run(call(app))
        asyncio.run(call(shop()))
        assert books.of("task") == once(2)
    finally:
        ADOPTION.off()
        Starlette.__call__ = before  # type: ignore[method-assign]


@pytest.mark.usefixtures("adopting")
def test_metrics_by_a_variable_are_answered_at_the_outermost_application(monkeypatch):
    """Settings come from the environment, and a mounted application does not answer a second time."""
    monkeypatch.setenv("AFTERWORD_METRICS", "/books")
    outer = FastAPI()
    outer.mount("/inner", shop())
    with TestClient(outer) as client:
        client.get("/inner/")
        assert "afterword_tasks_scheduled_total" in client.get("/books").text
        assert client.get("/inner/books").status_code == 404


@pytest.mark.usefixtures("adopting")
def test_other_kinds_of_calls_pass():
    """An extension of ASGI that we know nothing about reaches the application as it is."""
    app = Starlette(routes=[Route("/", lambda _: PlainTextResponse(""))])
    with pytest.raises(AssertionError):  # Starlette's own router refuses it
        asyncio.run(app(scope("/", "carrier"), receive, sink))
    assert asgi.MARK not in app.__dict__


@pytest.mark.usefixtures("adopting")
def test_what_cannot_be_accounted_for_is_told_once_and_runs(monkeypatch, capsys):
    """Our own failure in the first call is none of the application's."""
    monkeypatch.setattr(PROCESS, "raising", False)

    class Odd(FastAPI):
        __hash__ = None  # type: ignore[assignment]

    app = Odd()
    app.get("/")(lambda: "served")
    client = TestClient(app)
    assert [client.get("/").json() for _ in range(3)] == ["served"] * 3
    assert capsys.readouterr().err.count("Traceback") == 1


def test_the_instrumentor_takes_back_what_it_did(monkeypatch, directory, books):
    """As OpenTelemetry's own do: what was adopted is uninstrumented, and can be adopted again."""
    from afterword.auto.otel import AfterwordInstrumentor

    monkeypatch.setenv("AFTERWORD_DIR", str(directory))
    before, app, instrumentor = Starlette.__dict__["__call__"], shop(), AfterwordInstrumentor()
    for times in (1, 2):
        instrumentor.instrument()
        TestClient(app).get("/")
        instrumentor.uninstrument()
        TestClient(app).get("/")
        assert Starlette.__dict__["__call__"] is before
        assert books.of("task") == {"scheduled": times, "started": times, "succeeded": times}
