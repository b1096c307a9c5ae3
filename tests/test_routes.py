"""Routes: which responses scheduled something, under which template, and which missed what is expected of them."""

import asyncio
import functools
import gc
import os
import weakref

import pytest
from fastapi import APIRouter, BackgroundTasks, Depends, FastAPI, HTTPException, WebSocket
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Host, Mount, Route
from starlette.staticfiles import StaticFiles

import afterword
from afterword.expectations import expects
from afterword.hooks.process import PROCESS
from tests.helpers.asgi import call, receive, scope, sink

pytestmark = [
    pytest.mark.framework,
    pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning"),
]
RESPONSES = "afterword_route_responses_total"
SCHEDULED = "afterword_route_scheduled_total"
MISSED = "afterword_route_missed_total"


async def send():
    """A task."""


def archive():
    """Another one."""


def notify():
    """One that nobody schedules."""


async def order(tasks: BackgroundTasks, skip: bool = False):
    """An endpoint that schedules, unless it is told not to."""
    if not skip:
        tasks.add_task(send)


async def answer(request):  # noqa: ARG001 - Starlette passes it
    """The same without FastAPI."""
    return Response(background=BackgroundTask(send))


def responses(books):
    """The responses of each route that is told, with and without a task: ``{"POST /orders": (2, 1)}``."""
    found = {}
    for sample in books.samples():
        if sample.name == RESPONSES:
            row = found.setdefault(f"{sample.labels['method']} {sample.labels['route']}", [0, 0])
            row[sample.labels["scheduled"] == "false"] += sample.value
    return {route: tuple(row) for route, row in found.items()}


def tasks_of(books, route="/"):
    """What ``route`` scheduled and missed, by the last part of the tasks' names: ``{"send": (1, 0)}``."""
    found = {}
    for sample in books.samples():
        if sample.name in (SCHEDULED, MISSED) and sample.labels["route"] == route:
            found.setdefault(sample.labels["task"].rpartition(".")[2], [0, 0])[sample.name == MISSED] += sample.value
    return {task: tuple(row) for task, row in found.items()}


# -- what is counted


def test_each_successful_response_counts_with_or_without_a_task(instrumented, books):
    """The two sides of a route, and the task that was scheduled."""
    app = FastAPI()
    app.post("/orders/{id}")(order)
    client = TestClient(instrumented(app))
    for path in ("/orders/1", "/orders/2?skip=1", "/orders/3", "/orders/4?skip=1", "/orders/5"):
        client.post(path)
    assert responses(books) == {"POST /orders/{id}": (3, 2)}
    assert tasks_of(books, "/orders/{id}") == {"send": (3, 0)}


def test_a_route_is_told_once_it_has_scheduled_and_then_with_all_its_responses(instrumented, books):
    """What never owes anything has no series; what did not until now has its past."""
    app = FastAPI()
    app.get("/")(order)
    with TestClient(instrumented(app)) as client:
        client.get("/?skip=1")
        client.get("/?skip=1")
        assert responses(books) == {}
        client.get("/")
        assert responses(books) == {"GET /": (1, 2)}


def test_without_a_lifespan_a_route_that_misses_what_it_declares_opens_the_ledger(instrumented, books, directory):
    """One that owes nothing leaves no file."""

    @afterword.expects(send)
    async def forgets():
        """It should schedule."""

    app = FastAPI()
    app.get("/")(order)
    app.get("/forgets")(forgets)
    client = TestClient(instrumented(app))
    client.get("/?skip=1")
    assert not list(directory.iterdir())
    client.get("/forgets")
    assert tasks_of(books, "/forgets") == {"send": (0, 1)}


def test_a_task_counts_once_for_a_response_however_often_it_is_scheduled(instrumented, books):
    """Responses are counted, not runs."""
    app = FastAPI()

    @app.get("/")
    async def many(tasks: BackgroundTasks):
        for task in (send, archive, send, archive):
            tasks.add_task(task)

    TestClient(instrumented(app)).get("/")
    assert responses(books) == {"GET /": (1, 0)}
    assert tasks_of(books) == {"send": (1, 0), "archive": (1, 0)}


