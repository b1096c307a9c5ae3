"""The shop, written the way an ordinary FastAPI application is written; one line of it is about afterword."""

# ruff: noqa: D101, D103 - the names say it, as they do in the applications this one stands for

import asyncio
import contextlib
import logging
import os
import smtplib
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from typing import Annotated, Any

import httpx
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Response
from fastapi.responses import JSONResponse
from sqlalchemy import create_engine, event, update
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker
from starlette.background import BackgroundTask

import afterword
from demo_app import telemetry
from demo_app.article import exposition, instrumented

SMTP_HOST = os.environ.get("SHOP_SMTP_HOST", "127.0.0.1")
SMTP_PORT = int(os.environ.get("SHOP_SMTP_PORT", "2525"))
PARTNERS = os.environ.get("SHOP_PARTNERS", "http://127.0.0.1:2580")
DATABASE = os.environ.get("SHOP_DATABASE", "sqlite:///shop.sqlite")
LARGEST_REFUND = 100

logger = logging.getLogger("shop")
partners = httpx.AsyncClient(base_url=PARTNERS, timeout=60)

# ---------------------------------------------------------------- database

engine = create_engine(DATABASE, connect_args={"timeout": 30})
SessionLocal = sessionmaker(engine)


class Base(DeclarativeBase):
    pass


class User(Base):
    __tablename__ = "users"
    id: Mapped[int] = mapped_column(primary_key=True)
    logins: Mapped[int] = mapped_column(default=0)
    last_login: Mapped[datetime | None]


class Article(Base):
    __tablename__ = "articles"
    id: Mapped[int] = mapped_column(primary_key=True)
    sold: Mapped[int] = mapped_column(default=0)


