"""Plays the scenes one after the other: in this process, or over sockets through a real uvicorn."""

import asyncio
import functools
import http.client
import importlib
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from tests.neighbours import application, background, tasks, threads
from tests.neighbours.others import Neighbour
from tests.neighbours.record import ORDER, Scene, plain, seen

_REQUESTS = (
    *(scene.__name__ for scene in (*background.SCENES, *tasks.SCENES, *threads.SCENES)),
    "asked_of_workers", "sync_endpoint", *(f"inner/{scene.__name__}" for scene in application.BEHIND_MIDDLEWARE),
)  # fmt: skip
#: Played again for each way to make tasks.
_WITH_FACTORIES = tuple(scene.__name__ for scene in (*tasks.SCENES, background.every_shape, threads.to_loop))


class MyTask(asyncio.Task[Any]):
    """A user's own class of tasks."""


class Play:
    """All scenes so far, and the one that is on."""

    def __init__(self, neighbour: Neighbour) -> None:
        self.neighbour = neighbour
        self.scenes: dict[str, Scene] = {}
        self.loop: asyncio.AbstractEventLoop | None = None
        #: The scenes to play; None: all of them, each way to make tasks.
        self.only: list[str] | None = None
        self.own_factory = False
        self._home = threading.get_ident()
        self._now = self.begin("outside")

    def stage(self) -> Scene:
        """The scene that is on."""
        return self._now

    def begin(self, name: str) -> Scene:
        """The next scene."""
        self._now = self.scenes[name] = Scene(name, self.neighbour.now, self._home)
        return self._now

    def watched(self, app: Any) -> Callable[..., Awaitable[None]]:
        """The application as its server sees it: what it sends, what it raises, when it returns."""

        async def call(scope: Any, receive: Any, send: Any) -> None:
            self.loop = asyncio.get_running_loop()
            scene = self.stage() if scope["type"] != "lifespan" else None
            if scene is None and self.own_factory:
                self.loop.set_task_factory(self._factory)

            async def told(message: Any) -> None:
                if scene is not None:
                    scene.note(message["type"], message.get("status"), message.get("more_body"))
                await send(message)

            try:
                await app(scope, receive, told)
            except BaseException as error:
                if scene is not None:
                    scene.note("raised", seen(error))
                raise
            finally:
                if scene is not None:
                    scene.note("returned")
                    scene.paid()

        return call

    @property
    def requests(self) -> Sequence[str]:
        """The paths to ask for."""
        return _REQUESTS if self.only is None else self.only

    def again(self) -> Iterator[tuple[Any, str, str]]:
        """What is asked for once more, with a task factory and what that scene is called."""
        for name, factory in self._factories() if self.only is None else ():
            for path in _WITH_FACTORIES:
                yield factory, path, f"{name}: {path}"

    def _factories(self) -> Iterator[tuple[str, Any]]:
        """The ways to make tasks, by name; what was there before is put back last."""
        assert self.loop is not None
        before = self.loop.get_task_factory()
        yield "own factory", self._factory
        yield "own class", lambda loop, coroutine, **more: MyTask(coroutine, loop=loop, **more)
        if sys.version_info >= (3, 12):
            yield "eager", asyncio.eager_task_factory
        yield "no factory", None
        yield "put back", before

    def _factory(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **more: Any) -> Any:
        """What a user's factory is called with."""
        self.stage().note(
            "factory",
            getattr(coroutine, "__qualname__", type(coroutine).__name__),
            sorted(more),
            plain(str(more.get("name"))),
        )
        return asyncio.Task(coroutine, loop=loop, **more)


