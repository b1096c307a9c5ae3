"""The hot path: an account books the runs of one task, with a few stores and no lock.

Every transition is one chained assignment, evaluated from left to right:

    words[slot] = words[counter] = shadow[i] = shadow[i] + ONE

the ctl word commits, the counter follows, the shadow (a plain list) remembers. The statement holds
no call and no backward jump, so an interpreter with a GIL switches no thread and runs no signal
handler inside it. Free-threaded builds take a lock instead (`_locked`).

A run is named by the index of its slot's ctl word. When all slots are taken a run gets a negative
number and lives in a dictionary: its totals are exact, only its age is not seen from outside.
"""

import sys
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Final

from afterword import words
from afterword.ledger import layout
from afterword.ledger.layout import BUCKET_SHIFT, ENDING_LANES, ONE, TASK_SHIFT

Run = int
NO_RUN: Final[Run] = 0

_FIRST_SLOTS, _MORE_SLOTS = 64, 512
_WORDS_PER_SLOT: Final = layout.SLOT_STRIDE // 8
_CHECK_EVERY_NS: Final = 10_000_000_000


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a task says about itself. Durations in seconds; None takes the default."""

    name: str | None = None
    deadline: float | None = None
    start_deadline: float | None = None
    importance: str = words.MUST_RUN
    owner: str = ""


class Account:
    """Books the runs of one task of one kind; its calls are replaced whenever the ledger is."""

    __slots__ = ("cancel", "declaration", "drop", "fail", "kind", "name", "schedule", "start", "succeed")

    schedule: Callable[[], Run]
    start: Callable[[Run], int]
    succeed: Callable[[Run, int], None]
    fail: Callable[[Run, int, type[BaseException]], None]
    cancel: Callable[[Run, int], None]
    drop: Callable[[Run, int], None]

    def __init__(self, name: str, kind: str, declaration: Declaration) -> None:
        self.name = name
        self.kind = kind
        self.declaration = declaration


@dataclass(slots=True)
class Slots:
    """The free slots of one ledger, first in first out, so that ended runs stay readable longest."""

    words: memoryview
    first: int
    count: int
    inherited: frozenset[Run] = frozenset()
    free: deque[Run] = field(default_factory=deque)
    handed_out: int = 0
    without: dict[Run, int] = field(default_factory=dict)
    _numbers: count = field(default_factory=lambda: count(1))
    _lock: Any = field(default_factory=threading.RLock)

    def more(self) -> Run | None:
        """Put the next slots into use and take one of them; None when every slot is taken."""
        with self._lock:
            n = min(_MORE_SLOTS if self.handed_out else _FIRST_SLOTS, self.count - self.handed_out)
            if n > 0:
                begin = self.first + self.handed_out * _WORDS_PER_SLOT
                self.handed_out += n
                self.words[layout.W_SLOTS] = self.handed_out
                fresh = range(begin, begin + n * _WORDS_PER_SLOT, _WORDS_PER_SLOT)
                self.free.extend(slot for slot in fresh if slot not in self.inherited)
        try:
            return self.free.popleft()
        except IndexError:
            return None

    def none_left(self) -> Run:
        """A run without a slot, and the bound's counter."""
        self.words[layout.W_SLOTS_FULL] += 1
        run = -next(self._numbers)
        self.without[run] = time.monotonic_ns()
        return run

    def open(self) -> frozenset[Run]:
        """The slots that hold an open run now."""
        begin = self.first
        used = range(begin, begin + self.handed_out * _WORDS_PER_SLOT, _WORDS_PER_SLOT)
        return frozenset(used) - frozenset(self.free)


@dataclass(slots=True)
class WriteContext:
    """What an account needs of its ledger: the words, the slots, and two cold helpers."""

    words: memoryview
    sections: dict[int, layout.Section]
    slots: Slots
    count_exception: Callable[[int, type[BaseException]], None]
    check_file: Callable[[], None]
    check_at: list[int] = field(default_factory=lambda: [time.monotonic_ns() + _CHECK_EVERY_NS])

    def table(self, section: int) -> int:
        """The word at which a table begins."""
        return self.sections[section].offset // 8


def bind(account: Account, number: int, context: WriteContext) -> None:
    """Let ``account`` write record ``number`` of a ledger from now on."""
    calls = _transitions(number, context)
    if context.slots.inherited:
        calls = [_own_runs_only(call, context.slots.inherited) if i else call for i, call in enumerate(calls)]
    if not _has_gil():
        lock = threading.RLock()
        calls = [_locked(call, lock) for call in calls]
    (account.schedule, account.start, account.succeed, account.fail, account.cancel, account.drop) = calls


def bind_to_nothing(account: Account) -> None:
    """Let ``account`` book nothing at all: there is no ledger."""
    account.schedule = lambda: NO_RUN
    account.start = lambda run: 0
    account.succeed = account.cancel = account.drop = lambda run, since: None
    account.fail = lambda run, since, exception: None