def test_what_a_dependency_or_a_response_schedules_is_the_routes(instrumented, books):
    """It does not matter where in the request it was handed over."""
    app = FastAPI()

    async def depended(tasks: BackgroundTasks):
        tasks.add_task(send)

    @app.get("/depends", dependencies=[Depends(depended)])
    async def depends():
        pass

    @app.get("/response")
    async def response():
        return PlainTextResponse(background=BackgroundTask(archive))

    client = TestClient(instrumented(app))
    client.get("/depends")
    client.get("/response")
    assert responses(books) == {"GET /depends": (1, 0), "GET /response": (1, 0)}
    assert tasks_of(books, "/response") == {"archive": (1, 0)}


@pytest.mark.parametrize(
    ("status", "counted"), [(200, 1), (204, 1), (304, 1), (307, 1), (400, 0), (404, 0), (409, 0), (500, 0), (503, 0)]
)
def test_only_successful_responses_count(instrumented, books, status, counted):
    """A request that was refused owes nothing."""
    app = FastAPI()

    @app.get("/")
    async def status_of():
        return Response(status_code=status, background=BackgroundTask(send))

    client = TestClient(instrumented(app), follow_redirects=False)
    client.get("/")
    assert responses(books) == ({"GET /": (1, 0)} if counted else {})


def test_an_exception_is_no_success_whoever_answers_it(instrumented, books):
    """Raised as an HTTP error, handled, or not handled at all."""
    app = FastAPI(exception_handlers={LookupError: lambda *_: Response(status_code=422)})  # type: ignore[dict-item]  # a plain function is allowed

    @app.get("/{kind}")
    @expects(send)
    async def failing(kind: str, tasks: BackgroundTasks):
        tasks.add_task(send)
        if kind != "none":
            raise {"http": HTTPException(409), "handled": LookupError(), "unhandled": ValueError()}[kind]

    client = TestClient(instrumented(app), raise_server_exceptions=False)
    assert [client.get(f"/{kind}").status_code for kind in ("http", "handled", "unhandled")] == [409, 422, 500]
    assert responses(books) == {}
    client.get("/none")
    assert responses(books) == {"GET /{kind}": (1, 0)}


def test_what_has_no_route_is_not_counted(instrumented, books, tmp_path):
    """Files, applications of their own, what nothing answers, and the books themselves."""
    (tmp_path / "file.txt").write_text("x")

    async def raw(scope, receive, send):
        await Response(background=BackgroundTask(archive))(scope, receive, send)

    app = FastAPI()
    app.get("/")(order)
    app.mount("/files", StaticFiles(directory=tmp_path))
    app.mount("/raw", raw)
    client = TestClient(instrumented(app, metrics="/afterword"))
    for path in ("/", "/files/file.txt", "/raw/any", "/afterword", "/nothing"):
        client.get(path)
    assert responses(books) == {"GET /": (1, 0)}


def test_a_websocket_is_no_response(instrumented, books):
    """It may schedule for hours."""
    app = FastAPI()
    app.get("/")(order)

    @app.websocket("/live")
    async def live(socket: WebSocket):
        await socket.accept()
        await BackgroundTask(send)()
        await socket.send_text("sent")
        await socket.close()

    client = TestClient(instrumented(app))
    with client.websocket_connect("/live") as socket:
        assert socket.receive_text() == "sent"
    client.get("/")
    assert responses(books) == {"GET /": (1, 0)}


# -- methods


def test_each_method_is_counted_by_itself(instrumented, books):
    """HEAD runs what GET runs, and is another row; what nobody knows is ``_OTHER``."""
    app = Starlette(routes=[Route("/", answer, methods=["GET", "POST", "PURGE", "OPTIONS"])])
    client = TestClient(instrumented(app))
    for method in ("GET", "HEAD", "POST", "POST", "PURGE", "OPTIONS"):
        assert client.request(method, "/").status_code == 200
    assert responses(books) == {
        "GET /": (1, 0), "HEAD /": (1, 0), "POST /": (2, 0), "_OTHER /": (1, 0), "OPTIONS /": (1, 0),
    }  # fmt: skip


