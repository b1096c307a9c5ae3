"""The lifespan of an instrumented application: the ledger's first and last word, and the workers between them."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from anyio.to_thread import current_default_thread_limiter
from starlette.applications import Starlette

from afterword import words
from afterword.hooks import code, expected, factory, stopping, telling, troubles
from afterword.hooks.dressing import look_for_tracer
from afterword.hooks.nursery import Nursery
from afterword.hooks.process import PROCESS
from afterword.hooks.running import RUNNING, Lifespan, Notes
from afterword.hooks.subapps import Subapps
from afterword.hooks.tick import Tick
from afterword.hooks.workers import WORKERS
from afterword.ledger import layout

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class _Life:
    """One lifespan of one application."""

    def __init__(self) -> None:
        self.owner = Lifespan()
        self.owner.afterword_notes = notes = Notes()
        notes.children = self.children = Nursery()
        outer = RUNNING.get()
        #: Entered by hand in the lifespan of another application: that one stands for the process.
        self.nested = type(outer) is Lifespan and not outer.afterword_ended
        self.subapps: Subapps | None = None
        self.tick: Tick | None = None
        self.counted = self.leaving = self.useless = self.over = False

    def begin(self, app: Starlette) -> None:
        """Before any of the application's own code runs."""
        if PROCESS.owner is not None:
            PROCESS.owner.open()
            PROCESS.owner.mark(layout.STATE_LIVE)
        if not self.nested:
            self.counted = True
            PROCESS.start()
        for module in _modules_of(app):
            code.belongs_to_application(module)
        troubles.install_spans()
        look_for_tracer()
        stopping.install()
        expected.open_accounts()
        factory.meet()
        self.subapps = Subapps(app)

    def started(self) -> None:
        """The application is up: what it spawned and still runs are its workers."""
        for ref in self.children.children:
            child = ref()
            if child is not None:
                _employ(child)
        self.children.children.clear()
        self.children.ended = True  # what its context spawns from here on has no owner that ends
        if self.subapps is not None:
            self.subapps.tell_skipped()
        look_for_tracer()
        loop = asyncio._get_running_loop()
        if loop is not None:  # trio has none
            factory.watch(loop)
            self.tick = Tick(loop, current_default_thread_limiter())
            self.tick.start()

    def failed(self) -> None:
        """It could not start: the server ends the process."""
        if PROCESS.owner is not None:
            PROCESS.owner.mark(layout.STATE_FAILED)

    def leave(self) -> None:
        """It is asked to shut down."""
        self.leaving = True
        PROCESS.leaving += self.counted
        stopping.begin()
        self.useless = stopping.could_not_start()

    def complete(self) -> None:
        """It has shut down as it should: whatever is still open now is lost by that.

        One that nobody asked to was ended from inside, by a task group for instance: its process serves on.
        """
        self.end(completed=self.leaving)
        if self.leaving and PROCESS.owner is not None and self.counted and not PROCESS.lifespans:
            PROCESS.owner.mark(layout.STATE_FAILED if self.useless else layout.STATE_CLOSED)

    def end(self, *, completed: bool = False) -> None:
        """However it ended."""
        if self.over:
            return
        self.over = True
        telling.flush()
        if self.subapps is not None:
            self.subapps.restore()
        if self.tick is not None:
            self.tick.stop()
        if self.counted:
            PROCESS.finish(completed=completed, leaving=self.leaving)


def _employ(child: Any) -> None:
    """What was spawned while the application started is a worker, also if it has failed by now."""
    if not child.ended:
        child.adopt(words.WORKER)
        account = child.afterword_account
        if account is not None and account.kind == words.WORKER:
            WORKERS.add(child)
    elif child.failure is not None and _is_unheard(child):
        child.adopt(words.WORKER)
        child.book_failure()
    else:
        child.orphaned(by_owner=True)


def _is_unheard(child: Any) -> bool:
    task = child.its_task() if hasattr(child, "its_task") else None
    return isinstance(child.failure, type) and task is not None and task._log_traceback


async def live(
    original: Callable[..., Awaitable[None]], app: Starlette, scope: MutableMapping[str, Any], receive: Any, send: Send
) -> None:
    """Run one lifespan call of an instrumented application."""
    life = _Life()
    _guarded(life.begin, app)

    async def noted(message: MutableMapping[str, Any]) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            _guarded(life.started)
        elif kind == "lifespan.startup.failed":
            _guarded(life.failed)
        elif kind == "lifespan.shutdown.complete":
            _guarded(life.complete)
        await send(message)

    async def heard() -> Any:
        message = await receive()
        if message.get("type") == "lifespan.shutdown":
            _guarded(life.leave)
        return message

    token = RUNNING.set(life.owner)
    try:
        await original(app, scope, heard, noted)
    finally:
        life.owner.afterword_ended = True
        _guarded(life.end)
        try:  # noqa: SIM105 - closed from outside, in another context than its own
            RUNNING.reset(token)
        except ValueError:
            pass


def _guarded(step: Callable[..., None], *args: Any) -> None:
    try:
        step(*args)
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        PROCESS.note(error)


def _modules_of(app: Starlette) -> set[str]:
    """The modules in which the application's endpoints and its lifespan are written."""
    things = [getattr(route, "endpoint", None) for route in app.routes]
    things.append(app.router.lifespan_context)
    return {module for thing in things if isinstance(module := getattr(thing, "__module__", None), str)}
