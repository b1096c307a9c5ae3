"""The last minutes of every task in equal steps, in memory: what the page draws before Grafana is open."""

import threading
from array import array
from collections import deque
from collections.abc import Callable
from typing import Final

from afterword import words
from afterword.books.model import TaskBooks, TaskKey
from afterword.books.scan import Scan
from afterword.view.model import Series

#: Seconds between two samples, and how many are kept: a quarter of an hour.
STEP: Final = 5.0
SAMPLES: Final = 180


class Recorder:
    """Keeps the samples. Safe for several threads."""

    def __init__(self, step: float = STEP) -> None:
        """Record from now on; ``step`` says how many seconds are between two samples."""
        self._step = step
        self._lock = threading.Lock()
        self._at: deque[float] = deque(maxlen=SAMPLES)
        #: By task five numbers a sample, those of before it was known are 0.
        self._tasks: dict[TaskKey, deque[array[int]]] = {}

    def note(self, scan: Scan) -> None:
        """Take the next sample."""
        with self._lock:
            for key in scan.totals.tasks.keys() - self._tasks.keys():
                self._tasks[key] = deque([_NOTHING] * len(self._at), maxlen=SAMPLES)
            for key, kept in list(self._tasks.items()):
                books = scan.totals.tasks.get(key)
                kept.append(_NOTHING if books is None else _numbers(books))
                if not any(map(any, kept)):  # its directory was made again, long ago
                    del self._tasks[key]
            self._at.append(scan.at)

    def series(self, wanted: Callable[[TaskKey], bool]) -> Series:
        """The sums over the tasks that are ``wanted``."""
        with self._lock:
            at, found = list(self._at), [list(kept) for key, kept in self._tasks.items() if wanted(key)]
        sums = [[0] * len(at) for _ in range(len(_NOTHING))]
        for samples in found:
            for place, numbers in enumerate(samples):
                for row, number in zip(sums, numbers, strict=True):
                    row[place] += number
        waiting, running, scheduled, succeeded, bad = sums
        return Series(self._step, at, waiting, running, scheduled, succeeded, bad)


_NOTHING: Final = array("q", [0] * 5)


def _numbers(books: TaskBooks) -> "array[int]":
    succeeded = sum(books.finished[words.SUCCEEDED])
    failed, cancelled = (sum(books.finished[outcome]) for outcome in (words.FAILED, words.CANCELLED))
    bad = failed + cancelled + books.dropped.total() + books.lost.total()
    return array("q", (books.waiting, books.running, books.scheduled, succeeded, bad))
