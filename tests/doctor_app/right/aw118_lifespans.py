# mypy: ignore-errors
from fastapi import FastAPI

inner = FastAPI()
events = FastAPI()


@events.on_event("startup")
async def begin() -> None:
    print("begin")


def install(app) -> None:
    app.mount("/inner", inner)
