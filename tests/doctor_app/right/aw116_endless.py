# mypy: ignore-errors
import time

from fastapi import APIRouter, BackgroundTasks

router = APIRouter()


def clean_up() -> None:
    while True:
        if time.monotonic() < 0:
            print("later")
        else:
            break


@router.post("/clean")
async def route(tasks: BackgroundTasks):
    tasks.add_task(clean_up)
    return {}
