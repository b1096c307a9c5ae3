# mypy: ignore-errors
import functools

from fastapi import APIRouter, BackgroundTasks

router = APIRouter()


async def push(what: str) -> None:
    print(what)


def counted(function):
    @functools.wraps(function)
    def wrapper(*args):
        result = function(*args)
        return result

    return wrapper


@counted  # AW114
async def notify(what: str) -> None:
    push(what)  # AW114


def pages(what: str):
    yield what


@router.post("/push")
async def route(what: str, tasks: BackgroundTasks):
    tasks.add_task(notify, what)
    tasks.add_task(lambda: push(what))  # AW114
    tasks.add_task(pages, what)  # AW114
    return {}
