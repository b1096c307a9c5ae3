# mypy: ignore-errors
import asyncio
import functools

from fastapi import APIRouter, BackgroundTasks

router = APIRouter()


async def push(what: str) -> None:
    print(what)


def counted(function):
    @functools.wraps(function)
    async def wrapper(*args):
        return await function(*args)

    return wrapper


def in_a_loop(function):
    @functools.wraps(function)
    def wrapper(*args):
        return asyncio.run(function(*args))

    return wrapper


@counted
async def notify(what: str) -> None:
    await push(what)


@in_a_loop
async def notify_from_thread(what: str) -> None:
    await push(what)


def pages(what: str):
    yield what


def all_pages(what: str) -> None:
    for page in pages(what):
        print(page)


@router.post("/push")
async def route(what: str, tasks: BackgroundTasks):
    tasks.add_task(notify, what)
    tasks.add_task(notify_from_thread, what)
    tasks.add_task(functools.partial(push, what))
    tasks.add_task(all_pages, what)
    return {}
