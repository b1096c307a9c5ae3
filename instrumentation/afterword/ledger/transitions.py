"""The hot path: the transitions of one task's runs, with a few stores and no lock.

Every transition is one chained assignment, evaluated from left to right:

    words[slot] = words[counter] = shadow[i] = shadow[i] + ONE

the ctl word commits, the counter follows, the shadow (a plain list) remembers. The statement holds
no call and no backward jump, so an interpreter with a GIL switches no thread and runs no signal
handler inside it. Free-threaded builds take a lock instead (`accounts.bind`).
"""

import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from afterword.ledger import layout
from afterword.ledger.layout import BUCKET_SHIFT, ENDING_LANES, ONE, TASK_SHIFT
from afterword.ledger.slots import Run, Slots

CHECK_EVERY_NS: Final = 10_000_000_000


@dataclass(slots=True)
class WriteContext:
    """What an account needs of its ledger: the words, the slots, and two cold helpers."""

    words: memoryview
    sections: dict[int, layout.Section]
    slots: Slots
    count_exception: Callable[[int, type[BaseException] | str], None]
    check_file: Callable[[], None]
    check_at: list[int] = field(default_factory=lambda: [time.monotonic_ns() + CHECK_EVERY_NS])

    def table(self, section: int) -> int:
        """The word at which a table begins."""
        return self.sections[section].offset // 8


def transitions(number: int, context: WriteContext) -> list[Callable[..., Any]]:
    """The calls of an account, as closures: attribute look-ups would double their cost."""
    return [
        _scheduling(number, context),
        _starting(number, context),
        _ending(number, context, 0),
        _failing(number, context, _ending(number, context, 1)),
        _cancelling(_ending(number, context, 2), noting(number, context)),
        _dropping(number, context),
        _collecting(number, context),
    ]


def _scheduling(number: int, context: WriteContext) -> Callable[[], Run]:
    view, slots, now = context.words, context.slots, time.monotonic_ns
    popleft, more, none_left = slots.free.popleft, slots.more, slots.none_left
    check_file, check_at = context.check_file, context.check_at
    counter = context.table(layout.SCHEDULED) + number
    shadow = _shadow(view, counter, 1, layout.IS_WAITING, number)

    def schedule() -> Run:
        try:
            run = popleft()
        except IndexError:
            run = more() or none_left()
        if run < 0:
            view[counter] = shadow[0] = shadow[0] + ONE
            return run
        view[run + 1] = at = now()
        view[run] = view[counter] = shadow[0] = shadow[0] + ONE
        if at > check_at[0]:
            check_file()
        return run

    return schedule


def _starting(number: int, context: WriteContext) -> Callable[[Run], int]:
    view, without, now = context.words, context.slots.without, time.monotonic_ns
    bisect, bounds, first_bound = bisect_left, layout.BOUNDS_NS, layout.BOUNDS_NS[0]
    counter = context.table(layout.STARTED) + number * ENDING_LANES
    shadow = _shadow(view, counter, ENDING_LANES, layout.IS_RUNNING, number)
    sum_at = context.table(layout.SUMS) + number * 8 + layout.SUM_WAIT
    waited = [view[sum_at]]

    def start(run: Run) -> int:
        if run > 0:
            view[run + 2] = at = now()
            wait = at - view[run + 1]
            b = 0 if wait <= first_bound else bisect(bounds, wait)
            view[run] = view[counter + b] = shadow[b] = shadow[b] + ONE
        else:
            at = now()
            since = without.get(run)
            if since is None:
                return at
            wait = at - since
            b = bisect(bounds, wait)
            view[counter + b] = shadow[b] = shadow[b] + ONE
        view[sum_at] = waited[0] = waited[0] + wait
        return at

    return start


