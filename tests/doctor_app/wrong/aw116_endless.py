# mypy: ignore-errors
import time

from fastapi import APIRouter, BackgroundTasks

router = APIRouter()


def clean_up() -> None:
    while True:
        try:
            print("clean")
        except OSError:
            print("not clean")
        time.sleep(300)


@router.post("/clean")
async def route(tasks: BackgroundTasks):
    tasks.add_task(clean_up)  # AW116
    return {}
