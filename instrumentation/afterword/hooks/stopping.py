"""The way down: when the process is asked to stop, and what it still owes then."""

import asyncio
import functools
import sys
import time
from collections import Counter
from typing import Any, Final

from afterword import words
from afterword.hooks import patches
from afterword.hooks.code import frames_of
from afterword.hooks.process import PROCESS
from afterword.ledger import layout
from afterword.ledger.saying import say

_MAX_SHOWN: Final = 10


def install() -> None:
    """Hook uvicorn's `Server.shutdown`, if that is the server: it waits for its tasks before the lifespan hears."""
    server = getattr(sys.modules.get("uvicorn.server"), "Server", None)
    original = getattr(server, "shutdown", None)
    if server is None or original is None or hasattr(original, "afterword_original"):
        return

    @functools.wraps(original)
    async def shutdown(self: Any, *args: Any, **kwargs: Any) -> Any:
        PROCESS.servers_leaving += 1
        last = begin()
        try:
            result = await original(self, *args, **kwargs)
        finally:
            PROCESS.servers_leaving = max(0, PROCESS.servers_leaving - 1)
        if last and PROCESS.active and PROCESS.owner is not None and PROCESS.owner.state != layout.STATE_FAILED:
            # Also without a lifespan: uvicorn now ends by the signal it got, and nothing else of ours will run.
            PROCESS.owner.mark(layout.STATE_CLOSED)
        return result

    shutdown.afterword_original = original  # type: ignore[attr-defined]  # tells it from another's
    patches.replace(server, "shutdown", shutdown)


def could_not_start() -> bool:
    """Whether uvicorn takes its application down again because it cannot serve it: its port is taken, for instance."""
    startup = getattr(getattr(sys.modules.get("uvicorn.server"), "Server", None), "startup", None)
    body = getattr(startup, "__code__", None)
    if body is None or asyncio._get_running_loop() is None:
        return False
    return any(frame.f_code is body for task in asyncio.all_tasks() for frame in frames_of(task.get_coro()))


def begin() -> bool:
    """A server or a lifespan is asked to stop. If that was the last: tell once what the process still owes."""
    if not PROCESS.active or not PROCESS.all_leave():
        return False
    if not PROCESS.stopping:
        try:
            PROCESS.stop()
            owed = _owed()
            if owed:
                say(f"stopping, and still owed: {owed}. The process ends when that has, or when it is killed.")
        except Exception as error:  # noqa: BLE001 - observing may never break the work
            PROCESS.note(error)
    return True


def _owed() -> str:
    if PROCESS.owner is None:
        return ""
    now = time.monotonic_ns()
    running: Counter[str] = Counter()
    waiting: Counter[str] = Counter()
    oldest: dict[str, int] = {}
    for ledger in PROCESS.owner.ledgers:
        for _, account, _, began in ledger.running():
            if account.kind != words.WORKER:
                running[account.name] += 1
                oldest[account.name] = min(began, oldest.get(account.name, began))
        waiting.update(account.name for account in ledger.waiting())
    told = [f"{name} ({n} running, the oldest for {(now - oldest[name]) / 1e9:.1f} s)" for name, n in running.items()]
    told += [f"{name} ({n} waiting)" for name, n in waiting.items()]
    more = [f"and {len(told) - _MAX_SHOWN} more"] if len(told) > _MAX_SHOWN else []
    return ", ".join(told[:_MAX_SHOWN] + more)
