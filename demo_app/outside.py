"""The world outside the shop: a mail server and two partners whose behaviour is switched over HTTP.

``python -m demo_app.outside --smtp-port 2525 --http-port 2580`` listens for mail by SMTP, for the partners' posts on
``/hooks`` and ``/warehouse``, and for the hand that switches them on ``/_world``.
"""

import argparse
import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final, Literal

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope
from aiosmtpd.smtp import Session as SmtpSession
from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

Mode = Literal["ok", "refuse", "hang", "slow"]
MAIL, HOOKS, WAREHOUSE = "mail", "hooks", "warehouse"
REVIEWS, STATISTICS, NEWSLETTER, REPORTS, PRICES = "reviews", "statistics", "newsletter", "reports", "prices"
#: Seconds a healthy system takes: long enough that a busy shop always has work in flight.
USUAL: Final = {MAIL: 0.25} | dict.fromkeys((HOOKS, WAREHOUSE, REVIEWS, STATISTICS, NEWSLETTER, REPORTS, PRICES), 0.05)


class Desk:
    """One receiving system: what arrives is held for as long as its mode says, then delivered or refused."""

    def __init__(self, usual: float) -> None:
        self.mode: Mode = "ok"
        self.usual, self.seconds = usual, usual
        self.held = 0
        self.delivered: Counter[str] = Counter()
        self._changed = asyncio.Event()

    def switch(self, mode: Mode, seconds: float) -> None:
        """From now on; what is being held follows the new mode."""
        self.mode, self.seconds = mode, seconds
        self._changed.set()
        self._changed = asyncio.Event()

    async def admit(self) -> bool:
        """Hold one arrival; False when it is refused."""
        self.held += 1
        try:
            while not await self._served():
                pass
        finally:
            self.held -= 1
        return self.mode != "refuse"

    def report(self) -> dict[str, Any]:
        """How it stands now."""
        return {"mode": self.mode, "held": self.held, "delivered": dict(self.delivered)}

    async def _served(self) -> bool:
        """True once the time of the present mode has passed, False if the mode changed before."""
        changed = self._changed
        wait = {"ok": self.usual, "refuse": 0.0, "slow": self.seconds, "hang": None}[self.mode]
        try:
            await asyncio.wait_for(changed.wait(), wait)
        except TimeoutError:
            return True
        return False


class MailServer:
    """aiosmtpd's handler: refuses or holds the message itself, so that a broken connection delivers nothing."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    # The name and the arguments are aiosmtpd's.
    async def handle_DATA(self, _server: SMTP, _session: SmtpSession, envelope: Envelope) -> str:  # noqa: N802
        """The message is complete: the reply decides whether it is delivered."""
        if not await self._desk.admit():
            return "554 5.7.1 Message refused"
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        kind = "welcome" if b"Subject: Welcome" in content else "confirmation"
        self._desk.delivered[kind] += 1
        return "250 2.0.0 Accepted"


class Switch(BaseModel):
    """How a system behaves from now on; ``seconds`` only counts for ``slow``."""

    mode: Mode
    seconds: float = 1.0


def partners(desks: dict[str, Desk], smtp_host: str, smtp_port: int) -> FastAPI:
    """The partners' HTTP side and the switch; the mail server lives and dies with it."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        handler = MailServer(desks[MAIL])
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: SMTP(handler, loop=loop, timeout=3600), smtp_host, smtp_port)
        yield
        server.close()

    app = FastAPI(lifespan=lifespan)

    @app.get("/_world")
    async def world() -> dict[str, Any]:
        return {name: desk.report() for name, desk in desks.items()}

    @app.put("/_world/{system}")
    async def switch(system: str, wanted: Switch) -> dict[str, Any]:
        _known(desks, system).switch(wanted.mode, wanted.seconds)
        return desks[system].report()

    @app.get("/flags/{system}")
    async def flag(system: str) -> dict[str, bool]:
        return {"on": _known(desks, system).mode != "refuse"}

    @app.post("/{system}")
    async def receive(system: str, request: Request) -> dict[str, str]:
        desk = _known(desks, system)
        await request.body()
        if not await desk.admit():
            raise HTTPException(503, "Not now")
        if not await request.is_disconnected():
            desk.delivered[system] += 1
        return {"status": "received"}

    return app


def _known(desks: dict[str, Desk], system: str) -> Desk:
    if system not in desks:
        raise HTTPException(404, f"There is no {system} here")
    return desks[system]


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(prog="python -m demo_app.outside", description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--smtp-port", type=int, default=2525)
    parser.add_argument("--http-port", type=int, default=2580)
    chosen = parser.parse_args()
    desks = {name: Desk(usual) for name, usual in USUAL.items()}
    app = partners(desks, chosen.host, chosen.smtp_port)
    uvicorn.run(app, host=chosen.host, port=chosen.http_port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