def test_a_method_that_middleware_overrides_is_the_one_that_was_routed(instrumented, books):
    """A form says POST and means DELETE."""

    class Override:
        """As many frameworks have one."""

        def __init__(self, app):
            self.app = app

        async def __call__(self, scope, receive, send):
            """Only in the scope that everybody sees."""
            if scope["type"] == "http":
                scope["method"] = "DELETE"
            await self.app(scope, receive, send)

    app = FastAPI()
    app.delete("/orders/{id}")(order)
    app.add_middleware(Override)
    assert TestClient(instrumented(app)).post("/orders/1").status_code == 200
    assert responses(books) == {"DELETE /orders/{id}": (1, 0)}


# -- templates


def test_an_included_router_answers_under_its_prefix(instrumented, books):
    """Also one that is included in another, and one that is included twice."""
    inner, outer, app = APIRouter(prefix="/users"), APIRouter(prefix="/shop"), FastAPI()
    inner.post("/{id}")(order)
    outer.include_router(inner)
    outer.get("")(order)
    outer.add_route("/plain", answer)  # which takes no notice of its router's own prefix
    app.include_router(outer, prefix="/v1")
    app.include_router(outer, prefix="/{tenant}")
    client = TestClient(instrumented(app))
    for path in ("/v1/shop/users/7", "/v1/shop/users/8", "/acme/shop/users/7"):
        assert client.post(path).status_code == 200
    for path in ("/v1/shop", "/v1/plain", "/acme/plain"):
        assert client.get(path).status_code == 200
    assert responses(books) == {
        "POST /v1/shop/users/{id}": (2, 0), "POST /{tenant}/shop/users/{id}": (1, 0),
        "GET /v1/shop": (1, 0), "GET /v1/plain": (1, 0), "GET /{tenant}/plain": (1, 0),
    }  # fmt: skip


def test_an_endpoint_at_several_routes_counts_where_it_answered(instrumented, books):
    """Stacked decorators are common; without FastAPI not even the route is told."""
    app, plain = FastAPI(), Starlette(routes=[Route("/c/{name}", answer), Route("/d/{number:int}", answer)])
    app.get("/a")(app.get("/b")(order))
    app.mount("/plain", plain)
    client = TestClient(instrumented(app))
    for path in ("/a", "/b", "/b", "/plain/c/x", "/plain/d/1", "/plain/d/2"):
        assert client.get(path).status_code == 200
    assert responses(books) == {
        "GET /a": (1, 0), "GET /b": (2, 0), "GET /plain/c/{name}": (1, 0), "GET /plain/d/{number}": (2, 0),
    }  # fmt: skip


def sub_application(framework):
    """Something to mount."""
    if framework is Starlette:
        return Starlette(routes=[Route("/users/{id}", answer, methods=["POST"])])
    app = FastAPI()
    app.post("/users/{id}")(order)
    return app


@pytest.mark.parametrize("inner", [FastAPI, Starlette])
@pytest.mark.parametrize("outer", [FastAPI, Starlette])
def test_a_mounted_application_answers_under_the_mounts(instrumented, books, outer, inner):
    """Parameters stay parameters, and the same application at two places is told apart."""
    app, middle, sub = outer(), outer(), sub_application(inner)
    middle.mount("/api", sub)
    app.mount("/v1", middle)
    app.mount("/tenants/{tenant:int}", middle)
    app.mount("/alone", sub_application(inner))
    client = TestClient(instrumented(app))
    for path in ("/v1/api/users/1", "/tenants/4/api/users/1", "/tenants/5/api/users/2", "/alone/users/9"):
        assert client.post(path).status_code == 200
    assert responses(books) == {
        "POST /v1/api/users/{id}": (1, 0), "POST /tenants/{tenant}/api/users/{id}": (2, 0),
        "POST /alone/users/{id}": (1, 0),
    }  # fmt: skip


def test_a_mount_and_its_route_may_name_a_parameter_alike(instrumented, books):
    """Starlette itself takes the inner one."""
    app, sub = FastAPI(), sub_application(FastAPI)
    app.mount("/a/{id}", sub)
    app.mount("/b/{id}", sub)
    client = TestClient(instrumented(app))
    client.post("/a/1/users/2")
    client.post("/b/1/users/2")
    assert responses(books) == {"POST /a/{id}/users/{id}": (1, 0), "POST /b/{id}/users/{id}": (1, 0)}


