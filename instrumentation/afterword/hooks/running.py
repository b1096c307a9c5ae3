"""The run that is on now, what is noted about it while it lasts, and what that makes of its end.

A run is whatever books itself: a task of a response, its way through a thread, a spawned task. The
context variable names it, so that a log record, `afterword.fail` or a child finds the run it belongs to.
"""

import inspect
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Generator
from contextvars import ContextVar
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, Protocol

from afterword import words
from afterword.hooks.process import PROCESS
from afterword.ledger import layout

if TYPE_CHECKING:
    from afterword.hooks.nursery import Nursery
    from afterword.ledger.accounts import Account
    from afterword.ledger.slots import Run


class Notes:
    """What was noted while a run lasted; made when there is something to note."""

    __slots__ = ("children", "effects", "errors", "failed")

    def __init__(self) -> None:
        self.errors = 0
        self.effects = 0
        self.failed: str | None = None
        self.children: Nursery | None = None


class Lifespan:
    """Owner of what the application spawns while it starts: no run of its own, nothing to book."""

    afterword_account = None
    afterword_ended = False

    def __init__(self) -> None:
        self.afterword_notes: Notes | None = None


class Noted(Protocol):
    """A run with its notes; ``None`` until something is noted."""

    afterword_account: "Account | None"
    afterword_notes: Notes | None

    @property
    def afterword_ended(self) -> bool:
        """Whether it is over: what is noted now is not its."""
        ...


RUNNING: Final[ContextVar[Any]] = ContextVar("afterword_running", default=None)
#: Coroutines that are told as a result nobody awaits: the warning about them tells nothing new.
TOLD: Final[set[int]] = set()
CANCELLED: Final = {reason: number for number, reason in enumerate(words.CANCEL_REASONS)}
_MAX_REASON: Final = layout.EXCEPTION_BYTES
_MAX_TOLD: Final = 1024


def notes_of(run: Noted) -> Notes:
    """The notes of a run, made on first demand."""
    found = run.afterword_notes
    if found is None:
        found = run.afterword_notes = Notes()
    return found


def note_error() -> None:
    """An error was logged or recorded: a run that then succeeds has swallowed it; a worker does so at once."""
    run = RUNNING.get()
    if run is None or run.afterword_ended or not PROCESS.active:
        return
    account = run.afterword_account
    if account is not None and account.kind == words.WORKER:
        account.note(layout.LANE_SWALLOWED)
    else:
        notes_of(run).errors += 1


def fail(reason: str) -> None:
    """Declare from inside a run that it has failed, although it raises nothing. Never raises.

    Args:
        reason: Takes the place of an exception class in ``afterword_task_errors_total``: few different ones.
    """
    if not PROCESS.active:
        return
    run = RUNNING.get()
    if _is_no_run(run):
        PROCESS.complain("fail", "afterword.fail() was called outside of a task, where there is no run to fail.")
        return
    account = run.afterword_account
    if account is not None and account.kind == words.WORKER:
        account.note(layout.LANE_SWALLOWED)
    else:
        notes_of(run).failed = _text(reason)


def done(effects: int = 1) -> None:
    """Report from inside a run what it achieved, for a task declared with ``effects=``. Never raises.

    Args:
        effects: How many effects were achieved since the last report.
    """
    if not PROCESS.active:
        return
    run = RUNNING.get()
    if _is_no_run(run):
        PROCESS.complain("done", "afterword.done() was called outside of a task, where there is no run to report to.")
    elif not _is_count(effects):
        PROCESS.complain("effects", f"afterword.done({effects!r}) counts nothing; allowed: a whole number from 0")
    else:
        notes_of(run).effects += effects


def _is_no_run(run: Any) -> bool:
    return run is None or run.afterword_ended or type(run) is Lifespan


def _text(reason: object) -> str:
    try:
        text = str(reason).strip()
    except Exception:  # noqa: BLE001 - the user's object cannot be read; that the run failed is known
        text = type(reason).__name__
    return text[:_MAX_REASON] or "failed"


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def book_end(
    account: "Account", run: "Run", since: int, notes: Notes | None, result: Any, *, dropped: bool = True
) -> None:
    """Book the end of a run that raised nothing; ``dropped`` says that nobody gets to see its result."""
    reason = notes.failed if notes is not None else None
    if reason is None and result is not None and dropped and nobody_runs(result):
        reason = words.NEVER_AWAITED_RESULT
        will_be_warned_of(result)
    if reason is None and not account.plain:
        reason = _not_as_declared(account, notes, result)
    if reason is not None:
        account.fail(run, since, reason)
        return
    if notes is not None and notes.errors:
        account.swallow(run)
    account.succeed(run, since)


def will_be_warned_of(result: Any) -> None:
    """The interpreter will tell of a coroutine that was never awaited; here it has been told."""
    if isinstance(result, CoroutineType):
        if len(TOLD) >= _MAX_TOLD:  # somebody awaited them after all
            TOLD.clear()
        TOLD.add(id(result))


def hand_up(notes: Notes | None, run: Any) -> None:
    """What was noted in something that is no run of its own holds for the run it belongs to, if that goes on."""
    if notes is None or run is None or run.afterword_ended or not (notes.errors or notes.effects or notes.failed):
        return
    account = run.afterword_account
    if account is not None and account.kind == words.WORKER:
        if notes.errors or notes.failed:
            account.note(layout.LANE_SWALLOWED)
        return
    above = notes_of(run)
    above.errors += notes.errors
    above.effects += notes.effects
    above.failed = above.failed or notes.failed


def settle_children(notes: Notes | None) -> None:
    """The run that spawned them has ended, however."""
    if notes is not None and notes.children is not None:
        notes.children.settle()


def _not_as_declared(account: "Account", notes: Notes | None, result: Any) -> str | None:
    declaration = account.declaration
    if declaration.effects and (notes is None or notes.effects < declaration.effects):
        return words.EFFECTS_MISSING
    if declaration.success is None:
        return None
    try:
        return None if declaration.success(result) else words.NOT_SUCCESSFUL
    except Exception as error:  # noqa: BLE001 - the user's callable; the run itself went well
        about = f"success= of {account.name}"
        PROCESS.complain(about, f"{about} raised {type(error).__name__}: {error}. The run is booked as succeeded.")
        return None


def nobody_runs(result: Any) -> bool:
    """Whether a result is code that has not begun and that nobody will run, because whoever called drops it."""
    if isinstance(result, Coroutine):
        return bool(_state(result, "cr_frame", inspect.getcoroutinestate) == inspect.CORO_CREATED)
    if isinstance(result, AsyncGenerator):
        return getattr(result, "ag_frame", result) is not None  # None: somebody has run it to its end
    if isinstance(result, Generator):
        return bool(_state(result, "gi_frame", inspect.getgeneratorstate) == inspect.GEN_CREATED)
    # A future or a task goes on by itself; any other awaitable is a recipe that waits for somebody to await it.
    return isinstance(result, Awaitable) and not hasattr(result, "add_done_callback")


def _state(thing: Any, frame: str, look: Any) -> Any:
    return look(thing) if hasattr(thing, frame) else inspect.CORO_CREATED
