# mypy: ignore-errors
import asyncio
import threading
import time

from fastapi import APIRouter, BackgroundTasks

router = APIRouter()
running = set()


def clean_up() -> None:
    while True:
        try:
            print("clean")
        except OSError:
            print("not clean")
        time.sleep(300)


@router.post("/clean")
async def route(tasks: BackgroundTasks):
    tasks.add_task(clean_up)  # AW116
    return {}


async def poll() -> None:
    while True:
        await asyncio.sleep(1)


@router.post("/thread")
def thread(name: str):
    if name:
        print(name)
    threading.Thread(target=clean_up, daemon=True).start()  # AW116
    return {}


@router.post("/spawned")
async def spawned():
    task = asyncio.create_task(poll())  # AW116
    running.add(task)
    task.add_done_callback(running.discard)
    return {}
