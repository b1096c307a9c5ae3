# mypy: ignore-errors
import asyncio as aio
from asyncio import create_task

from fastapi import APIRouter

router = APIRouter()


async def track(page: str) -> None:
    print(page)


@router.post("/view")
async def view(page: str):
    aio.create_task(track(page))  # AW110
    create_task(track(page))  # AW110
    aio.ensure_future(track(page))  # AW110
    aio.get_running_loop().create_task(track(page))  # AW110
    task = aio.create_task(track(page))  # AW110
    _ = aio.create_task(track(page))  # AW110
    loop = aio.get_event_loop()
    loop.create_task(track(page)).add_done_callback(print)  # AW110
    return {}
