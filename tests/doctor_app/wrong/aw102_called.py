# mypy: ignore-errors
import asyncio

from fastapi import APIRouter, BackgroundTasks
from fastapi.responses import JSONResponse
from starlette.background import BackgroundTask

router = APIRouter()
running = set()


def send(email: str) -> None:
    print(email)


async def push(email: str) -> None:
    print(email)


@router.post("/a")
async def called(email: str, tasks: BackgroundTasks):
    tasks.add_task(send(email))  # AW102
    tasks.add_task(push(email))  # AW102
    tasks.add_task(func=print(email))  # AW102
    return JSONResponse({}, background=tasks)


@router.post("/b")
async def called_for_response(email: str):
    return JSONResponse({}, background=BackgroundTask(push(email)))  # AW102


@router.post("/c")
async def reversed_(email: str):
    running.add(asyncio.create_task(push))  # AW102
    running.add(asyncio.create_task(send(email)))  # AW102
    await asyncio.to_thread(send(email))  # AW102
    asyncio.create_task(push)  # AW102
    return {}
