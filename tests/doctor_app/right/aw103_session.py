# mypy: ignore-errors
import asyncio
from typing import Annotated

from database import SessionLocal, User, find_user, get_db, get_settings
from fastapi import APIRouter, BackgroundTasks, Depends
from sqlalchemy import func, select
from sqlalchemy.orm import Session

router = APIRouter()
running = set()
Db = Annotated[Session, Depends(get_db)]


def touch(user_id, settings=None) -> None:
    with SessionLocal() as db:
        user = db.get(User, user_id)
        print(user, settings)


async def audit(user_id) -> None:
    print(user_id)


async def fetch(db, user_id):
    return db.get(User, user_id)


class Service:
    def __init__(self, db: Session = Depends(get_db)) -> None:
        self.db = db

    def notify(self) -> None:
        print("done")


@router.post("/login")
async def login(
    db: Db, user_id: int, tasks: BackgroundTasks, settings=Depends(get_settings), service: Service = Depends()
):
    user = db.query(User).filter(User.id == user_id).first()
    tasks.add_task(touch, user.id)
    tasks.add_task(touch, user_id, settings=settings)
    tasks.add_task(touch, {"id": user.id, "email": user.email})
    tasks.add_task(touch, db.query(User).count())
    tasks.add_task(touch, db.scalar(select(func.max(User.id))))
    tasks.add_task(touch, [one.id for one in db.scalars(select(User))])
    tasks.add_task(service.notify)
    running.add(asyncio.create_task(audit(user.id)))
    both = [asyncio.create_task(fetch(db, one)) for one in (1, 2)]
    await asyncio.gather(*both)
    one = asyncio.create_task(fetch(db, 3))
    await one
    user = str(user)
    tasks.add_task(touch, user)
    found = find_user(db, user_id)
    db.expunge(found)
    tasks.add_task(touch, found)
    return {}
