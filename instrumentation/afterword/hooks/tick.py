"""One timer on the application's loop: what can only be seen from inside, once a second and for microseconds.

That the loop turns at all, how late, the thread pool, workers' progress, children that have no owner, and where
overdue runs are stuck. There is no thread: what a blocked loop cannot say about itself is said by its silence.
"""

import asyncio
import time
from typing import Any, Final

from afterword.hooks import factory, stuck, telling
from afterword.hooks.dressing import look_for_tracer
from afterword.hooks.nursery import LOOSE
from afterword.hooks.process import PROCESS
from afterword.hooks.workers import WORKERS
from afterword.ledger import layout

#: Seconds between two ticks, and on a faster clock no less than that.
_EVERY, _LEAST = 1.0, 0.1
_MAX_POOL: Final = 1 << 30
_WORDS: Final = (
    layout.W_TICK, layout.W_TICK_EVERY, layout.W_LAG, layout.W_POOL_LIMIT, layout.W_POOL_BUSY, layout.W_POOL_WAITING,
)  # fmt: skip


class Tick:
    """The timer of one lifespan's loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limiter: Any) -> None:
        """Watch ``loop`` and the pool whose limiter anyio gave, if it did."""
        self._loop = loop
        self._limiter = limiter
        self._every = max(_LEAST, _EVERY / PROCESS.time_scale)
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0

    def start(self) -> None:
        """Tick from now on."""
        if PROCESS.active:
            _ticking.append(self)
            self._write(time.monotonic_ns())
            self._again()

    def stop(self) -> None:
        """Tick no more; the loop is not expected to turn any longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self in _ticking:
            _ticking.remove(self)
        if PROCESS.owner is not None and not _ticking:
            for word in _WORDS:
                PROCESS.owner.set_word(word, 0)

    def give_back(self) -> None:
        """Stop, and leave the loop as it was."""
        self.stop()
        if not self._loop.is_closed():
            factory.unwatch(self._loop)

    def _again(self) -> None:
        self._due = time.monotonic_ns() + int(self._every * 1e9)
        self._timer = self._loop.call_later(self._every, self._run)

    def _run(self) -> None:
        if self._timer is None:  # stopped, from another thread
            return
        try:
            now = time.monotonic_ns()
            try:  # first: a reader takes the tick before the progress, and measures what it finds by that tick
                WORKERS.observe(now)
            finally:
                self._write(now)
            factory.watch(self._loop)
            LOOSE.sweep()
            stuck.tell(now, [tick._loop for tick in _ticking])
            telling.flush()
            look_for_tracer()
        except Exception as error:  # noqa: BLE001 - observing may never break the work
            PROCESS.note(error)
        if PROCESS.active:
            self._again()

    def _write(self, now: int) -> None:
        owner = PROCESS.owner
        if owner is None:
            return
        owner.set_word(layout.W_TICK, now)
        owner.set_word(layout.W_TICK_EVERY, int(self._every * 1e9))
        owner.set_word(layout.W_LAG, max(0, now - self._due) if self._due else 0)
        limiter = self._limiter
        if limiter is not None:
            owner.set_word(layout.W_POOL_LIMIT, int(min(limiter.total_tokens, _MAX_POOL)))
            owner.set_word(layout.W_POOL_BUSY, limiter.borrowed_tokens)
            owner.set_word(layout.W_POOL_WAITING, limiter.statistics().tasks_waiting)


_ticking: Final[list[Tick]] = []


def _stand_aside() -> None:
    while _ticking:
        _ticking[0].give_back()
    LOOSE.children.clear()


PROCESS.at_standing_aside.append(_stand_aside)
