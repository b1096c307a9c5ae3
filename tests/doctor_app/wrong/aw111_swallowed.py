# mypy: ignore-errors
import contextlib

from fastapi import APIRouter, BackgroundTasks

router = APIRouter()


def send(email: str) -> None:
    try:
        print(email)
    except Exception:  # AW111
        pass


def each(emails: list[str]) -> None:
    for email in emails:
        try:
            print(email)
        except:  # AW111
            continue


def quiet(email: str) -> None:
    with contextlib.suppress(Exception):  # AW111
        print(email)


@router.post("/send")
async def route(email: str, tasks: BackgroundTasks):
    tasks.add_task(send, email)
    tasks.add_task(each, [email])
    tasks.add_task(quiet, email)
    return {}
