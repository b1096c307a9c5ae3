# mypy: ignore-errors
import asyncio
from contextlib import asynccontextmanager

from fastapi import APIRouter

running = set()
last = None


async def track(page: str) -> None:
    print(page)


@asynccontextmanager
async def lifespan(app):
    worker = asyncio.create_task(track("worker"))
    yield


router = APIRouter()


@router.post("/view")
async def view(page: str):
    global last
    task = asyncio.create_task(track(page))
    running.add(task)
    task.add_done_callback(running.discard)
    await asyncio.create_task(track(page))
    await asyncio.gather(asyncio.create_task(track(page)), asyncio.ensure_future(track(page)))
    async with asyncio.TaskGroup() as group:
        group.create_task(track(page))
    last = asyncio.create_task(track(page))
    asyncio.ensure_future(last)
    return {}