@event.listens_for(engine, "connect")
def let_two_workers_write(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")


def create_tables() -> None:
    """Once, before the workers start: ``python -m demo_app.shop``."""
    Base.metadata.create_all(engine)
    with SessionLocal.begin() as db:
        db.merge(User(id=1))
        db.merge(Article(id=1))


def get_db() -> Iterator[Session]:
    with SessionLocal() as db:
        yield db


# ---------------------------------------------------------------- tasks


def send_mail(address: str, subject: str) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "shop@example.com", address, subject
    message.set_content("Thank you.")
    # No timeout, like most code that is in production.
    with smtplib.SMTP(SMTP_HOST, SMTP_PORT) as smtp:  # afterword: ignore[AW106] - a scenario needs it
        smtp.send_message(message)


async def post_to_partner(path: str, data: dict[str, Any]) -> None:
    (await partners.post(path, json=data)).raise_for_status()


@instrumented("send_welcome_email")
def send_welcome_email(address: str) -> None:
    send_mail(address, "Welcome")


@instrumented("push_webhook")
async def push_webhook(what: str) -> None:
    await post_to_partner("hooks", {"event": what})


@instrumented("send_confirmation_email")
def send_confirmation_email(order_id: str) -> None:
    send_mail("customer@example.com", f"Order {order_id}")


@instrumented("update_inventory")
def update_inventory(article_id: int) -> None:
    with SessionLocal.begin() as db:
        db.execute(update(Article).where(Article.id == article_id).values(sold=Article.sold + 1))


@instrumented("notify_warehouse")
async def notify_warehouse(order_id: str) -> None:
    await post_to_partner("warehouse", {"order": order_id})


@instrumented("update_last_login")
def update_last_login(user_id: int) -> None:
    with SessionLocal.begin() as db:  # a session of its own: the request's is closed by now
        db.execute(update(User).where(User.id == user_id).values(logins=User.logins + 1, last_login=datetime.now(UTC)))


@instrumented("ask_for_review")
async def ask_for_review(order_id: str) -> None:
    try:
        await post_to_partner("reviews", {"order": order_id})
    except httpx.HTTPError:
        logger.exception("No review was asked for")


@instrumented("track_visit")
async def track_visit(page: str) -> None:
    await post_to_partner("statistics", {"page": page})


@instrumented("add_subscriber")
async def add_subscriber(email: str) -> None:
    await post_to_partner("newsletter", {"email": email})


@instrumented("build_report")
async def build_report(pages: int) -> None:
    for _ in range(pages):
        typeset_one_page()  # in the event loop, where it holds up everybody else
    await post_to_partner("reports", {"pages": pages})


def typeset_one_page() -> None:
    done = time.monotonic() + 0.1
    while time.monotonic() < done:
        sum(range(1000))


# ---------------------------------------------------------------- a worker


async def refresh_prices() -> None:
    while True:
        await post_to_partner("prices", {})
        await asyncio.sleep(0.5)


# ---------------------------------------------------------------- endpoints


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    worker = asyncio.create_task(refresh_prices())
    yield
    worker.cancel()
    with contextlib.suppress(asyncio.CancelledError, httpx.HTTPError):
        await worker
    await partners.aclose()
    engine.dispose()


telemetry.start("shop")
app = FastAPI(title="shop", lifespan=lifespan)
afterword.instrument(app)


@app.post("/register")
async def register(email: str, tasks: BackgroundTasks) -> dict[str, Any]:
    tasks.add_task(send_welcome_email, email)
    return {"message": "Registered", "served_by": os.getpid()}


@app.post("/order")
async def order(order_id: str, tasks: BackgroundTasks) -> dict[str, Any]:
    tasks.add_task(send_confirmation_email, order_id)
    tasks.add_task(update_inventory, 1)
    tasks.add_task(notify_warehouse, order_id)
    return {"order_id": order_id, "status": "processing", "served_by": os.getpid()}


@app.post("/login")
def login(tasks: BackgroundTasks, db: Annotated[Session, Depends(get_db)], user_id: int = 1) -> dict[str, Any]:
    user = db.get(User, user_id)
    if user is None:
        raise HTTPException(404, "User not found")
    tasks.add_task(update_last_login, user.id)
    return {"message": "Logged in", "served_by": os.getpid()}


@app.post("/webhook")
async def webhook(what: str, tasks: BackgroundTasks) -> dict[str, Any]:
    tasks.add_task(push_webhook, what)
    return {"message": "Accepted", "served_by": os.getpid()}


@app.post("/refund")
async def refund(amount: int, tasks: BackgroundTasks) -> dict[str, Any]:
    tasks.add_task(push_webhook, "refund")
    if amount > LARGEST_REFUND:  # decided after the hand-over: FastAPI forgets the task
        raise HTTPException(409, "A human has to approve this")  # afterword: ignore[AW112] - a scenario needs it
    return {"message": "Refunded", "served_by": os.getpid()}


@app.post("/express")
async def express(order_id: str, tasks: BackgroundTasks) -> Response:
    tasks.add_task(notify_warehouse, order_id)  # replaced by the response's own background below
    confirm = BackgroundTask(send_confirmation_email, order_id)
    answer = {"order_id": order_id, "served_by": os.getpid()}
    return JSONResponse(answer, background=confirm)  # afterword: ignore[AW108] - a scenario needs it


@app.post("/delivered")
async def delivered(order_id: str, tasks: BackgroundTasks) -> dict[str, Any]:
    tasks.add_task(ask_for_review, order_id)
    return {"order_id": order_id, "served_by": os.getpid()}


visits: set[asyncio.Task[None]] = set()


@app.post("/view")
async def view(page: str) -> dict[str, Any]:
    task = asyncio.create_task(track_visit(page))
    visits.add(task)
    task.add_done_callback(visits.discard)
    return {"page": page, "served_by": os.getpid()}


@app.post("/subscribe")
async def subscribe(email: str, tasks: BackgroundTasks) -> dict[str, Any]:
    if (await partners.get("flags/newsletter")).json()["on"]:
        tasks.add_task(add_subscriber, email)
    return {"message": "Subscribed", "served_by": os.getpid()}


@app.post("/report")
async def report(pages: int, tasks: BackgroundTasks) -> dict[str, Any]:
    tasks.add_task(build_report, pages)
    return {"message": "Being typeset", "served_by": os.getpid()}


@app.get("/health")
async def health() -> dict[str, Any]:
    return {"status": "ok", "served_by": os.getpid()}


@app.get("/article-metrics")
async def article_metrics() -> Response:
    return Response(exposition(), media_type="text/plain; version=0.0.4")


if __name__ == "__main__":
    create_tables()
