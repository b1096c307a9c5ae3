"""How a process ends: each way on a real server, booked with its cause, with what it still owed."""

import os
import signal
import sys
import time

import pytest

from tests.helpers import until
from tests.helpers.processes import request

pytestmark = pytest.mark.framework

APP = """
import asyncio, ctypes, os, pathlib, sys
from contextlib import asynccontextmanager
from fastapi import BackgroundTasks, FastAPI
import afterword

gate = pathlib.Path(os.environ["GATE"])

@asynccontextmanager
async def lifespan(app):
    if os.environ.get("BROKEN"):
        raise RuntimeError("no database")
    yield

app = FastAPI(lifespan=lifespan)

def os_exit():
    os._exit(3)

def segfault():
    ctypes.string_at(0)

def abort():
    os.abort()

async def system_exit():
    sys.exit(4)

async def held():
    while not gate.exists():
        await asyncio.sleep(0.005)

def short():
    pass

TASKS = {f.__name__: f for f in (os_exit, segfault, abort, system_exit, held, short)}

@app.get("/{name}")
async def hand_over(name: str, tasks: BackgroundTasks):
    tasks.add_task(TASKS[name])

afterword.instrument(app)
"""
EXITS = "afterword_process_exits_total"
SUCCEEDED = {"scheduled": 1, "started": 1, "succeeded": 1}


@pytest.fixture
def env(children, directory):
    """What every server of this file runs with."""
    (children.folder / "shop.py").write_text(APP)
    return {
        "AFTERWORD_DIR": str(directory), "AFTERWORD_SERVICE": "shop", "GATE": str(children.folder / "gate"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "code"), [("os_exit", 3), ("segfault", -signal.SIGSEGV), ("abort", -signal.SIGABRT)], ids=str
)
def test_a_process_that_a_task_takes_down_is_killed_and_the_task_lost(children, env, books, name, code):
    """No handler, no finally and no exit hook runs: only the lock that is gone tells."""
    server, port = children.uvicorn("shop:app", **env)
    assert request(port, f"/{name}") == 200
    assert server.wait() == code
    until(lambda: books.by(EXITS, "cause") == {"killed": 1})
    assert books.of(name) == {"scheduled": 1, "started": 1, "killed": 1}
    assert books.balance() == (0, 0)


def test_sys_exit_in_a_coroutine_fails_its_task_and_the_server_lives(children, env, books):
    """The server catches it like any exception: nobody is told but by the books."""
    server, port = children.uvicorn("shop:app", **env)
    assert request(port, "/system_exit") == 200
    until(lambda: books.of("system_exit") == {"scheduled": 1, "started": 1, "failed": 1})
    assert books.by("afterword_task_errors_total", "exception") == {"SystemExit": 1}
    assert request(port, "/short") == 200
    server.stop()
    assert books.by(EXITS, "cause") == {"clean": 1}


def test_a_worker_that_is_recycled_after_so_many_requests_ends_clean(children, env, books):
    """``--limit-max-requests``: its tasks are done first, and nothing is lost or cancelled."""
    server, port = children.uvicorn("shop:app", "--limit-max-requests", "3", **env)
    for _ in range(2):
        assert request(port, "/short") == 200
    (children.folder / "gate").touch()
    assert request(port, "/held") == 200
    assert server.wait() == 0
    until(lambda: books.by(EXITS, "cause") == {"clean": 1})
    assert books.of("short") == {"scheduled": 2, "started": 2, "succeeded": 2}
    assert books.of("held") == SUCCEEDED


def test_a_process_that_cannot_start_is_a_failed_exit_each_time(children, env, books):
    """What a supervisor starts again and again: the rules see the number of them."""
    for _ in range(3):
        server = children.python("-m", "uvicorn", "shop:app", "--port", "0", BROKEN="1", **env)
        assert server.wait() != 0
    until(lambda: books.by(EXITS, "cause") == {"failed": 3})
    assert books.scrape("afterword_processes", service="shop") == 0


def test_a_process_that_lived_between_two_scrapes_is_told_with_what_it_did(children, env, books):
    """Nobody read while it lived: what it did and how it ended are there all the same."""
    server, port = children.uvicorn("shop:app", **env)
    assert request(port, "/short") == 200
    server.stop()
    before = time.time()
    assert books.of("short") == SUCCEEDED
    assert books.by(EXITS, "cause") == {"clean": 1}
    assert abs((books.scrape("afterword_process_exits_created", cause="clean") or 0) - before) < 60


def test_a_server_that_waits_for_a_task_and_never_ends_says_so(children, env, books, scrape):
    """Its listener is closed, so no request tells; since when it stops does, and one line names what it waits for."""
    server, port = children.uvicorn("shop:app", **env)
    assert request(port, "/held") == 200
    server.signal(signal.SIGTERM)
    asked = until(lambda: scrape("afterword_process_stopping_timestamp_seconds", service="shop"))
    assert abs(time.time() - asked) < 60
    until(lambda: "still owed" in server.output)
    assert server.output.count("stopping, and still owed: shop.held (1 running") == 1
    (children.folder / "gate").touch()
    assert server.wait() in (0, -signal.SIGTERM)
    assert books.of("held") == SUCCEEDED
    assert scrape("afterword_process_stopping_timestamp_seconds", service="shop") == 0
