# mypy: ignore-errors
import asyncio
import time

import afterword
from fastapi import APIRouter, BackgroundTasks

router = APIRouter()
PAUSE = 4


@afterword.task(deadline=3)
def settle() -> None:
    time.sleep(PAUSE)  # AW120
    later()


def later() -> None:
    time.sleep(10 * 60)  # AW120


@afterword.task(name="remind", deadline=2 * 2)
async def remind() -> None:
    await asyncio.sleep(delay=5)  # AW120


@afterword.task(deadline=5)
async def handed_over_elsewhere() -> None:
    await asyncio.sleep(6)  # AW120


@router.post("/settle")
async def route(tasks: BackgroundTasks):
    tasks.add_task(settle)
    tasks.add_task(remind)
    return {}
