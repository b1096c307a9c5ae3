# mypy: ignore-errors
from fastapi import APIRouter, BackgroundTasks, HTTPException

router = APIRouter()


def pay_back(amount: int) -> None:
    print(amount)


@router.post("/refund")
async def refund(amount: int, tasks: BackgroundTasks):
    if amount > 100:
        raise HTTPException(409, "a human has to approve this")
    try:
        if amount < 0:
            raise ValueError(amount)
        tasks.add_task(pay_back, amount)
        print(amount)
    except ValueError:
        raise HTTPException(422, "not an amount") from None
    try:
        raise KeyError(amount)
    except KeyError:
        print("caught")
    return {}