def test_mounts_within_a_router_that_is_included_keep_its_prefix(instrumented, books):
    """A router may hold more than routes."""
    router, app = APIRouter(prefix="/api"), FastAPI()
    router.routes.append(Mount("/sub", sub_application(Starlette)))
    app.include_router(router, prefix="/v2")
    response = TestClient(instrumented(app)).post("/v2/api/sub/users/1")
    assert responses(books) == ({"POST /v2/api/sub/users/{id}": (1, 0)} if response.status_code == 200 else {})


def wrapped_in_object(app):
    """Middleware as most is written."""
    return CORSMiddleware(app, allow_origins=["*"])


def wrapped_in_function(app):
    """Middleware that shows nothing of what it holds."""

    async def inner(scope, receive, send):
        await app(scope, receive, send)

    return inner


@pytest.mark.parametrize("wrapped", [wrapped_in_object, wrapped_in_function])
def test_middleware_around_a_mounted_application_hides_nothing(instrumented, books, wrapped, tmp_path):
    """Not its routes, nor the prefixes of what it includes."""
    router, sub, app = APIRouter(prefix="/users"), FastAPI(), FastAPI()
    router.post("/{id}")(order)
    sub.include_router(router, prefix="/api")
    app.mount("/files", StaticFiles(directory=tmp_path))
    app.mount("/v1", wrapped(sub))
    assert TestClient(instrumented(app)).post("/v1/api/users/1").status_code == 200
    assert responses(books) == {"POST /v1/api/users/{id}": (1, 0)}


def test_hosts_are_told_apart(instrumented, books):
    """Different applications, or one at two hosts; the port is nobody's business."""
    shared = sub_application(FastAPI)
    app = Starlette(
        routes=[
            Host("api.example.org", sub_application(FastAPI)),
            Host("old.example.org", shared),
            Host("{shop}.example.org", Starlette(routes=[Mount("/v1", shared)])),
            Route("/users/{id}", answer, methods=["POST"]),
        ]
    )
    client = TestClient(instrumented(app))
    asked = {"api": "", "old": "", "old:8080": "", "green": "/v1", "blue": "/v1", "": ""}
    for name, prefix in asked.items():
        shop, _, port = name.partition(":")
        host = f"{shop}.example.org{':' * bool(port)}{port}" if name else "elsewhere"
        assert client.post(f"{prefix}/users/1", headers={"host": host}).status_code == 200
    assert responses(books) == {
        "POST api.example.org/users/{id}": (1, 0), "POST old.example.org/users/{id}": (2, 0),
        "POST {shop}.example.org/v1/users/{id}": (2, 0), "POST /users/{id}": (1, 0),
    }  # fmt: skip


def test_an_endpoint_of_two_applications_counts_in_each(instrumented, books):
    """The same function, at another path."""
    first, second = Starlette(routes=[Route("/first", answer)]), Starlette(routes=[Route("/second", answer)])
    clients = {"/first": TestClient(instrumented(first)), "/second": TestClient(instrumented(second))}
    for path in ("/first", "/second", "/first"):
        assert clients[path].get(path).status_code == 200
    assert responses(books) == {"GET /first": (2, 0), "GET /second": (1, 0)}


def test_the_prefix_of_a_proxy_is_no_part_of_the_template(instrumented, books):
    """It is where the service is deployed, not what it is."""
    app, sub = FastAPI(), sub_application(FastAPI)
    app.post("/users")(order)
    app.mount("/v1", sub)
    app.mount("/v2", sub)
    client = TestClient(instrumented(app), root_path="/behind")
    for path in ("/behind/users", "/behind/v2/users/1"):
        assert client.post(path).status_code == 200
    assert responses(books) == {"POST /users": (1, 0), "POST /v2/users/{id}": (1, 0)}


def test_an_instrumented_application_within_a_bare_one_counts_once(instrumented, books):
    """Also when both are instrumented: the outer call is the response."""
    inner, outer = instrumented(sub_application(FastAPI)), FastAPI()
    outer.mount("/inner", inner)
    TestClient(outer).post("/inner/users/1")
    assert responses(books) == {"POST /inner/users/{id}": (1, 0)}
    TestClient(instrumented(outer)).post("/inner/users/1")
    assert responses(books) == {"POST /inner/users/{id}": (2, 0)}