def _ending(number: int, context: WriteContext, outcome: int) -> Callable[[Run, int], bool]:
    view, slots, now = context.words, context.slots, time.monotonic_ns
    append, forget = slots.free.append, slots.without.pop
    bisect, bounds, first_bound = bisect_left, layout.BOUNDS_NS, layout.BOUNDS_NS[0]
    counter = context.table(layout.FINISHED) + number * 4 * ENDING_LANES + outcome * ENDING_LANES
    shadow = _shadow(view, counter, ENDING_LANES, layout.IS_SUCCEEDED + outcome, number)
    sum_at = context.table(layout.SUMS) + number * 8 + layout.SUM_RUN + outcome
    last_at = context.table(layout.SUMS) + number * 8 + layout.SUM_LAST + outcome
    ran = [view[sum_at]]

    def end(run: Run, since: int) -> bool:
        took = (at := now()) - since
        b = 0 if took <= first_bound else bisect(bounds, took)
        if run > 0:
            view[run] = view[counter + b] = shadow[b] = shadow[b] + ONE
            append(run)
        elif forget(run, None) is not None:
            view[counter + b] = shadow[b] = shadow[b] + ONE
        else:
            return False
        view[sum_at] = ran[0] = ran[0] + took
        view[last_at] = at
        return True

    return end


def _failing(
    number: int, context: WriteContext, end: Callable[[Run, int], bool]
) -> Callable[[Run, int, type[BaseException] | str], None]:
    count_exception = context.count_exception

    def fail(run: Run, since: int, exception: type[BaseException] | str) -> None:
        if end(run, since):
            count_exception(number, exception)

    return fail


def _cancelling(end: Callable[[Run, int], bool], note: Callable[[int], None]) -> Callable[[Run, int, int], None]:
    def cancel(run: Run, since: int, reason: int) -> None:
        if end(run, since):
            note(layout.LANE_CANCELLED + reason)

    return cancel


def beating(number: int, context: WriteContext) -> Callable[[], None]:
    """Stores when a success was last reported, for work whose runs do not end."""
    view, now = context.words, time.monotonic_ns
    last_at = context.table(layout.SUMS) + number * 8 + layout.SUM_LAST

    def beat() -> None:
        view[last_at] = now()

    return beat


def noting(number: int, context: WriteContext) -> Callable[[int], None]:
    """Counts one in a lane beyond the buckets."""
    view, row = context.words, context.table(layout.FINISHED) + number * 4 * ENDING_LANES

    def note(lane: int) -> None:
        view[row + lane] += ONE

    return note


def _collecting(number: int, context: WriteContext) -> Callable[[Run], None]:
    """A started run whose coroutine was forgotten: it has no end, and takes a lane of its own."""
    view, append, forget = context.words, context.slots.free.append, context.slots.without.pop
    row, lane = divmod(layout.LANE_COLLECTED, ENDING_LANES)
    counter = context.table(layout.FINISHED) + number * 4 * ENDING_LANES + layout.LANE_COLLECTED
    shadow = [_shadow(view, counter - lane, ENDING_LANES, layout.IS_SUCCEEDED + row, number)[lane]]

    def collect(run: Run) -> None:
        if run > 0:
            view[run] = view[counter] = shadow[0] = shadow[0] + ONE
            append(run)
        elif forget(run, None) is not None:
            view[counter] = shadow[0] = shadow[0] + ONE

    return collect


def _dropping(number: int, context: WriteContext) -> Callable[[Run, int], None]:
    view, append, forget = context.words, context.slots.free.append, context.slots.without.pop
    counter = context.table(layout.FINISHED) + number * 4 * ENDING_LANES + 3 * ENDING_LANES
    shadow = _shadow(view, counter, ENDING_LANES, layout.IS_DROPPED, number)

    def drop(run: Run, reason: int) -> None:
        if run > 0:
            view[run] = view[counter + reason] = shadow[reason] = shadow[reason] + ONE
            append(run)
        elif forget(run, None) is not None:
            view[counter + reason] = shadow[reason] = shadow[reason] + ONE

    return drop


def _shadow(words: memoryview, at: int, lanes: int, state: int, number: int) -> list[int]:
    """The counters as they stand, each with the low bits its ctl word will carry."""
    return [words[at + lane] & -ONE | lane << BUCKET_SHIFT | number << TASK_SHIFT | state for lane in range(lanes)]
