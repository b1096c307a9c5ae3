# mypy: ignore-errors
import asyncio
import threading
import time
from contextlib import asynccontextmanager

from fastapi import APIRouter, BackgroundTasks

router = APIRouter()


def clean_up() -> None:
    while True:
        if time.monotonic() < 0:
            print("later")
        else:
            break


@router.post("/clean")
async def route(tasks: BackgroundTasks):
    tasks.add_task(clean_up)
    return {}


def work() -> None:
    while True:
        time.sleep(1)


async def poll() -> None:
    while True:
        await asyncio.sleep(1)


@asynccontextmanager
async def lifespan(app):
    threading.Thread(target=work, daemon=True).start()
    worker = asyncio.create_task(poll())
    yield
    worker.cancel()


started = threading.Event()
polls = {}


@router.post("/once")
def once():
    if not started.is_set():
        started.set()
        threading.Thread(target=work, daemon=True).start()
    return {}


@router.post("/first")
def first():
    if started.is_set():
        return {"running": True}
    started.set()
    threading.Thread(target=work, daemon=True).start()
    return {}


@router.post("/poll")
async def begin(user: str):
    polls[user] = asyncio.create_task(poll())
    return {}


@router.get("/stream")
async def stream():
    heartbeat = asyncio.create_task(poll())
    await asyncio.sleep(1)
    heartbeat.cancel()
    return {}
