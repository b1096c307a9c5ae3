# mypy: ignore-errors
import asyncio
import time

import afterword
from fastapi import APIRouter, BackgroundTasks

router = APIRouter()
PAUSE = 4


@afterword.task(deadline=5)
def settle(pause: float) -> None:
    time.sleep(PAUSE)
    time.sleep(pause)


@afterword.task(deadline=3)
async def remind(pause: float) -> None:
    await asyncio.sleep(pause)
    await asyncio.sleep(3)
    async with asyncio.timeout(2):
        await asyncio.sleep(60)


@afterword.task(deadline=3)
async def worker() -> None:
    while True:
        await asyncio.sleep(30)


@afterword.task
def undeclared() -> None:
    time.sleep(600)


@router.post("/settle")
async def route(tasks: BackgroundTasks):
    tasks.add_task(settle, 1)
    tasks.add_task(remind, 1)
    tasks.add_task(undeclared)
    return {}
