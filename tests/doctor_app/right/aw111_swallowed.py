# mypy: ignore-errors
import contextlib
import logging
import os

from fastapi import APIRouter, BackgroundTasks

router = APIRouter()


def send(email: str) -> None:
    try:
        print(email)
    except ValueError:
        pass
    except Exception:
        logging.exception("not sent")
        raise
    finally:
        try:
            os.unlink(email)
        except Exception:
            pass


def quiet(email: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(email)
    with contextlib.suppress(Exception):
        os.unlink(email)


def number(text: str) -> int | None:
    try:
        return int(text)
    except Exception:
        return None


@router.post("/send")
async def route(email: str, tasks: BackgroundTasks):
    tasks.add_task(send, email)
    tasks.add_task(quiet, email)
    return {"number": number(email)}
