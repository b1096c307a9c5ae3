"""All hooks, switched on with the first instrumented application and off with the last."""

from typing import TYPE_CHECKING

from afterword.hooks import (
    asgi,
    background,
    expected,
    factory,
    patches,
    pools,
    run_spans,
    stopping,
    telling,
    their_spans,
    threads,
    troubles,
    unawaited,
)
from afterword.hooks.nursery import LOOSE
from afterword.hooks.process import PROCESS
from afterword.hooks.tracer import TRACING
from afterword.hooks.workers import WORKERS

if TYPE_CHECKING:
    from afterword.ledger.accounts import Account


def dress(account: "Account") -> None:
    """What is put around the calls of an account: its runs' spans, and the records of bad endings."""
    if TRACING.on:
        run_spans.dress(account)
    telling.dress(account)


def install() -> None:
    """Hook everything; `remove` restores what this found."""
    background.install()
    their_spans.install()
    asgi.install()
    troubles.install()
    unawaited.install()
    threads.install()
    pools.install()
    expected.install()
    stopping.install()


def remove() -> None:
    """Undo `install`."""
    patches.restore()
    factory.forget_loops()
    expected.remove()
    LOOSE.children.clear()
    WORKERS.clear()
    if PROCESS.loop is not None and not PROCESS.loop.is_closed():
        factory.unwatch(PROCESS.loop)
    PROCESS.loop = None
