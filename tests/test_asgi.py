"""The ASGI call: which calls are settled, by whom, and that nothing else of the application changes."""

import asyncio
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import BackgroundTasks, FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.routing import Mount, Route

import afterword
from tests.helpers.asgi import call, receive, scope, sink

pytestmark = pytest.mark.framework
SUCCEEDED = {"scheduled": 1, "started": 1, "succeeded": 1}


async def send():
    """A task."""


async def archive():
    """Another one."""


async def order(tasks: BackgroundTasks):
    """An endpoint."""
    tasks.add_task(send)


def shop(**keywords):
    """An application with one endpoint."""
    app = FastAPI(**keywords)
    app.get("/")(order)
    return app


def test_a_starlette_application_without_fastapi_is_booked(instrumented, books):
    """Starlette alone is enough."""

    async def endpoint(_):
        return JSONResponse({}, background=BackgroundTask(send))

    TestClient(instrumented(Starlette(routes=[Route("/", endpoint)]))).get("/")
    assert books.of("send") == SUCCEEDED


def test_instrumenting_twice_counts_once(instrumented, books):
    """The one line may be there twice."""
    app = instrumented(instrumented(shop()))
    TestClient(app).get("/")
    assert books.of("send") == SUCCEEDED


@pytest.mark.parametrize("inner_first", [True, False])
def test_an_instrumented_application_in_another_counts_once(instrumented, books, inner_first):
    """Whichever was instrumented first, a mounted application's tasks are settled with the outer call."""
    inner, outer = shop(), Starlette()
    outer.router.routes.append(Mount("/inner", inner))
    for app in (inner, outer) if inner_first else (outer, inner):
        instrumented(app)
    TestClient(outer).get("/inner/")
    assert books.of("send") == SUCCEEDED
    TestClient(inner).get("/")
    assert books.of("send") == {"scheduled": 2, "started": 2, "succeeded": 2}


def test_an_instrumented_application_within_a_bare_one_is_booked(instrumented, books):
    """Only what was instrumented: the outer application's own tasks are not."""
    inner, outer = instrumented(shop()), FastAPI()
    outer.mount("/inner", inner)

    @outer.get("/own")
    async def own(tasks: BackgroundTasks):
        tasks.add_task(archive)

    client = TestClient(outer)
    client.get("/inner/")
    client.get("/own")
    assert (books.of("send"), books.of("archive")) == (SUCCEEDED, {})


def test_an_application_beside_an_instrumented_one_is_not_booked(instrumented, books):
    """It runs as it did, and has no series, not even when both use one function."""
    ours, theirs, ran = instrumented(shop()), shop(), list[int]()

    @theirs.get("/response")
    async def on_response():
        return JSONResponse({}, background=BackgroundTask(ran.append, 1))

    TestClient(ours).get("/")
    TestClient(theirs).get("/")
    TestClient(theirs).get("/response")
    assert ran == [1]
    assert books.of("send") == SUCCEEDED
    assert books.scrape("afterword_tasks_scheduled_total", task="builtins.list.append") is None


def test_an_application_that_calls_another_in_process_keeps_its_own_books(instrumented, books):
    """A request within a request is settled for itself, and the outer one goes on as before."""
    inner, outer = shop(), FastAPI()

    @outer.get("/")
    async def both(tasks: BackgroundTasks):
        tasks.add_task(archive)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(inner), base_url="http://inner") as client:
            await client.get("/")
        tasks.add_task(archive)

    TestClient(instrumented(outer)).get("/")
    assert (books.of("send"), books.of("archive")["succeeded"]) == ({}, 2)
    instrumented(inner)
    TestClient(outer).get("/")
    assert (books.of("send"), books.of("archive")["succeeded"]) == (SUCCEEDED, 4)


def test_a_call_repeated_with_the_same_scope_is_settled_again(instrumented, books):
    """A wrapper outside of the application may try again with the scope it has."""
    app, same = FastAPI(), scope()

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        tasks.add_task(send)
        raise LookupError

    async def twice():
        for _ in range(2):
            with pytest.raises(LookupError):
                await instrumented(app)(same, receive, sink)

    asyncio.run(twice())
    assert books.of("send") == {"scheduled": 2, "request_failed": 2}


class PassOn(BaseHTTPMiddleware):
    """Hands the response on, with a task of its own where it has none."""

    async def dispatch(self, request, call_next):
        """As in its documentation."""
        response = await call_next(request)
        response.background = BackgroundTask(archive)
        return response


class Replace(BaseHTTPMiddleware):
    """Answers something else."""

    async def dispatch(self, request, call_next):
        """The inner response is thrown away."""
        await call_next(request)
        return JSONResponse({"replaced": True})


