# mypy: ignore-errors
import afterword
from fastapi import APIRouter, BackgroundTasks

router = APIRouter()


@afterword.task(deadline=45)
def typeset(pages: int) -> None:
    print(pages)


@router.post("/typeset")
async def route(pages: int, tasks: BackgroundTasks):
    tasks.add_task(typeset, pages)
    return {}


if __name__ == "__main__":
    import uvicorn

    uvicorn.run("shop:app", timeout_graceful_shutdown=60)
