# mypy: ignore-errors
import asyncio
import functools

from fastapi import APIRouter, BackgroundTasks
from fastapi.responses import JSONResponse
from starlette.background import BackgroundTask

router = APIRouter()
running = set()


def send(email: str) -> None:
    print(email)


async def push(email: str) -> None:
    print(email)


def sender(email: str):
    def work() -> None:
        print(email)

    return work


class Sender:
    def __init__(self, email: str) -> None:
        self.email = email

    def __call__(self) -> None:
        print(self.email)


def choose(email: str):
    return send if email else push


def later(email: str):
    return push(email)


class Board:
    def add_task(self, coroutine) -> None:
        running.add(asyncio.ensure_future(coroutine))


board = Board()


@router.post("/a")
async def passed(email: str, tasks: BackgroundTasks):
    tasks.add_task(send, email)
    tasks.add_task(push, email=email)
    tasks.add_task(functools.partial(send, email))
    tasks.add_task(sender(email))
    tasks.add_task(Sender(email))
    tasks.add_task(choose(email), email)
    tasks.add_task(lambda: send(email))
    board.add_task(push(email))
    return {}


@router.post("/b")
async def passed_for_response(email: str):
    return JSONResponse({}, background=BackgroundTask(push, email))


@router.post("/c")
async def spawned(email: str):
    running.add(asyncio.create_task(push(email)))
    running.add(asyncio.create_task(later(email)))
    await asyncio.to_thread(send, email)
    return {}
