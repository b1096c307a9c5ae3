# mypy: ignore-errors
from fastapi import APIRouter, BackgroundTasks
from fastapi.responses import JSONResponse

router = APIRouter()


def send_welcome(email: str) -> None:
    print(email)


@router.post("/register")
async def register(email: str, tasks: BackgroundTasks):
    if not email:
        return {"error": "an address is needed"}  # AW101
    tasks.add_task(send_welcome, email)
    return {"message": "registered"}


@router.post("/again")
def again(email: str, tasks: BackgroundTasks):
    if "@" not in email:
        return JSONResponse({"ok": False})  # AW101
    try:
        email = email.encode("idna").decode()
    except UnicodeError:
        return {"message": "invalid address"}  # AW101
    tasks.add_task(send_welcome, email)
    return {"message": "registered"}
