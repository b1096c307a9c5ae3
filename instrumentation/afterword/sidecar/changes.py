"""Server-sent events: the status, at once, each time something has changed, and at least every five seconds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Final

from pydantic import TypeAdapter

from afterword.view.model import Status
from afterword.view.reading import Look

#: Streams at a time; each is one open page.
MAX_STREAMS: Final = 64
#: Seconds between two looks while somebody listens, and between two events where nothing changes.
_LOOK, _QUIET = 1.0, 5.0
#: What the browser waits before it connects again, in ms.
_RETRY: Final = 2000
_STATUS: Final = TypeAdapter(Status)


class Changes:
    """Looks once a second for all who listen, in a thread, and only while somebody does."""

    def __init__(self, look: Callable[[], Look]) -> None:
        self._look = look
        self._listeners: set[asyncio.Queue[bytes]] = set()
        self._task: asyncio.Task[None] | None = None

    @property
    def full(self) -> bool:
        """Whether no further stream is begun."""
        return len(self._listeners) >= MAX_STREAMS

    async def stream(self) -> AsyncIterator[bytes]:
        """The events of one listener, as they are sent."""
        queue: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)
        self._listeners.add(queue)
        try:
            yield f"retry: {_RETRY}\n\n".encode()
            yield event((await asyncio.to_thread(self._look)).status)
            if self._task is None or self._task.done():
                self._task = asyncio.create_task(self._tell())
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)

    async def _tell(self) -> None:
        last, told = None, 0.0
        loop = asyncio.get_running_loop()
        while self._listeners:
            await asyncio.sleep(_LOOK)
            look = await asyncio.to_thread(self._look)
            known = await asyncio.to_thread(fingerprint, look)
            if known != last or loop.time() - told >= _QUIET:
                last, told = known, loop.time()
                for queue in self._listeners:
                    if queue.full():
                        queue.get_nowait()  # who is slow gets the newest
                    queue.put_nowait(event(look.status))


def event(status: Status) -> bytes:
    """One event as it is sent."""
    return b"event: status\ndata: " + _STATUS.dump_json(status) + b"\n\n"


def fingerprint(look: Look) -> object:
    """Equal as long as nothing has changed that a page shows, ages aside."""
    books = tuple((task.service, task.task, task.kind, task.health, task.books.equation) for task in look.tasks)
    history = look.status.sidecar.history
    return books, look.status.verdict, look.status.sentence, history.kept, history.missed, look.status.sidecar.ledgers