# -- what is expected


def expecting(*expected):
    """An application whose one endpoint schedules `send` and expects what is given."""
    app = FastAPI()

    @app.get("/")
    @expects(*expected)
    async def endpoint(tasks: BackgroundTasks, skip: bool = False):
        await order(tasks, skip)

    return app


def test_an_expectation_is_told_from_the_first_response_on(instrumented, books):
    """Kept, missed, and kept in part; a task that nobody ever scheduled has its series too."""
    client = TestClient(instrumented(expecting(send, archive)))
    client.get("/")
    assert tasks_of(books) == {"send": (1, 0), "archive": (0, 1)}
    client.get("/?skip=1")
    assert tasks_of(books) == {"send": (1, 1), "archive": (0, 2)}
    assert responses(books) == {"GET /": (1, 1)}
    assert books.of("archive") == {}


def test_a_first_response_that_misses_everything_is_told(instrumented, books):
    """A service may be broken from its first deployment on."""
    TestClient(instrumented(expecting(notify))).get("/?skip=1")
    assert responses(books) == {"GET /": (0, 1)}
    assert tasks_of(books) == {"notify": (0, 1)}


def test_an_expectation_that_is_kept_has_missed_nothing(instrumented, books):
    """The series is there, at 0."""
    TestClient(instrumented(expecting(send))).get("/")
    assert tasks_of(books) == {"send": (1, 0)}
    assert books.scrape(MISSED, task=f"{__name__}.send") == 0


@pytest.mark.parametrize("above", [True, False])
@pytest.mark.parametrize("include", [True, False])
def test_the_decorator_may_stand_above_or_below_the_route(instrumented, books, above, include):
    """The function is the same before and after."""
    app, router = FastAPI(), APIRouter()

    async def endpoint():
        pass

    route = (router if include else app).get("/")
    assert (expects(send)(route(endpoint)) if above else route(expects(send)(endpoint))) is endpoint
    if include:
        app.include_router(router)
    TestClient(instrumented(app)).get("/")
    assert tasks_of(books) == {"send": (0, 1)}


@afterword.task(name="mail.send", deadline=7)
def declared():
    """A task with a name of its own."""


@afterword.task(deadline=8)
def due():
    """A task with the name it has."""


def test_a_task_is_expected_as_function_or_by_name(instrumented, books, scrape):
    """The name is the one its series carry; its declaration holds whoever is first to name it."""
    name = f"{__name__}.due"
    unfit = functools.partial(notify, 1)  # type: ignore[call-arg]  # it runs for nobody
    TestClient(instrumented(expecting(declared, name, unfit))).get("/?skip=1")
    assert set(tasks_of(books)) == {"send", "due", "notify"}
    assert scrape(MISSED, task="mail.send") == scrape(MISSED, task=name) == 1
    assert scrape("afterword_task_deadline_seconds", task="mail.send") == 7
    assert scrape("afterword_task_deadline_seconds", task=name) == 8


def test_a_task_of_another_kind_keeps_the_expectation(instrumented, books):
    """It is the task that is expected, not how it is handed over."""
    app = FastAPI()

    @app.get("/")
    @expects(archive)
    async def response():
        return PlainTextResponse(background=BackgroundTask(archive))

    client = TestClient(instrumented(app))
    client.get("/")
    client.get("/")
    assert tasks_of(books) == {"archive": (2, 0)}
    assert books.scrape("afterword_tasks_scheduled_total", kind="background") is None


def test_a_task_that_is_spawned_keeps_the_expectation(instrumented, books):
    """Fire and forget is scheduled too, once it outlives the request."""
    app = FastAPI()
    kept = []

    async def go_on(released):
        await released.wait()

    @app.get("/")
    @expects(go_on)
    async def spawn():
        kept[:] = [released := asyncio.Event(), asyncio.create_task(go_on(released))]

    async def twice():
        for _ in range(2):
            await call(instrumented(app))
            released, task = kept
            released.set()
            await task

    asyncio.run(twice())
    assert tasks_of(books) == {"go_on": (2, 0)}


