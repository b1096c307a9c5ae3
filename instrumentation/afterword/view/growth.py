"""How much the books have grown lately: what became of runs is known there also when it was kept nowhere one by one."""

import threading
from collections import deque

from afterword import words
from afterword.books.model import TaskBooks, TaskKey
from afterword.books.scan import Scan
from afterword.view.health import Recent

_Counts = dict[TaskKey, dict[str, int]]


class Growth:
    """Bad endings of the last ``window`` seconds by the books, as far as somebody has looked. Safe for threads."""

    def __init__(self, window: float) -> None:
        self._window = window
        self._lock = threading.Lock()
        #: When the books were looked at, whenever they had changed; the first is the last before the window.
        self._seen: deque[tuple[float, _Counts]] = deque()
        self._looked = float("-inf")

    def note(self, scan: Scan) -> Recent:
        """Take a scan in; what has been added to the books within the window before it."""
        counts = {key: found for key, books in scan.totals.tasks.items() if (found := _bad(key, books))}
        with self._lock:
            if scan.at - self._looked > self._window:  # what has grown since may be older than the window
                self._seen.clear()
            self._looked = scan.at
            if not self._seen or self._seen[-1][1] != counts:
                self._seen.append((scan.at, counts))
            while len(self._seen) > 1 and self._seen[1][0] <= scan.at - self._window:
                self._seen.popleft()
            before = self._seen[0][1]
        return {
            key: {ending: n - before.get(key, {}).get(ending, 0) for ending, n in found.items()}
            for key, found in counts.items()
        }


def merged(one: Recent, other: Recent) -> Recent:
    """For each task and ending the larger number of two."""
    return {
        key: {
            ending: max(one.get(key, {}).get(ending, 0), other.get(key, {}).get(ending, 0))
            for ending in {*one.get(key, {}), *other.get(key, {})}
        }
        for key in {*one, *other}
    }


def _bad(key: TaskKey, books: TaskBooks) -> dict[str, int]:
    cancelled = sum(books.finished[words.CANCELLED])
    if key.kind == words.WORKER:
        cancelled -= books.cancelled[words.CANCELLED_SHUTDOWN]  # how it should end
    found = {
        words.LOST: books.lost.total(),
        words.DROPPED: books.dropped.total(),
        words.FAILED: sum(books.finished[words.FAILED]),
        words.CANCELLED: cancelled,
        words.SWALLOWED: books.swallowed,
    }
    return {ending: n for ending, n in found.items() if n}
