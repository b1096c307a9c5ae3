# mypy: ignore-errors
from fastapi import APIRouter, BackgroundTasks, Depends
from fastapi.responses import JSONResponse
from starlette.background import BackgroundTask

router = APIRouter()


def pack(order_id: int) -> None:
    print(order_id)


def audit(tasks: BackgroundTasks) -> None:
    tasks.add_task(pack, 0)


@router.post("/express")
async def express(order_id: int, tasks: BackgroundTasks):
    tasks.add_task(pack, order_id)
    return JSONResponse({}, background=BackgroundTask(pack, order_id))  # AW108


@router.post("/audited", dependencies=[])
async def audited(order_id: int, seen=Depends(audit)):
    response = JSONResponse({})
    response.background = BackgroundTask(pack, order_id)  # AW108
    return response