def test_expectations_add_up_and_survive_wrappers(instrumented, books):
    """``functools.wraps``, partials, and a second decorator."""
    app = FastAPI()

    def logged(function):
        @functools.wraps(function)
        async def wrapper(**keywords):
            return await function(**keywords)

        return wrapper

    @expects(send)
    @logged
    @expects(archive)
    @expects(archive, notify)
    async def endpoint():
        pass

    async def of_partial(number: int):
        return number

    app.get("/wrapped")(endpoint)
    app.get("/partial")(functools.partial(expects(send)(of_partial), number=7))
    client = TestClient(instrumented(app))
    client.get("/wrapped")
    client.get("/partial")
    assert tasks_of(books, "/wrapped") == {"send": (0, 1), "archive": (0, 1), "notify": (0, 1)}
    assert tasks_of(books, "/partial") == {"send": (0, 1)}


def test_endpoints_that_are_classes_declare_as_a_whole_or_for_a_method(instrumented, books):
    """Starlette's HTTPEndpoint."""

    @expects(send)
    class Orders(HTTPEndpoint):
        """Two methods."""

        async def get(self, _):
            """Only what the class declares."""
            return Response()

        @expects(archive)
        async def post(self, _):
            """More."""
            return Response()

    client = TestClient(instrumented(Starlette(routes=[Route("/", Orders)])))
    client.head("/")
    assert tasks_of(books) == {"send": (0, 1)}
    client.post("/")
    assert tasks_of(books) == {"send": (0, 2), "archive": (0, 1)}


REFUSED = [
    ((), "expects() names no task; allowed: functions, and names of tasks"),
    ((7,), "expects 7; allowed: functions, and names of tasks"),
    ((send, None), "expects None; allowed"),
    (("",), "expects ''; allowed"),
    ((" ",), "expects ' '; allowed"),
    (("n" * 121,), "expects 'nnn"),
]


@pytest.mark.parametrize(("wrong", "sentence"), REFUSED, ids=str)
def test_what_cannot_be_expected_is_refused_where_it_is_written(wrong, sentence):
    """With what is allowed, when the module is loaded."""
    with pytest.raises(ValueError, match="expects") as refused:
        expects(*wrong)
    assert str(refused.value).startswith(sentence)


def test_only_what_can_be_called_and_takes_an_attribute_can_expect():
    """The decorator over something else, or over something that cannot carry it."""
    with pytest.raises(TypeError, match="declares an endpoint, not 7"):
        expects(send)(7)  # type: ignore[type-var]  # the mistake is the test
    with pytest.raises(TypeError, match="cannot carry a declaration"):
        expects(send)(print)


def test_the_decorator_is_part_of_the_package():
    """As the documentation writes it."""
    assert afterword.expects is expects


# -- ledgers, bounds and accidents


def test_a_forked_child_counts_in_its_own_ledger(instrumented, books):
    """Before the fork, after it, and in both at once."""
    app = instrumented(expecting(send, archive))
    asyncio.run(call(app))
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            asyncio.run(call(app))
            asyncio.run(call(app))
            code = 0
        finally:
            os._exit(code)
    asyncio.run(call(app))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert responses(books) == {"GET /": (4, 0)}
    assert tasks_of(books) == {"send": (4, 0), "archive": (0, 4)}


def test_a_ledger_that_was_deleted_is_counted_on_in_the_next(instrumented, books, directory):
    """What the first one said is gone with it."""
    app = instrumented(expecting(archive))
    asyncio.run(call(app))
    (ledger,) = directory.glob("*.ledger")
    ledger.unlink()
    PROCESS.owner.ledger.context.check_at[0] = 0  # the file is looked for every ten seconds
    for _ in range(3):
        asyncio.run(call(app))
    assert responses(books) == {"GET /": (3, 0)}
    assert tasks_of(books) == {"send": (3, 0), "archive": (0, 3)}


