"""A worker's own habit: where it rests between two rounds, and how long its other waits take.

What a worker waits for cannot be known; where it usually waits can. The place at which it was seen most often in its
completed waits is where it rests, for as long as it likes. Anywhere else it is at work, and work that takes far
longer than it ever took has stalled.

Places are compared by looks and not by time: when a look comes late, how long it waited where it was seen last is not
known. That it may have been as long as that makes its patience longer, and no place the one where it rests.
"""

from typing import Any, Final

#: Rounds before a habit is one.
_ROUNDS: Final = 5
#: How many times the longest wait outside of the resting place a wait may take.
_PATIENCE: Final = 10
#: And never less than this, in ns on the clock of a process without a time scale.
_LEAST: Final = 60_000_000_000
_MAX_PLACES: Final = 256


class Habit:
    """What is known of one worker. All times in ns on the monotonic clock."""

    def __init__(self, now: int, scale: float, declared: float | None) -> None:
        """Begin to watch.

        Args:
            now: When it began.
            scale: How much faster than real time the default durations run.
            declared: Seconds it may go without progress, if it declares that.
        """
        self.progress = now
        self._least = int(_LEAST / scale)
        self._declared = None if declared is None else int(declared * 1e9)
        self._since = now
        self._place: Any = None
        self._idle = False
        self._moves = 0
        #: How often it was seen where it is now, and at each place it left.
        self._looks = 0
        self._seen: dict[Any, int] = {}
        self._longest: dict[Any, int] = {}

    def observe(self, place: Any, now: int, *, moved: bool, idle: bool) -> None:
        """One look at the worker.

        Args:
            place: Where it waits: whatever compares equal for the same place.
            now: When.
            moved: Whether it did anything since the last look.
            idle: Whether it waits for what may take for ever: work to come, or its time.
        """
        if moved:
            waited = now - self._since
            if self._place is not None:
                self._remember(self._place, waited, self._idle)
            self._since, self._looks = now, 0
            self._moves += 1
        self._looks += 1
        self._place, self._idle = place, idle
        if moved or idle or (self._declared is None and place == self._resting_place()):
            self.progress = now

    @property
    def limit(self) -> int:
        """How long it may go without progress; 0 while nothing can be said."""
        if self._declared is not None:
            return self._declared
        if self._moves < _ROUNDS:
            return 0
        rest = self._resting_place()
        at_work = max((longest for place, longest in self._longest.items() if place != rest), default=0)
        return max(self._least, _PATIENCE * at_work)

    def _remember(self, place: Any, waited: int, idle: bool) -> None:
        rest, limit, looks = self._resting_place(), self.limit, self._looks
        if len(self._seen) >= _MAX_PLACES and place not in self._seen:
            self._seen = {rest: self._seen[rest]}
            self._longest.clear()
        if 0 < limit < waited and not idle and place != rest:  # to have stalled once is no habit
            looks, waited = max(1, looks * limit // waited), limit
        self._seen[place] = self._seen.get(place, 0) + looks
        if not idle:
            self._longest[place] = max(waited, self._longest.get(place, 0))

    def _resting_place(self) -> Any:
        if self._moves < _ROUNDS:
            return None
        return max(self._seen, key=self._seen.__getitem__, default=None)
