# mypy: ignore-errors
import asyncio
from typing import Annotated

from database import SessionLocal, User, find_user, get_db
from fastapi import APIRouter, BackgroundTasks, Depends
from sqlalchemy import select
from sqlalchemy.orm import Session

router = APIRouter()
running = set()
Db = Annotated[Session, Depends(get_db)]


def touch(user, db=None) -> None:
    print(user, db)


async def audit(db) -> None:
    print(db)


def current_user(user_id: int, db: Session = Depends(get_db)):
    return find_user(db, user_id)


class Service:
    def __init__(self, db: Session = Depends(get_db)) -> None:
        self.db = db

    def notify(self) -> None:
        self.db.commit()


@router.post("/login")
async def login(user_id: int, tasks: BackgroundTasks, db: Session = Depends(get_db)):
    user = db.query(User).filter(User.id == user_id).first()
    tasks.add_task(touch, user)  # AW103
    tasks.add_task(touch, user_id, db)  # AW103
    tasks.add_task(touch, user_id, db=db)  # AW103
    tasks.add_task(lambda: touch(user))  # AW103
    running.add(asyncio.create_task(audit(db)))  # AW103
    return {}


@router.post("/more")
def more(db: Db, tasks: BackgroundTasks, user=Depends(current_user), service: Service = Depends()):
    new = User(email="x")
    db.add(new)
    tasks.add_task(touch, new)  # AW103
    tasks.add_task(touch, user)  # AW103
    tasks.add_task(touch, find_user(db, 1))  # AW103
    tasks.add_task(service.notify)  # AW103

    def work() -> None:
        db.commit()

    tasks.add_task(work)  # AW103
    for one in db.scalars(select(User)).all():
        tasks.add_task(touch, one)  # AW103
    return {}
