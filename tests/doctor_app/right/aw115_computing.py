# mypy: ignore-errors
from fastapi import APIRouter, BackgroundTasks

router = APIRouter()


def shrink(path: str) -> None:
    from PIL import Image

    Image.open(path).thumbnail((200, 200))


@router.post("/shrink")
async def route(path: str, tasks: BackgroundTasks):
    tasks.add_task(shrink, path)
    return {}
