"""SIGKILL an instrumented application at random moments; the books must balance and forget nothing.

The child answers requests of its own application as fast as it can and acknowledges every step over
a pipe *after* it has been booked. After the kill everything acknowledged must be in the ledger, the
books must balance, and a reader that polled the living file must never have seen a counter go back.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from fastapi import BackgroundTasks, FastAPI

import afterword
from afterword.books.model import Totals
from afterword.ledger.layout import LayoutError
from tests.ledgers import totals

MODES = ("sync", "async", "mixed")
REQUESTS_AT_ONCE = 4


def application(acknowledge: Any) -> FastAPI:
    """Three routes: sync tasks, async tasks, and both with one that fails and one behind it."""
    app = FastAPI(title="torture")

    def sync_task() -> None:
        acknowledge(b"T")

    async def async_task() -> None:
        acknowledge(b"T")
        await asyncio.sleep(0)

    async def failing() -> None:
        acknowledge(b"T")
        raise KeyError

    def add(tasks: BackgroundTasks, function: Any) -> None:
        tasks.add_task(function)
        acknowledge(b"S")

    @app.get("/sync")
    async def sync_route(tasks: BackgroundTasks) -> None:
        add(tasks, sync_task)
        add(tasks, sync_task)

    @app.get("/async")
    async def async_route(tasks: BackgroundTasks) -> None:
        add(tasks, async_task)
        add(tasks, async_task)

    @app.get("/mixed")
    async def mixed_route(tasks: BackgroundTasks) -> None:
        for function in (async_task, sync_task, failing, async_task):
            add(tasks, function)

    return app


def child(directory: Path, pipe: int, mode: str) -> None:
    """Answer requests until killed."""
    sys.setswitchinterval(1e-4)
    app = application(lambda letter: os.write(pipe, letter))
    afterword.instrument(app, dir=str(directory), service="torture")
    tasks_a_request = 4 if mode == "mixed" else 2

    async def client() -> None:
        while True:
            scope = {"type": "http", "method": "GET", "path": f"/{mode}", "raw_path": b"", "query_string": b"",
                     "headers": [], "asgi": {"version": "3.0", "spec_version": "2.3"}, "scheme": "http",
                     "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 1), "root_path": ""}  # fmt: skip

            async def receive() -> dict[str, Any]:
                return {"type": "http.request", "body": b"", "more_body": False}

            async def send(message: Any) -> None: ...

            with contextlib.suppress(KeyError):
                await app(scope, receive, send)
            os.write(pipe, b"E" * tasks_a_request)
            await asyncio.sleep(0)

    async def clients() -> None:
        await asyncio.gather(*(client() for _ in range(REQUESTS_AT_ONCE)))

    asyncio.run(clients())


def counters(read: Totals) -> Counter[str]:
    """Everything that must never go back, in one flat counter; with the three sums of the law."""
    flat: Counter[str] = Counter()
    for key, books in read.tasks.items():
        ended = {outcome: sum(buckets) for outcome, buckets in books.finished.items()}
        flat[f"{key.task} scheduled"] = books.scheduled
        flat[f"{key.task} started"] = books.started_total
        for name, n in (*ended.items(), *books.dropped.items()):
            flat[f"{key.task} {name}"] = n
        flat["scheduled"] += books.scheduled
        flat["started"] += books.started_total
        flat["ended"] += sum(ended.values()) + books.dropped.total()
        flat["lost"] += books.lost.total()
    return flat


def one_kill(directory: Path, mode: str, seconds: float) -> dict[str, int]:
    """Start a child, poll it, kill it, check it."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 2)
        try:
            child(directory, write_end, mode)
        finally:
            os._exit(1)
    os.close(write_end)
    acknowledged, backwards, polls = poll(directory, read_end, seconds)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.set_blocking(read_end, True)
    while chunk := os.read(read_end, 65536):
        acknowledged.update(chunk.decode())
    os.close(read_end)
    (path,) = directory.glob("*.ledger")
    found, unbalanced = final(path)
    path.unlink()
    ahead = REQUESTS_AT_ONCE * 4
    letters = {"scheduled": "S", "started": "T", "ended": "E"}
    return {
        "unbalanced": unbalanced,
        "forgotten": sum(found[name] < acknowledged[letter] for name, letter in letters.items()),
        "invented": int(found["scheduled"] > acknowledged["S"] + ahead),
        "backwards": backwards,
        "polls": polls,
        "scheduled": found["scheduled"],
        "lost": found["lost"],
    }


def poll(directory: Path, pipe: int, seconds: float) -> tuple[Counter[str], int, int]:
    """Read the living ledger until the time is up; a child that has not begun gets its time."""
    os.set_blocking(pipe, False)
    acknowledged: Counter[str] = Counter()
    backwards = polls = 0
    before: Counter[str] = Counter()
    end = None
    while end is None or time.monotonic() < end:
        try:
            acknowledged.update(os.read(pipe, 65536).decode())
        except BlockingIOError:
            time.sleep(0.0005)
        if end is None:
            end = time.monotonic() + seconds if acknowledged else None
            continue
        (path,) = directory.glob("*.ledger")
        now = counters(totals(path, dead=False))
        backwards += any(now[name] < n for name, n in before.items() if not name.endswith("lost"))
        backwards += not now["scheduled"] >= now["started"]
        before, polls = now, polls + 1
    return acknowledged, backwards, polls


def final(path: Path) -> tuple[Counter[str], int]:
    """The dead ledger's counters, and 1 if its books do not balance."""
    try:
        read = totals(path, dead=True)
    except LayoutError:
        return Counter(), 1
    return counters(read), len(list(read.unbalanced()))


def main() -> None:
    """Kill as often as asked, print the sums as one line of JSON, and fail on any violation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    directory = Path(tempfile.mkdtemp(dir=base, prefix="torture-"))
    sums: Counter[str] = Counter(kills=options.kills)
    try:
        for mode in itertools.islice(itertools.cycle(MODES), options.kills):
            sums.update(one_kill(directory, mode, 0.001 + chance.random() * 0.03))
    finally:
        shutil.rmtree(directory)
    print(json.dumps(sums))
    sys.exit(any(sums[name] for name in ("unbalanced", "forgotten", "invented", "backwards")))


if __name__ == "__main__":
    main()
