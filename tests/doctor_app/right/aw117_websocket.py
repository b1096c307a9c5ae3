# mypy: ignore-errors
from fastapi import APIRouter, WebSocket

router = APIRouter()


def log(what: str) -> None:
    print(what)


@router.websocket("/chat")
async def chat(socket: WebSocket):
    await socket.accept()
    log("came")
