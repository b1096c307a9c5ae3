# mypy: ignore-errors
import smtplib
import time
import urllib.request as web

from fastapi import APIRouter, BackgroundTasks

router = APIRouter()


async def push(url: str) -> None:
    import requests

    time.sleep(1)  # AW105
    requests.post(url, timeout=5)  # AW105
    with requests.Session() as session:
        session.get(url, timeout=5)  # AW105
    web.urlopen(url, timeout=5)  # AW105
    mail(url)


def mail(address: str) -> None:
    with smtplib.SMTP("localhost", timeout=5) as smtp:  # AW105
        smtp.noop()


@router.post("/push")
async def route(url: str, tasks: BackgroundTasks):
    tasks.add_task(push, url)
    return {}
