# mypy: ignore-errors
from fastapi import APIRouter, BackgroundTasks, WebSocket

router = APIRouter()


def log(what: str) -> None:
    print(what)


@router.websocket("/chat")
async def chat(socket: WebSocket, tasks: BackgroundTasks):
    await socket.accept()
    tasks.add_task(log, "came")  # AW117
