"""The slots of one ledger: which are free, and the runs for which none was left.

A run is named by the index of its slot's ctl word. When all slots are taken a run gets a negative
number and lives in a dictionary: its totals are exact, only its age is not seen from outside.
"""

import itertools
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from afterword.ledger import layout

Run = int
NO_RUN: Final[Run] = 0

_FIRST_SLOTS, _MORE_SLOTS = 64, 512
_WORDS_PER_SLOT: Final = layout.SLOT_STRIDE // 8


def run_id(uuid: bytes, slot: int, scheduled: int) -> str:
    """A run's name for people: which process, which slot, and when it was handed over (monotonic ns), so no other's."""
    return f"{uuid[:4].hex()}-{slot:x}-{scheduled:x}"


def note_origin(view: Any, run: Run, route: int) -> None:
    """Say by which route a run was scheduled (0: by none), and that the words of its trace are its own.

    Not of a worker: it has other words.
    """
    if run > 0:
        view[run + layout.SLOT_ORIGIN] = (view[run + 1] & layout.ORIGIN_MASK) << layout.ROUTE_BITS | route


def route_of(origin: int, scheduled: int) -> int:
    """The number plus one of the route in a run's origin; 0 for none, also where an earlier run left it."""
    run = origin >> layout.ROUTE_BITS
    return origin & layout.ROUTE_MASK if not run or run == scheduled & layout.ORIGIN_MASK else 0


@dataclass(slots=True)
class Slots:
    """The free slots of one ledger, first in first out, so that ended runs stay readable longest."""

    words: memoryview
    first: int
    count: int
    inherited: frozenset[Run] = frozenset()
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    free: deque[Run] = field(default_factory=deque)
    handed_out: int = 0
    without: dict[Run, int] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.RLock)

    @property
    def end(self) -> Run:
        """The first run that cannot be one of these slots."""
        return self.first + self.handed_out * _WORDS_PER_SLOT

    def more(self) -> Run | None:
        """Put the next slots into use and take one of them; None when every slot is taken."""
        with self._lock:
            n = min(_MORE_SLOTS if self.handed_out else _FIRST_SLOTS, self.count - self.handed_out)
            if n > 0:
                fresh = range(self.end, self.end + n * _WORDS_PER_SLOT, _WORDS_PER_SLOT)
                self.handed_out += n
                self.words[layout.W_SLOTS] = self.handed_out
                self.free.extend(slot for slot in fresh if slot not in self.inherited)
        try:
            return self.free.popleft()
        except IndexError:
            return None

    def none_left(self) -> Run:
        """A run without a slot, and the bound's counter."""
        self.words[layout.W_SLOTS_FULL] += 1
        run = -next(self.numbers)
        self.without[run] = time.monotonic_ns()
        return run

    def close(self) -> None:
        """No slot beyond those in use will be."""
        with self._lock:
            self.count = self.handed_out

    def open(self) -> frozenset[Run]:
        """The slots that hold an open run now; more at most, while threads take some."""
        return frozenset(range(self.first, self.end, _WORDS_PER_SLOT)) - frozenset(self.free)

    def any_open(self) -> bool:
        """Whether a run is waiting or running."""
        return any(
            self.words[slot] & layout.STATE_MASK in (layout.IS_WAITING, layout.IS_RUNNING) for slot in self.open()
        ) or bool(self.without)
