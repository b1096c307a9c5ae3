# mypy: ignore-errors
from fastapi import APIRouter, BackgroundTasks
from fastapi.responses import JSONResponse
from starlette.background import BackgroundTask

router = APIRouter()


def log(what: str) -> None:
    print(what)


@router.post("/log")
async def route(what: str):
    tasks = BackgroundTasks()
    tasks.add_task(log, what)
    return JSONResponse({}, background=tasks)


@router.post("/run")
async def run(what: str):
    await BackgroundTask(log, what)()
    return {}
