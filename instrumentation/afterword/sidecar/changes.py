"""Server-sent events: the status, at once, each time something has changed, and at least every five seconds."""

import asyncio
import logging
import weakref
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
_LOGGER: Final = logging.getLogger("afterword.sidecar")
_STATUS: Final = TypeAdapter(Status)


class Stream:
    """One page that listens: its place is taken from the moment it is made until nobody holds it any more."""

    def __init__(self, look: Callable[[], Look]) -> None:
        self._look = look
        #: The newest event that was not sent yet.
        self.next: asyncio.Queue[bytes] = asyncio.Queue(maxsize=1)

    def tell(self, one: bytes) -> None:
        """Send an event; who is slow gets the newest."""
        if self.next.full():
            self.next.get_nowait()
        self.next.put_nowait(one)

    async def events(self) -> AsyncIterator[bytes]:
        """What is sent, without an end."""
        yield f"retry: {_RETRY}\n\n".encode()
        yield event(await asyncio.to_thread(lambda: self._look().status))  # made there as well, not only read
        while True:
            yield await self.next.get()


class Changes:
    """Looks once a second for all who listen, in a thread, and only while somebody does."""

    def __init__(self, look: Callable[[], Look]) -> None:
        self._look = look
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self._task: asyncio.Task[None] | None = None
        self._troubled = False

    def open(self) -> AsyncIterator[bytes] | None:
        """The events for one more page; None when too many listen already."""
        if len(self._streams) >= MAX_STREAMS:
            return None
        stream = Stream(self._look)
        self._streams.add(stream)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._tell())
        return stream.events()

    async def _tell(self) -> None:
        last, told, loop = None, 0.0, asyncio.get_running_loop()
        while self._streams:
            await asyncio.sleep(_LOOK)
            try:
                look = await asyncio.to_thread(self._look)
                known = await asyncio.to_thread(fingerprint, look)
                if known != last or loop.time() - told >= _QUIET:
                    last, told, one = known, loop.time(), event(look.status)
                    for stream in list(self._streams):
                        stream.tell(one)
            except Exception as error:  # noqa: BLE001 - who listens must not be left in silence for good
                if not self._troubled:
                    self._troubled = True
                    _LOGGER.warning("the books cannot be looked at (%s: %s)", type(error).__name__, error)


def event(status: Status) -> bytes:
    """One event as it is sent."""
    return b"event: status\ndata: " + _STATUS.dump_json(status) + b"\n\n"


def fingerprint(look: Look) -> object:
    """Equal as long as nothing has changed that a page shows, ages aside."""
    books = tuple((task.service, task.task, task.kind, task.health, task.books.equation) for task in look.tasks)
    history = look.status.sidecar.history
    return books, look.status.verdict, look.status.sentence, history.kept, history.missed, look.status.sidecar.ledgers