async def in_process(play: Play, app: Any, neighbour_runs: Callable[[bool], None]) -> None:
    """Without a socket: what happens on the loop happens in the same order every time."""
    called, incoming, outgoing = play.watched(app), asyncio.Queue[Any](), asyncio.Queue[Any]()
    play.begin("startup")
    neighbour_runs(False)
    lifespan = asyncio.create_task(called({"type": "lifespan", "state": {}}, incoming.get, outgoing.put))  # type: ignore[arg-type]  # a coroutine, as a server knows
    await incoming.put({"type": "lifespan.startup"})
    assert (await outgoing.get())["type"] == "lifespan.startup.complete"
    neighbour_runs(True)
    for path in play.requests:
        await _call(play, called, path, path)
    if play.only is None:
        await _call(play, called, "socket", "socket", kind="websocket")
        await _cut_off(play, called)
    for factory, path, name in play.again():
        asyncio.get_running_loop().set_task_factory(factory)
        await _call(play, called, path, name)
    play.begin("shutdown")
    await incoming.put({"type": "lifespan.shutdown"})
    assert (await outgoing.get())["type"] == "lifespan.shutdown.complete"
    await lifespan


async def _call(play: Play, app: Any, path: str, name: str, kind: str = "http") -> None:
    scene = play.begin(name)
    scene.owe()
    ORDER.set("server")
    try:
        await app(_scope(f"/{path}", kind), _receiving(kind), _sink)
    except (Exception, background.StopEverythingError) as error:  # noqa: BLE001 - a server catches everything
        scene.note("the server catches", seen(error))
    while not scene.over:
        await asyncio.sleep(0.001)


async def _cut_off(play: Play, app: Any) -> None:
    """A request that is cancelled while its background task runs: the one behind it never does."""
    scene = play.begin("cut_off")
    scene.owe()
    request = asyncio.create_task(app(_scope("/hanging", "http"), _receiving("http"), _sink))
    while "hanging" not in str(scene.told):
        await asyncio.sleep(0)
    request.cancel("the client is gone")
    scene.note("cut off", await tasks.outcome(request), request.cancelled())


def _scope(path: str, kind: str) -> dict[str, Any]:
    return {
        "type": kind, "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": [],
        "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "scheme": "http", "subprotocols": [], "state": {},
    }  # fmt: skip


def _receiving(kind: str) -> Callable[[], Awaitable[dict[str, Any]]]:
    messages = [{"type": "websocket.connect"}] if kind == "websocket" else [{"type": "http.request", "body": b""}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
        raise AssertionError

    return receive


async def _sink(_: Any) -> None:
    """A client that takes everything."""


def over_sockets(play: Play, app: Any, loop: str, neighbour_runs: Callable[[bool], None]) -> None:
    """Behind uvicorn on the loop of that name; a thread is the client."""
    uvicorn = importlib.import_module("uvicorn")
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(play.watched(app), loop=loop, log_level="critical", lifespan="on")
        server = uvicorn.Server(config)
        client = threading.Thread(target=_client, args=(play, server, listening.getsockname()[1], neighbour_runs))
        client.start()
        play.begin("startup")
        server.run(sockets=[listening])
        client.join()


def _client(play: Play, server: Any, port: int, neighbour_runs: Callable[[bool], None]) -> None:
    while not server.started:
        time.sleep(0.005)
    assert play.loop is not None
    try:
        play.scenes["startup"].note("loop", type(play.loop).__module__.partition(".")[0])
        _on_loop(play.loop, lambda: neighbour_runs(True))
        for path in play.requests:
            _request(play, port, path, path)
        for factory, path, name in play.again():
            _on_loop(play.loop, functools.partial(play.loop.set_task_factory, factory))
            _request(play, port, path, name)
        play.begin("shutdown")
    finally:
        server.should_exit = True


def _on_loop(loop: asyncio.AbstractEventLoop, step: Callable[[], Any]) -> None:
    async def take() -> None:
        step()

    asyncio.run_coroutine_threadsafe(take(), loop).result(10)


def _request(play: Play, port: int, path: str, name: str) -> None:
    scene = play.begin(name)
    scene.owe()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request("GET", f"/{path}")
        answer = connection.getresponse()
        answer.read()
    finally:
        connection.close()
    while not scene.over:
        time.sleep(0.001)
