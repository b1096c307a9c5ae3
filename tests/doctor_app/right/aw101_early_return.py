# mypy: ignore-errors
from fastapi import APIRouter, BackgroundTasks, HTTPException, Response
from fastapi.responses import JSONResponse

router = APIRouter()
known: dict[str, str] = {}


def send_welcome(email: str) -> None:
    print(email)


@router.post("/register")
async def register(email: str, tasks: BackgroundTasks, response: Response, wanted: bool = True):
    if not email:
        raise HTTPException(422, "an address is needed")
    if len(email) < 3:
        return JSONResponse({"error": "too short"}, status_code=400)
    if "@" not in email:
        response.status_code = 422
        return {"error": "no address"}
    if email in known:
        return {"message": "already registered"}
    if not wanted:
        return {"message": "registered"}
    tasks.add_task(send_welcome, email)
    return {"message": "registered"}


@router.post("/sometimes")
async def sometimes(email: str, tasks: BackgroundTasks):
    if email:
        tasks.add_task(send_welcome, email)
    return {"message": "registered"}


@router.post("/either")
async def either(email: str, tasks: BackgroundTasks):
    if email:
        tasks.add_task(send_welcome, email)
        return {"message": "registered"}
    return {"error": "not registered"}


def helper(tasks: BackgroundTasks, email: str) -> None:
    if not email:
        return
    tasks.add_task(send_welcome, email)


@router.get("/cached")
async def cached(email: str, tasks: BackgroundTasks):
    found = known.get(email)
    if found is not None:
        return found
    helper(tasks, email)
    return {"message": "looked up"}


@router.post("/hooks/mail")
async def mail_hook(event: dict, tasks: BackgroundTasks):
    if not event.get("bounced"):
        return {"message": "thank you"}
    if event["bounced"] == "twice":
        return Response(status_code=204)
    tasks.add_task(send_welcome, event["email"])
    return {"message": "thank you"}


@router.post("/nothing")
async def nothing(email: str, tasks: BackgroundTasks):
    if len(email) > 100:
        return Response(status_code=204)
    tasks.add_task(send_welcome, email)
    return {"message": "registered"}
