# mypy: ignore-errors
import asyncio
import smtplib
import socket
from urllib.request import urlopen

import httpx
from fastapi import APIRouter, BackgroundTasks

router = APIRouter()
partner = httpx.AsyncClient(timeout=60)
options = {"timeout": 5}


def push(url: str) -> None:
    import requests

    requests.post(url, timeout=5)
    requests.get(url, **options)
    session = requests.Session()
    session.put(url, timeout=(3, 10))
    urlopen(url, None, 5)
    socket.create_connection(("localhost", 1), 5)
    with smtplib.SMTP("localhost", 25, timeout=5) as smtp:
        smtp.noop()
    {"requests": url}.get(url)


async def call(url: str) -> None:
    await partner.post(url)
    async with httpx.AsyncClient() as client:
        await client.post(url)
        await client.post(url, timeout=httpx.Timeout(None, connect=5))
        await asyncio.wait_for(client.post(url, timeout=None), 5)
    async with asyncio.timeout(5):
        await asyncio.open_connection("localhost", 1)


def ask(url: str) -> int:
    import requests

    return requests.get(url).status_code


@router.post("/push")
def route(url: str, tasks: BackgroundTasks):
    tasks.add_task(push, url)
    tasks.add_task(call, url)
    return {"now": ask(url)}
