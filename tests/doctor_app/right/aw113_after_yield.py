# mypy: ignore-errors
from fastapi import APIRouter, BackgroundTasks, Depends

router = APIRouter()


def count(what: str) -> None:
    print(what)


def counted(tasks: BackgroundTasks):
    tasks.add_task(count, "in")
    yield
    count("out")


@router.get("/counted")
async def route(seen=Depends(counted)):
    return {}
