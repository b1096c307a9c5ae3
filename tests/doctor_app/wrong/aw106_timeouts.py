# mypy: ignore-errors
import asyncio
import smtplib
import socket
from urllib.request import urlopen

import httpx
from fastapi import APIRouter, BackgroundTasks

router = APIRouter()
partner = httpx.AsyncClient(timeout=None)  # AW106


def push(url: str) -> None:
    import requests

    requests.post(url)  # AW106
    requests.get(url, timeout=None)  # AW106
    session = requests.Session()
    session.put(url)  # AW106
    urlopen(url)  # AW106
    socket.create_connection(("localhost", 1))  # AW106
    deliver(url)


def deliver(address: str) -> None:
    with smtplib.SMTP("localhost", 25) as smtp:  # AW106
        smtp.noop()


async def call(url: str) -> None:
    await partner.post(url)
    async with httpx.AsyncClient() as client:
        await client.post(url, timeout=None)  # AW106
        await client.post(url, timeout=httpx.Timeout(None))  # AW106
    await asyncio.open_connection("localhost", 1)  # AW106


@router.post("/push")
async def route(url: str, tasks: BackgroundTasks):
    tasks.add_task(push, url)
    tasks.add_task(call, url)
    return {}
