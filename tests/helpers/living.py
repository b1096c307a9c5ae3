"""An application that is alive on the test's own loop: its lifespan runs, and whatever it spawned comes to an end."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

_TURNS = 20
_SECONDS = 10.0


@asynccontextmanager
async def alive(app: Any) -> AsyncIterator[None]:
    """Run the lifespan of ``app`` as a server does, around whatever happens inside."""
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.3"}, "state": {}}
    life = asyncio.create_task(app(scope, heard.get, said.put))
    heard.put_nowait({"type": "lifespan.startup"})
    assert (await said.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        heard.put_nowait({"type": "lifespan.shutdown"})
        ending = await said.get()
        assert ending["type"] == "lifespan.shutdown.complete", ending
        await life


async def turns(count: int = _TURNS) -> None:
    """Let the loop turn, so that callbacks that are due are called."""
    for _ in range(count):
        await asyncio.sleep(0)


async def eventually(condition: Callable[[], Any], seconds: float = _SECONDS) -> Any:
    """The first true answer of ``condition``, while the loop turns and, now and then, garbage is collected."""
    end = asyncio.get_running_loop().time() + seconds
    tries = 0
    while not (answer := condition()):
        assert asyncio.get_running_loop().time() < end, f"not true within {seconds:g} s: {answer!r}"
        tries += 1
        if tries % 8 == 0:
            gc.collect()
        await asyncio.sleep(0.005)
    return answer
