# mypy: ignore-errors
from database import SessionLocal, get_settings
from fastapi import APIRouter, BackgroundTasks, Depends

router = APIRouter()


def archive(order_id: int) -> None:
    with SessionLocal() as db:
        print(order_id, db)


def tell(order_id: int, settings=Depends(get_settings)) -> None:
    print(order_id, settings)


@router.post("/archive")
async def order(order_id: int, tasks: BackgroundTasks, settings=Depends(get_settings)):
    tasks.add_task(archive, order_id)
    tasks.add_task(tell, order_id, settings)
    tasks.add_task(tell, order_id=order_id, settings=settings)
    return {}
