# mypy: ignore-errors
from contextlib import asynccontextmanager

from fastapi import FastAPI


@asynccontextmanager
async def lifespan(app):
    yield


inner = FastAPI(lifespan=lifespan)


@inner.on_event("startup")  # AW118
async def never() -> None:
    print("never")


def install(app) -> None:
    app.mount("/inner", inner)  # AW118