def test_a_task_whose_name_no_longer_fits_may_be_the_expected_one(instrumented, books):
    """The ledger has room for 240 names or so; what it cannot tell apart it does not call missed."""
    app = FastAPI()

    @app.get("/fill")
    async def fill(tasks: BackgroundTasks):
        for number in range(300):
            tasks.add_task(afterword.task(name=f"task {number}")(lambda: None))

    @app.get("/late")
    @expects(send)
    async def late(tasks: BackgroundTasks, skip: bool = False):
        await order(tasks, skip)

    client = TestClient(instrumented(app))
    client.get("/fill")
    client.get("/late")
    assert tasks_of(books, "/late") == {"__other__": (1, 0)}
    client.get("/late?skip=1")
    assert tasks_of(books, "/late") == {"__other__": (1, 1)}


def test_a_second_instrumentation_counts_in_the_ledger_it_made(instrumented, books):
    """The first one's is closed."""
    app = instrumented(expecting(archive))
    for _ in range(2):
        TestClient(app).get("/")
        afterword.uninstrument(app)
        TestClient(app).get("/")
        instrumented(app)
    TestClient(app).get("/")
    assert responses(books) == {"GET /": (3, 0)}
    assert tasks_of(books) == {"send": (3, 0), "archive": (0, 3)}


def test_an_application_without_a_ledger_answers_as_ever(instrumented, directory):
    """There is nowhere to count."""
    directory.chmod(0o755)
    client = TestClient(instrumented(expecting(send)))
    assert [client.get("/").status_code for _ in range(3)] == [200, 200, 200]
    directory.chmod(0o700)


def test_an_application_made_for_one_request_is_not_kept(instrumented, books):
    """Its routes have no place in the tree, and must not live on in ours."""
    made, app = [], FastAPI()

    @app.get("/outer")
    async def outer(tasks: BackgroundTasks):
        inner = FastAPI()
        inner.get("/outer")(order)
        made.append(weakref.ref(inner.router.routes[-1]))
        tasks.add_task(send)
        await inner(scope("/outer"), receive, sink)

    async def made_now(scope, receive, send):
        inner = FastAPI()
        inner.get("/users")(order)
        made.append(weakref.ref(inner.router.routes[-1]))
        await inner(scope, receive, send)

    app.mount("/made", made_now)
    client = TestClient(instrumented(app))
    for _ in range(20):
        client.get("/outer")
        client.get("/made/users")
    gc.collect()
    assert (len(made), [ref for ref in made if ref() is not None]) == (40, [])
    assert responses(books) == {"GET /outer": (20, 0), "GET /made/users": (20, 0)}


def test_routes_that_no_longer_fit_are_left_out(instrumented, books, scrape):
    """The table is full at 512: what is in it counts on, the rest is told as an overflow."""
    app = Starlette(routes=[Route(f"/{number}", answer) for number in range(520)])
    app = instrumented(app)

    async def all_of_them():
        for _ in range(2):
            for number in range(520):
                await call(app, f"/{number}")

    asyncio.run(all_of_them())
    told = responses(books)
    assert len(told) == 512
    assert set(told.values()) == {(2, 0)}
    assert scrape("afterword_ledger_overflow_total", bound="routes") == 8


def test_redirected_slashes_and_redirects_of_the_route(instrumented, books):
    """The router's own redirect has no route; the route's is its response."""
    app = FastAPI()

    @app.get("/orders/")
    async def orders():
        return RedirectResponse("/elsewhere", background=BackgroundTask(send))

    client = TestClient(instrumented(app), follow_redirects=False)
    assert [client.get(path).status_code for path in ("/orders", "/orders/")] == [307, 307]
    assert responses(books) == {"GET /orders/": (1, 0)}


def test_a_response_counts_also_when_its_background_task_fails(instrumented, books):
    """It was sent, and had scheduled; a route that owes and fails is the last that may be missing."""
    app = FastAPI()

    @app.get("/fails")
    async def fails(tasks: BackgroundTasks):
        tasks.add_task(send)
        tasks.add_task(int, "no number")

    @app.get("/raises")
    async def raises(tasks: BackgroundTasks):
        tasks.add_task(send)
        raise LookupError

    with TestClient(instrumented(app), raise_server_exceptions=False) as client:
        client.get("/fails")
        client.get("/raises")
    assert responses(books) == {"GET /fails": (1, 0)}
