# mypy: ignore-errors
from fastapi import APIRouter, BackgroundTasks
from starlette.background import BackgroundTask

router = APIRouter()


def log(what: str) -> None:
    print(what)


@router.post("/log")
async def route(what: str):
    tasks = BackgroundTasks()  # AW119
    tasks.add_task(log, what)
    BackgroundTask(log, what)  # AW119
    return {}
