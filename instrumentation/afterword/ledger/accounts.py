"""What books the runs of one task: an account, bound to the record of whatever ledger is open."""

import sys
import threading
import time
from collections.abc import Callable, Container
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from afterword import words
from afterword.ledger import layout
from afterword.ledger.slots import NO_RUN, Run, Slots
from afterword.ledger.transitions import WriteContext, beating, noting, transitions

#: What the marks of an account without a ledger are written to.
_NO_WORDS: Final = [0] * (layout.LIVE_WORDS + layout.N_LIVE_WORDS)


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a task says about itself. Durations in seconds; None takes the default."""

    name: str | None = None
    deadline: float | None = None
    start_deadline: float | None = None
    importance: str = words.MUST_RUN
    owner: str = ""
    every: float | None = None
    effects: int = 0
    success: Callable[[Any], bool] | None = None


class Account:
    """Books the runs of one task of one kind; its calls are replaced whenever the ledger is."""

    __slots__ = (
        "bare", "beat", "cancel", "collect", "declaration", "drop", "fail", "function", "kind", "mark", "name",
        "note", "plain", "schedule", "start", "succeed", "swallow", "words",
    )  # fmt: skip

    schedule: Callable[[], Run]
    start: Callable[[Run], int]
    succeed: Callable[[Run, int], None]
    fail: Callable[[Run, int, type[BaseException] | str], None]
    cancel: Callable[[Run, int, int], None]
    drop: Callable[[Run, int], None]
    collect: Callable[[Run], None]
    #: Count an error that a run has swallowed.
    swallow: Callable[[Run], None]
    #: Count one in a lane beyond the buckets, by its place in the row of this task's endings.
    note: Callable[[int], None]
    #: Say that it has succeeded now, without the end of a run.
    beat: Callable[[], None]
    #: The first seven calls as the ledger made them, whatever was put around them since.
    bare: tuple[Callable[..., Any], ...]
    #: The function behind it, as ``module.qualname``, where the task has another name.
    function: str
    #: Whether a run that returned None and of which nothing was noted has succeeded.
    plain: bool
    #: The ledger's words and this task's number in `layout.W_ON_LOOP`.
    words: Any
    mark: int

    def __init__(self, name: str, kind: str, declaration: Declaration) -> None:
        self.name = name
        self.kind = kind
        self.declaration = declaration
        self.plain = not declaration.effects and declaration.success is None
        self.function = name if declaration.name is None else ""


def bind(account: Account, number: int, context: WriteContext, earlier: Slots | None = None) -> None:
    """Let ``account`` write record ``number`` of a ledger from now on.

    With ``earlier``, the slots of the ledger it wrote before, runs that were opened there also end there.
    """
    calls = transitions(number, context)
    if context.slots.inherited:
        calls = [_own_runs_only(call, context.slots.inherited) if i else call for i, call in enumerate(calls)]
    if not _has_gil():
        lock = threading.RLock()
        calls = [_locked(call, lock) for call in calls]
    before = getattr(account, "bare", None)  # one that is new in this ledger has no run in an earlier one
    if earlier is not None and before is not None:
        mine = context.slots.without
        calls[1:] = [
            _where_it_began(now, then, earlier.end, mine) for now, then in zip(calls[1:], before[1:], strict=True)
        ]
    account.bare = tuple(calls)
    undress(account)
    account.note, account.words, account.mark = noting(number, context), context.words, number + 1
    account.beat = beating(number, context)


def undress(account: Account) -> None:
    """Take off whatever was put around the calls of an account."""
    (
        account.schedule, account.start, account.succeed, account.fail, account.cancel, account.drop, account.collect,
    ) = account.bare  # fmt: skip
    account.swallow = partial(_swallow, account)


def _swallow(account: Account, _run: Run) -> None:
    account.note(layout.LANE_SWALLOWED)


def bind_to_nothing(account: Account) -> None:
    """Let ``account`` book nothing at all: there is no ledger."""
    account.schedule, account.start = lambda: NO_RUN, lambda _: 0
    account.succeed = account.drop = lambda _, __: None
    account.fail = lambda _, __, ___: None
    account.cancel = lambda _, __, ___: None
    account.collect = account.note = account.swallow = lambda _: None
    account.bare = (
        account.schedule, account.start, account.succeed, account.fail, account.cancel, account.drop, account.collect,
    )  # fmt: skip
    account.words, account.mark, account.beat = _NO_WORDS, 0, lambda: None


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
