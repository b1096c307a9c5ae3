"""Instrumenting every application that is called while a watch is on, and undoing it.

Unlike `afterword run` this also takes in those that were instrumented and switched off by AFTERWORD_DISABLED: the
test has asked for it.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, Final

from starlette.applications import Starlette

from afterword.hooks import asgi
from afterword.hooks.process import PROCESS
from afterword.instrument import DECIDED, instrument, uninstrument

_open: Final[list[object]] = []


@contextlib.contextmanager
def every_called_application() -> Iterator[None]:
    """Hook `Starlette.__call__`, outside of the hook that settles calls. Of several watches the outermost does it."""
    if _open:
        yield
        return
    with contextlib.ExitStack() as stack:
        found = Starlette.__dict__["__call__"]
        hook = _taking_in(found, stack)
        _open.append(hook)
        setattr(Starlette, "__call__", hook)  # noqa: B010 - mypy refuses the assignment
        try:
            yield
        finally:
            _open.clear()
            if Starlette.__dict__["__call__"] is hook:  # else somebody put theirs upon it: ours stands aside
                setattr(Starlette, "__call__", found)  # noqa: B010 - as above


def _taking_in(original: Callable[..., Any], stack: contextlib.ExitStack) -> Callable[..., Any]:
    @functools.wraps(original)
    async def called(self: Starlette, scope: Any, receive: Any, send: Any) -> None:
        if asgi.MARK not in self.__dict__ and _open and _open[0] is called:
            take_in(self, stack)
        await original(self, scope, receive, send)

    return called


def take_in(app: Starlette, stack: contextlib.ExitStack) -> None:
    """Instrument ``app`` with the settings of the process's ledger until ``stack`` is closed."""
    owner = PROCESS.owner
    if owner is None or asgi.MARK in app.__dict__:
        return
    settings, decided = owner.settings, app in DECIDED
    instrument(
        app, service=owner.service, dir=settings.directory, deadline=settings.deadline,
        start_deadline=settings.start_deadline, slots=settings.slots, disabled=False,
    )  # fmt: skip
    stack.callback(_let_go, app, decided)


def _let_go(app: Starlette, decided: bool) -> None:
    uninstrument(app)
    if not decided:
        DECIDED.discard(app)
