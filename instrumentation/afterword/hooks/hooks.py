"""All hooks, switched on with the first instrumented application and off with the last."""

from afterword.hooks import (
    asgi,
    background,
    expected,
    factory,
    patches,
    pools,
    stopping,
    threads,
    troubles,
    unawaited,
)
from afterword.hooks.nursery import LOOSE
from afterword.hooks.process import PROCESS
from afterword.hooks.workers import WORKERS


def install() -> None:
    """Hook everything; `remove` restores what this found."""
    background.install()
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
