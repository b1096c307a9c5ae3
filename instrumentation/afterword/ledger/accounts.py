"""The hot path: an account books the runs of one task, with a few stores and no lock.

Every transition is one chained assignment, evaluated from left to right:

    words[slot] = words[counter] = shadow[i] = shadow[i] + ONE

the ctl word commits, the counter follows, the shadow (a plain list) remembers. The statement holds
no call and no backward jump, so an interpreter with a GIL switches no thread and runs no signal
handler inside it. Free-threaded builds take a lock instead (`_locked`).
"""

import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Container
from dataclasses import dataclass, field
from typing import Any, Final

from afterword import words
from afterword.ledger import layout
from afterword.ledger.layout import BUCKET_SHIFT, ENDING_LANES, ONE, TASK_SHIFT
from afterword.ledger.slots import NO_RUN, Run, Slots

CHECK_EVERY_NS: Final = 10_000_000_000


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
class WriteContext:
    """What an account needs of its ledger: the words, the slots, and two cold helpers."""

    words: memoryview
    sections: dict[int, layout.Section]
    slots: Slots
    count_exception: Callable[[int, type[BaseException]], None]
    check_file: Callable[[], None]
    check_at: list[int] = field(default_factory=lambda: [time.monotonic_ns() + CHECK_EVERY_NS])

    def table(self, section: int) -> int:
        """The word at which a table begins."""
        return self.sections[section].offset // 8


def bind(account: Account, number: int, context: WriteContext, earlier: Slots | None = None) -> None:
    """Let ``account`` write record ``number`` of a ledger from now on.

    With ``earlier``, the slots of the ledger it wrote before, runs that were opened there also end there.
    """
    calls = _transitions(number, context)
    if context.slots.inherited:
        calls = [_own_runs_only(call, context.slots.inherited) if i else call for i, call in enumerate(calls)]
    if not _has_gil():
        lock = threading.RLock()
        calls = [_locked(call, lock) for call in calls]
    if earlier is not None:
        before: list[Any] = [account.start, account.succeed, account.fail, account.cancel, account.drop]
        mine = context.slots.without
        calls[1:] = [_where_it_began(now, then, earlier.end, mine) for now, then in zip(calls[1:], before, strict=True)]
    (account.schedule, account.start, account.succeed, account.fail, account.cancel, account.drop) = calls


def bind_to_nothing(account: Account) -> None:
    """Let ``account`` book nothing at all: there is no ledger."""
    account.schedule, account.start = lambda: NO_RUN, lambda _: 0
    account.succeed = account.cancel = account.drop = lambda _, __: None
    account.fail = lambda _, __, ___: None


def _transitions(number: int, context: WriteContext) -> list[Callable[..., Any]]:
    """The six calls of an account, as closures: attribute look-ups would double their cost."""
    return [
        _scheduling(number, context),
        _starting(number, context),
        _ending(number, context, 0),
        _failing(number, context, _ending(number, context, 1)),
        _ending(number, context, 2),
        _dropping(number, context),
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


def _ending(number: int, context: WriteContext, outcome: int) -> Callable[[Run, int], None]:
    view, slots, now = context.words, context.slots, time.monotonic_ns
    append, forget = slots.free.append, slots.without.pop
    bisect, bounds, first_bound = bisect_left, layout.BOUNDS_NS, layout.BOUNDS_NS[0]
    counter = context.table(layout.FINISHED) + number * 4 * ENDING_LANES + outcome * ENDING_LANES
    shadow = _shadow(view, counter, ENDING_LANES, layout.IS_SUCCEEDED + outcome, number)
    sum_at = context.table(layout.SUMS) + number * 8 + layout.SUM_RUN + outcome
    last_at = context.table(layout.SUMS) + number * 8 + layout.SUM_LAST + outcome
    ran = [view[sum_at]]

    def end(run: Run, since: int) -> None:
        took = (at := now()) - since
        b = 0 if took <= first_bound else bisect(bounds, took)
        if run > 0:
            view[run] = view[counter + b] = shadow[b] = shadow[b] + ONE
            append(run)
        elif forget(run, None) is not None:
            view[counter + b] = shadow[b] = shadow[b] + ONE
        else:
            return
        view[sum_at] = ran[0] = ran[0] + took
        view[last_at] = at

    return end


def _failing(
    number: int, context: WriteContext, end: Callable[[Run, int], None]
) -> Callable[[Run, int, type[BaseException]], None]:
    count_exception = context.count_exception

    def fail(run: Run, since: int, exception: type[BaseException]) -> None:
        end(run, since)
        count_exception(number, exception)

    return fail


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


def _own_runs_only(call: Callable[..., Any], inherited: frozenset[Run]) -> Callable[..., Any]:
    """After a fork: a run that the parent opened is the parent's to end, in the parent's ledger."""

    def guarded(run: Run, *rest: Any) -> Any:
        return time.monotonic_ns() if run in inherited else call(run, *rest)

    return guarded


def _where_it_began(
    call: Callable[..., Any], before: Callable[..., Any], end: Run, without: Container[Run]
) -> Callable[..., Any]:
    """A run that an earlier ledger opened is below ``end``, or without a slot and not among ours."""

    def routed(run: Run, *rest: Any) -> Any:
        return call(run, *rest) if run >= end or run in without else before(run, *rest)

    return routed


def _locked(call: Callable[..., Any], lock: Any) -> Callable[..., Any]:
    def locked(*arguments: Any) -> Any:
        with lock:
            return call(*arguments)

    return locked


def _has_gil() -> bool:
    return bool(getattr(sys, "_is_gil_enabled", lambda: True)())
