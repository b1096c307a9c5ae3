"""Work that has to succeed every so often: `afterword.heartbeat`, and calls of what declares ``every=``."""

import difflib
import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final

from afterword import declarations, words
from afterword.hooks.code import never_returns
from afterword.hooks.ending import end, end_raised, leave, schedule, settle, start
from afterword.hooks.naming import identify
from afterword.hooks.process import PROCESS
from afterword.hooks.running import RUNNING, Notes, book_end
from afterword.hooks.workers import WORKERS
from afterword.ledger.accounts import Account

_SHOWN: Final = 10


def install() -> None:
    """See the calls of what declares ``every=``."""
    declarations.BOOKING.append((call, call_awaited))


def remove() -> None:
    """Undo `install`."""
    declarations.BOOKING.clear()


def open_accounts() -> None:
    """What has to succeed is known before it first runs, or it could fail to run unnoticed."""
    for function in list(declarations.EXPECTED.values()):
        _account_of(function)


def heartbeat(task: str | Callable[..., Any]) -> None:
    """Say that work goes on as it should: resets the time of its last success. Never raises.

    Args:
        task: The name of a task that declares ``every=``, or of a worker; or the function itself. The last part of
            a dotted name is enough if only one task ends in it.
    """
    if PROCESS.owner is None or not PROCESS.active:
        return
    try:
        name = task if isinstance(task, str) else identify(task)[0]
        known = PROCESS.owner.accounts()
        found = [account for account in known if account.name == name]
        if not found:
            found = [account for account in known if account.name.endswith(f".{name}")]
            if len({account.name for account in found}) != 1:
                _complain(name, sorted({account.name for account in known if account.name != words.OTHER}))
                return
        for account in found:
            account.beat()
        WORKERS.beat(found[0].name)
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        PROCESS.note(error)


def _complain(name: str, known: list[str]) -> None:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known[:_SHOWN]) or 'none yet'}."
    PROCESS.complain(
        f"heartbeat {name}",
        f"afterword.heartbeat({name!r}): no task of this name; {hint} A task is known by @afterword.task(every=...).",
    )


class _Called:
    """One call of a task that has to succeed every so often: a run like any other."""

    def __init__(self, account: Account) -> None:
        self.afterword_account = account
        self.afterword_notes: Notes | None = None
        self.afterword_ended = False


def call(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call it, and book that as a run."""
    account = _account_to_book(function)
    if account is None:
        return function(*args, **kwargs)
    run = schedule(account)
    since, called = start(account, run), _Called(account)
    token = RUNNING.set(called)
    try:
        result = function(*args, **kwargs)
    except BaseException as error:
        end_raised(account, run, since, error)
        raise
    finally:
        called.afterword_ended = True
        leave(token)
        settle(called.afterword_notes)
    end(_book_end, account, run, since, called.afterword_notes, result)
    return result


async def call_awaited(function: Callable[..., Awaitable[Any]], args: Any, kwargs: Any) -> Any:
    """Await it, and book that as a run."""
    account = _account_to_book(function)
    if account is None:
        return await function(*args, **kwargs)
    run = schedule(account)
    since, called = start(account, run), _Called(account)
    token = RUNNING.set(called)
    try:
        result = await function(*args, **kwargs)
    except BaseException as error:
        end_raised(account, run, since, error)
        raise
    finally:
        called.afterword_ended = True
        leave(token)
        settle(called.afterword_notes)
    end(_book_end, account, run, since, called.afterword_notes, result)
    return result


#: Whoever called it gets to see what it returned.
_book_end: Final = functools.partial(book_end, dropped=False)


def _account_to_book(function: Callable[..., Any]) -> Account | None:
    """None if nothing is booked, or the run that is on is the task's own already."""
    try:
        account = _account_of(function)
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        PROCESS.note(error)
        return None
    run = RUNNING.get()
    if account is None or run is None or run.afterword_ended or run.afterword_account is None:
        return account
    return None if run.afterword_account.name == account.name else account


def _account_of(function: Callable[..., Any]) -> Account | None:
    owner = PROCESS.owner
    if owner is None or not PROCESS.active:
        return None
    name, declaration = identify(function)
    body = getattr(function, "__code__", None)
    if body is not None and never_returns(body):
        kind = words.WORKER
    else:
        kind = words.ASYNCIO if declarations.is_awaited(function) else words.THREAD
    return owner.account(name, kind, declaration)
