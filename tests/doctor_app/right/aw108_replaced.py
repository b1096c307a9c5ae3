# mypy: ignore-errors
from fastapi import APIRouter, BackgroundTasks
from fastapi.responses import JSONResponse
from starlette.background import BackgroundTask

router = APIRouter()


def pack(order_id: int) -> None:
    print(order_id)


@router.post("/express")
async def express(order_id: int, tasks: BackgroundTasks):
    tasks.add_task(pack, order_id)
    tasks.add_task(pack, order_id)
    return JSONResponse({}, background=tasks)


@router.post("/plain")
async def plain(order_id: int):
    return JSONResponse({}, background=BackgroundTask(pack, order_id))


@router.post("/either")
async def either(order_id: int, tasks: BackgroundTasks):
    if order_id > 5:
        return JSONResponse({}, background=BackgroundTask(pack, order_id))
    tasks.add_task(pack, order_id)
    return {"message": "packed"}