def test_tasks_run_behind_a_base_http_middleware(instrumented, books):
    """Starlette's middleware of many traps: the endpoint's tasks and its own."""
    app = shop()
    app.add_middleware(PassOn)
    assert TestClient(instrumented(app)).get("/").status_code == 200
    assert books.of("send") == SUCCEEDED
    assert books.of("archive", kind="response") == SUCCEEDED


def test_a_middleware_that_replaces_the_response_keeps_the_books_balanced(instrumented, books):
    """Whether the thrown away response still runs its tasks is Starlette's business; it is booked either way."""
    app = shop()
    app.add_middleware(Replace)
    assert TestClient(instrumented(app)).get("/").json() == {"replaced": True}
    assert books.of("send") in (SUCCEEDED, {"scheduled": 1, "response_replaced": 1})


def test_tasks_injected_into_a_websocket_are_dropped_with_it(instrumented, books):
    """FastAPI injects BackgroundTasks into websockets and never runs them."""
    app = instrumented(FastAPI())

    @app.websocket("/")
    async def talk(socket: WebSocket, tasks: BackgroundTasks):
        await socket.accept()
        tasks.add_task(send)
        by_hand = BackgroundTasks()
        by_hand.add_task(archive)
        await by_hand()
        tasks.add_task(send)
        await socket.send_text(str(books.of("send")))
        with pytest.raises(WebSocketDisconnect):
            await socket.receive_text()

    with TestClient(app).websocket_connect("/") as socket:
        assert socket.receive_text() == str({"scheduled": 2.0, "waiting": 2.0})
    assert books.of("archive") == SUCCEEDED
    assert books.of("send") == {"scheduled": 2, "websocket": 2}


def test_a_websocket_that_fails_drops_by_its_failure(instrumented, books):
    """An exception in the handler."""
    app = instrumented(FastAPI())

    @app.websocket("/")
    async def talk(socket: WebSocket, tasks: BackgroundTasks):
        await socket.accept()
        tasks.add_task(send)
        raise LookupError

    with pytest.raises(LookupError), TestClient(app).websocket_connect("/"):
        pass
    assert books.of("send") == {"scheduled": 1, "request_failed": 1}


def test_a_lifespan_opens_the_ledger_and_marks_a_clean_end(instrumented, books, directory):
    """With a lifespan the process is on the books before its first request."""
    entered = []

    @asynccontextmanager
    async def lifespan(_):
        entered.append(books.scrape("afterword_processes"))
        yield {"state": 1}

    app = instrumented(shop(lifespan=lifespan))
    assert not list(directory.iterdir())
    with TestClient(app) as client:
        client.get("/")
    assert entered == [1]
    afterword.uninstrument(app)
    assert books.scrape("afterword_process_exits_total", cause="clean") == 1


def test_without_a_lifespan_the_first_task_opens_the_ledger(instrumented, books, directory):
    """``uvicorn --lifespan off`` loses nothing; an application that never schedules leaves no file."""
    app = instrumented(shop())

    @app.get("/idle")
    async def idle():
        return 1

    asyncio.run(call(app, "/idle"))
    assert not list(directory.iterdir())
    asyncio.run(call(app))
    assert books.of("send") == SUCCEEDED


def test_a_malformed_message_is_the_servers_to_refuse(instrumented):
    """What the server says to a broken application is what it says without us."""
    app, sent = Starlette(), []

    async def broken(_, __, send):
        await send({"type": "http.response.start"})

    async def server(message):
        sent.append(message)

    app.router.routes.append(Mount("/", broken))
    asyncio.run(instrumented(app)(scope("/x"), receive, server))
    assert sent == [{"type": "http.response.start"}]


def test_a_call_closed_from_outside_says_nothing(instrumented):
    """A server that is torn down closes its coroutines from another context."""
    app = instrumented(FastAPI())

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        tasks.add_task(send)
        await asyncio.sleep(60)

    async def begin():
        import contextvars

        request = app(scope(), receive, sink)
        contextvars.copy_context().run(request.send, None)
        request.close()

    asyncio.run(begin())


def test_an_uninstrumented_application_is_booked_no_more(instrumented, books):
    """While another one still is."""
    one, two = instrumented(shop()), instrumented(shop())
    TestClient(one).get("/")
    afterword.uninstrument(one)
    TestClient(one).get("/")
    assert books.of("send") == SUCCEEDED
    TestClient(two).get("/")
    assert books.of("send") == {"scheduled": 2, "started": 2, "succeeded": 2}
