"""Real servers: uvicorn and gunicorn, their workers, their ways to stop, and clients that hang up."""

import os
import signal
import socket
import sys

import pytest

from tests.helpers import Books, until
from tests.helpers.processes import request

pytestmark = pytest.mark.framework

APP = """
import asyncio, os, pathlib, time
from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import StreamingResponse
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware
import afterword

app = FastAPI()
gate = pathlib.Path(os.environ["GATE"])

async def wait_for_gate():
    while not gate.exists():
        await asyncio.sleep(0.005)

async def held():
    await wait_for_gate()

async def behind():
    pass

def pid():
    pass

@app.get("/pid")
async def which(tasks: BackgroundTasks):
    tasks.add_task(pid)

@app.get("/held")
async def order(tasks: BackgroundTasks):
    tasks.add_task(held)
    tasks.add_task(behind)

@app.get("/stream")
async def stream():
    async def parts():
        for _ in range(100_000):
            if gate.exists():
                return
            yield b"x" * 65536
            await asyncio.sleep(0)
    return StreamingResponse(parts(), background=BackgroundTask(behind))

class PassOn(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        return await call_next(request)

if os.environ.get("MIDDLEWARE"):
    app.add_middleware(PassOn)
afterword.instrument(app)
"""
SUCCEEDED = {"scheduled": 1, "started": 1, "succeeded": 1}


@pytest.fixture
def gate(children):
    """A file: once it is there, what waits goes on."""
    (children.folder / "shop.py").write_text(APP)
    return children.folder / "gate"


@pytest.fixture
def env(directory, gate):
    """What every server of this file runs with."""
    path = os.pathsep.join(sys.path)
    return {"AFTERWORD_DIR": str(directory), "AFTERWORD_SERVICE": "shop", "GATE": str(gate), "PYTHONPATH": path}


def hang_up(port, path, after=b""):
    """A client that goes away, at once or in the middle of the body, without a word (RST)."""
    with socket.create_connection(("127.0.0.1", port), timeout=15) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        seen = b""
        while after and after not in seen:
            seen += client.recv(65536)


@pytest.mark.parametrize("middleware", ["", "1"])
def test_tasks_of_a_client_that_hung_up_run_and_are_not_called_dropped(children, env, gate, books, middleware):
    """The response is gone with its reader; its tasks are not."""
    server, port = children.uvicorn("shop:app", MIDDLEWARE=middleware, **env)
    hang_up(port, "/held", after=b"200 OK")
    until(lambda: books.of("held") == {"scheduled": 1, "started": 1, "running": 1})
    assert books.of("behind") == {"scheduled": 1, "waiting": 1}
    gate.touch()
    until(lambda: books.of("behind") == SUCCEEDED)
    assert books.of("held") == SUCCEEDED
    assert server.stop() in (0, -signal.SIGTERM)


@pytest.mark.parametrize("middleware", ["", "1"])
def test_a_client_that_hangs_up_in_mid_stream_keeps_the_books_true(children, env, books, middleware):
    """Whether the stream's task still runs is Starlette's business: it is dropped only if it does not."""
    server, port = children.uvicorn("shop:app", MIDDLEWARE=middleware, **env)
    hang_up(port, "/stream", after=b"xxxx")
    story = until(lambda: books.of("behind") if "waiting" not in books.of("behind") else None)
    assert story in (SUCCEEDED, {"scheduled": 1, "request_failed": 1}, {"scheduled": 1, "shutdown": 1})
    assert request(port, "/pid") == 200
    assert books.of("behind") == story
    server.stop()


def test_a_graceful_stop_waits_for_tasks_and_exits_clean(children, env, gate, books, scrape):
    """SIGTERM: what runs may end, and nothing is lost or dropped."""
    server, port = children.uvicorn("shop:app", **env)
    hang_up(port, "/held", after=b"200 OK")
    until(lambda: books.of("held").get("running"))
    server.signal(signal.SIGTERM)
    gate.touch()
    assert server.wait() in (0, -signal.SIGTERM)
    assert books.of("held") == books.of("behind") == SUCCEEDED
    assert scrape("afterword_process_exits_total", cause="clean") == 1


def test_a_stop_without_patience_cancels_what_runs_and_drops_what_waits(children, env, books):
    """The server cancels the request after its limit: one ends cancelled, the one behind it is dropped by shutdown."""
    server, port = children.uvicorn("shop:app", "--timeout-graceful-shutdown", "1", **env)
    hang_up(port, "/held", after=b"200 OK")
    until(lambda: books.of("held").get("running"))
    server.stop()
    assert books.of("held") == {"scheduled": 1, "started": 1, "cancelled": 1}
    assert books.of("behind") == {"scheduled": 1, "shutdown": 1}


def test_a_killed_server_loses_what_it_had(children, env, books, scrape):
    """SIGKILL: both runs are lost, by their phase."""
    server, port = children.uvicorn("shop:app", "--lifespan", "off", **env)
    hang_up(port, "/held", after=b"200 OK")
    until(lambda: books.of("held").get("running"))
    server.signal(signal.SIGKILL)
    server.wait()
    lost = "afterword_tasks_lost_total"
    until(lambda: scrape(lost, reason="killed", phase="running", task="shop.held") == 1)
    assert scrape(lost, reason="killed", phase="waiting", task="shop.behind") == 1
    assert books.balance() == (0, 0)


def serve(children, env, *command):
    """Start a server of several processes; the port it listens on."""
    port = int(command[-1].rpartition(":")[2])
    child = children.python(*command, **env)
    children.answering(child, port)
    return child, port


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
def test_each_worker_keeps_a_ledger_and_all_are_one_service(children, env, directory, server):
    """Preloaded and forked, or spawned: the sum over all workers is what was done."""
    from tests.helpers import free_port

    books, bind = Books(directory), f"127.0.0.1:{free_port()}"
    commands = {
        "gunicorn": ("-m", "gunicorn", "shop:app", "--preload", "-w", "2", "-k", "uvicorn_worker.UvicornWorker",
                     "--no-control-socket", "-b", bind),
        "uvicorn": ("-m", "uvicorn", "shop:app", "--workers", "2", "--port", bind.rpartition(":")[2]),
    }  # fmt: skip
    child, port = serve(children, env, *commands[server])
    until(lambda: books.scrape("afterword_processes", service="shop") == 2)
    for _ in range(20):
        assert request(port, "/pid") == 200
    until(lambda: books.of("pid") == {"scheduled": 20, "started": 20, "succeeded": 20})
    child.stop()
    until(lambda: books.scrape("afterword_processes", service="shop") == 0)
    assert books.by("afterword_process_exits_total", "cause") == {"clean": 2}
    assert books.of("pid") == {"scheduled": 20, "started": 20, "succeeded": 20}
    assert not list(directory.glob("*.ledger"))