def _transitions(number: int, context: WriteContext) -> list[Callable[..., Any]]:
    """The six calls of an account, as closures over local names: attribute look-ups would double the cost."""
    Q, slots = context.words, context.slots
    popleft, append, more, none_left, without = (
        slots.free.popleft, slots.free.append, slots.more, slots.none_left, slots.without,
    )  # fmt: skip
    now, bisect, bounds, first_bound = time.monotonic_ns, bisect_left, layout.BOUNDS_NS, layout.BOUNDS_NS[0]
    count_exception, check_file, check_at = context.count_exception, context.check_file, context.check_at

    scheduled_at = context.table(layout.SCHEDULED) + number
    started_at = context.table(layout.STARTED) + number * ENDING_LANES
    finished_at = context.table(layout.FINISHED) + number * 4 * ENDING_LANES
    sums_at = context.table(layout.SUMS) + number * 8
    wait_at = sums_at + layout.SUM_WAIT

    scheduled = _shadow(Q, scheduled_at, 1, layout.IS_WAITING, number)
    started = _shadow(Q, started_at, ENDING_LANES, layout.IS_RUNNING, number)
    dropped_at = finished_at + 3 * ENDING_LANES
    dropped = _shadow(Q, dropped_at, ENDING_LANES, layout.IS_DROPPED, number)
    waited = [Q[wait_at]]

    def schedule() -> Run:
        try:
            run = popleft()
        except IndexError:
            run = more() or none_left()
        if run < 0:
            Q[scheduled_at] = scheduled[0] = scheduled[0] + ONE
            return run
        Q[run + 1] = at = now()
        Q[run] = Q[scheduled_at] = scheduled[0] = scheduled[0] + ONE
        if at > check_at[0]:
            check_file()
        return run

    def start(run: Run) -> int:
        if run > 0:
            Q[run + 2] = at = now()
            wait = at - Q[run + 1]
            b = 0 if wait <= first_bound else bisect(bounds, wait)
            Q[run] = Q[started_at + b] = started[b] = started[b] + ONE
        else:
            at = now()
            since = without.get(run)
            if since is None:
                return at
            wait = at - since
            b = bisect(bounds, wait)
            Q[started_at + b] = started[b] = started[b] + ONE
        Q[wait_at] = waited[0] = waited[0] + wait
        return at

    def ending(outcome: int) -> Callable[[Run, int], None]:
        lane = finished_at + outcome * ENDING_LANES
        ended = _shadow(Q, lane, ENDING_LANES, layout.IS_SUCCEEDED + outcome, number)
        sum_at, last_at = sums_at + outcome, sums_at + layout.SUM_LAST + outcome
        ran = [Q[sum_at]]

        def end(run: Run, since: int) -> None:
            took = (at := now()) - since
            b = 0 if took <= first_bound else bisect(bounds, took)
            if run > 0:
                Q[run] = Q[lane + b] = ended[b] = ended[b] + ONE
                append(run)
            elif without.pop(run, None) is not None:
                Q[lane + b] = ended[b] = ended[b] + ONE
            else:
                return
            Q[sum_at] = ran[0] = ran[0] + took
            Q[last_at] = at

        return end

    succeed, failed, cancel = ending(0), ending(1), ending(2)

    def fail(run: Run, since: int, exception: type[BaseException]) -> None:
        failed(run, since)
        count_exception(number, exception)

    def drop(run: Run, reason: int) -> None:
        if run > 0:
            Q[run] = Q[dropped_at + reason] = dropped[reason] = dropped[reason] + ONE
            append(run)
        elif without.pop(run, None) is not None:
            Q[dropped_at + reason] = dropped[reason] = dropped[reason] + ONE

    return [schedule, start, succeed, fail, cancel, drop]


def _shadow(words: memoryview, at: int, lanes: int, state: int, number: int) -> list[int]:
    """The counters as they stand, each with the low bits its ctl word will carry."""
    return [
        words[at + lane] & -ONE | lane << BUCKET_SHIFT | number << TASK_SHIFT | state for lane in range(lanes)
    ]


def _own_runs_only(call: Callable[..., Any], inherited: frozenset[Run]) -> Callable[..., Any]:
    """After a fork: a run that the parent opened is the parent's to end, in the parent's ledger."""

    def guarded(run: Run, *rest: Any) -> Any:
        return time.monotonic_ns() if run in inherited else call(run, *rest)

    return guarded


def _locked(call: Callable[..., Any], lock: Any) -> Callable[..., Any]:
    def locked(*arguments: Any) -> Any:
        with lock:
            return call(*arguments)

    return locked


def _has_gil() -> bool:
    return getattr(sys, "_is_gil_enabled", lambda: True)()
