"""The application: a route for every scene, one behind a BaseHTTPMiddleware, a websocket, workers of the lifespan."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from fastapi import BackgroundTasks, FastAPI, WebSocket
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware

from tests.neighbours import background, tasks, threads
from tests.neighbours.record import ORDER, Scene, everybody, seen, task_facts

#: The scene that is being played; the lifespan's workers tell it too.
Stage = Callable[[], Scene]
BEHIND_MIDDLEWARE = (background.every_shape, background.sync_failing, background.on_response, tasks.forgotten)


def make(stage: Stage) -> FastAPI:
    """An application that plays what its path names."""
    app = FastAPI(title="neighbours", lifespan=lambda app: _lifespan(app, stage))
    others = (asked_of_workers, background.hanging, background.by_mistake, tasks.no_coroutine)
    for scene in (*background.SCENES, *tasks.SCENES, *threads.SCENES, *others):
        app.get(f"/{scene.__name__}")(_endpoint(scene, stage))
    app.get("/sync_endpoint")(_sync_endpoint(stage))
    app.websocket("/socket")(_socket(stage))

    inner = FastAPI()
    inner.add_middleware(BaseHTTPMiddleware, dispatch=_pass_on)
    for scene in BEHIND_MIDDLEWARE:
        inner.get(f"/{scene.__name__}")(_endpoint(scene, stage))
    app.mount("/inner", inner)
    return app


def _endpoint(play: Callable[..., Awaitable[Any]], stage: Stage) -> Callable[..., Awaitable[Any]]:
    async def endpoint(background_tasks: BackgroundTasks) -> Any:
        ORDER.set(play.__name__)
        scene = stage()
        scene.note("endpoint")
        return await play(scene, background_tasks)

    return endpoint


def _sync_endpoint(stage: Stage) -> Callable[..., None]:
    def endpoint(background_tasks: BackgroundTasks) -> None:
        """In a thread, where the response and its tasks are made too."""
        scene = stage()
        scene.note("sync endpoint")
        background_tasks.add_task(background.sync, scene)
        background_tasks.add_task(background.on_loop, scene)

    return endpoint


def _socket(stage: Stage) -> Callable[..., Awaitable[None]]:
    async def socket(websocket: WebSocket) -> None:
        """A connection that starts tasks of every kind."""
        scene = stage()
        ORDER.set("socket")
        await websocket.accept()
        scene.owe()
        scene.kept.append(asyncio.create_task(tasks.work(scene, "from a socket")))
        scene.kept[0].add_done_callback(scene.paid)
        await BackgroundTask(background.sync, scene)()
        await BackgroundTask(background.on_loop, scene)()
        with contextlib.suppress(LookupError):
            await BackgroundTask(background.on_loop_raises, scene)()
        await websocket.send_text("done")
        await websocket.close()

    return socket


async def _pass_on(request: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
    return await call_next(request)


async def asked_of_workers(scene: Scene, _: BackgroundTasks) -> None:
    """Work for a worker task and a worker thread of the lifespan."""
    scene.owe(2)
    scene.note("everybody", everybody())
    WORK.put_nowait(1)
    CALL.set()


#: Made anew by each lifespan.
WORK: "asyncio.Queue[int]" = asyncio.Queue()
CALL = threading.Event()


async def worker(stage: Stage) -> None:
    """Runs as long as the application does."""
    while True:
        await WORK.get()
        stage().note("worker", task_facts(asyncio.current_task())[2:4])
        stage().paid()


async def broken_worker(stage: Stage) -> None:
    """Dies at once; the lifespan looks at it when it ends."""
    stage().note("broken worker")
    await asyncio.sleep(0)
    raise LookupError("worker", 7)


def thread_worker(stage: Stage, stopped: threading.Event) -> None:
    """A thread that runs as long as the application does."""
    while True:
        CALL.wait(30)
        CALL.clear()
        if stopped.is_set():
            return
        stage().note("thread worker")
        stage().paid()


@contextlib.asynccontextmanager
async def _lifespan(_: FastAPI, stage: Stage) -> AsyncIterator[None]:
    while not WORK.empty():
        WORK.get_nowait()
    stopped = threading.Event()
    thread = threading.Thread(target=thread_worker, args=(stage, stopped), name="thread worker")
    thread.start()
    good, broken = asyncio.create_task(worker(stage), name="worker"), asyncio.create_task(broken_worker(stage))
    stage().note("started", task_facts(good), task_facts(broken))
    try:
        yield
    finally:
        scene = stage()
        good.cancel("shutdown")
        scene.note("worker ended", await tasks.outcome(good), good.cancelled())
        scene.note("broken worker ended", seen(broken.exception()))
        stopped.set()
        CALL.set()
        thread.join()
        scene.note("thread worker ended", thread.is_alive())
