# mypy: ignore-errors
from typing import Annotated

from database import get_db
from fastapi import APIRouter, BackgroundTasks, Depends

router = APIRouter()


def archive(
    order_id: int,
    db=Depends(get_db),  # AW104
) -> None:
    print(order_id, db)


def tell(
    order_id: int,
    db: Annotated[object, Depends(get_db)] = None,  # AW104
) -> None:
    print(order_id, db)


@router.post("/archive")
async def order(order_id: int, tasks: BackgroundTasks):
    tasks.add_task(archive, order_id)
    tasks.add_task(tell, order_id=order_id)
    return {}
