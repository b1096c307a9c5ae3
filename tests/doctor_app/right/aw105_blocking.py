# mypy: ignore-errors
import asyncio
import smtplib
import time

import httpx
from fastapi import APIRouter, BackgroundTasks

router = APIRouter()


async def push(url: str) -> None:
    import requests

    await asyncio.sleep(1)
    async with httpx.AsyncClient() as client:
        await client.post(url)
    await asyncio.to_thread(requests.post, url, timeout=5)
    await asyncio.to_thread(lambda: requests.post(url, timeout=5))
    await asyncio.to_thread(mail, url)


def mail(address: str) -> None:
    time.sleep(1)
    with smtplib.SMTP("localhost", timeout=5) as smtp:
        smtp.noop()


@router.post("/push")
async def route(url: str, tasks: BackgroundTasks):
    time.sleep(0)
    tasks.add_task(push, url)
    tasks.add_task(mail, url)
    return {}
