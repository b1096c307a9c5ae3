# mypy: ignore-errors
from fastapi import APIRouter, BackgroundTasks, HTTPException

router = APIRouter()


def pay_back(amount: int) -> None:
    print(amount)


@router.post("/refund")
async def refund(amount: int, tasks: BackgroundTasks):
    tasks.add_task(pay_back, amount)
    if amount > 100:
        raise HTTPException(409, "a human has to approve this")  # AW112
    return {}
