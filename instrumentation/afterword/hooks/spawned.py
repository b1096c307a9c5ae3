"""An asyncio task the application spawned: its coroutine, watched from its first step to its last.

As long as whoever spawned it lasts, nothing is booked. `orphaned` looks again when the owner has ended.
"""

import asyncio
import sys
from contextlib import suppress
from operator import attrgetter
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

from afterword import words
from afterword.hooks import alone, spawning, waiters
from afterword.hooks.adopting import open_for
from afterword.hooks.ending import start
from afterword.hooks.handed_over import attach
from afterword.hooks.nursery import LOOSE
from afterword.hooks.process import PROCESS
from afterword.hooks.run_spans import context_of
from afterword.hooks.running import RUNNING, Notes, book_end, settle_children, will_be_warned_of
from afterword.hooks.spawned_end import book
from afterword.hooks.steps import NOWHERE, Steps, come_on, without_this_frame
from afterword.hooks.telling import in_finalizer
from afterword.hooks.tracer import TRACING
from afterword.ledger.layout import IS_RUNNING, IS_WAITING, STATE_MASK, W_ON_LOOP
from afterword.ledger.slots import NO_RUN, Run, note_origin

if TYPE_CHECKING:
    from afterword.hooks.origin import Origin
    from afterword.ledger.accounts import Account

DISCARDED: Final = words.DROP_REASONS.index(words.DISCARDED)


class Spawned(Steps):
    """The coroutine of a spawned task, in the place of the user's. Cheap, for most are awaited and never booked."""

    # On the class until they become different.
    afterword_account: "Account | None" = None  # type: ignore[assignment]  # until it is adopted
    afterword_notes: Notes | None = None
    run: Run = NO_RUN
    #: The run it was spawned in, weakly: what lives long must not keep that and its arguments.
    parent: Any = None
    #: The task, weakly; None until its factory has made it.
    task: Any = None
    #: What it raised, or what it noted and returned, while that may have to be told.
    failure: type[BaseException] | tuple[Notes | None, Any] | None = None
    since = steps = 0
    #: Where in a trace it was spawned, and the OpenTelemetry context it has to be in from its next step on.
    place: Any = None
    entering: Any = None
    #: Whether its context is a copy that it has for itself.
    own_context = True
    begun = ended = False
    #: As a run is asked.
    afterword_ended = property(attrgetter("ended"))
    #: Its owner ended before it.
    orphan = False
    #: The route of the request that spawned it, by its number in the ledger plus one.
    route = 0
    #: A worker that goes round; `workers` sees that while it runs.
    goes_round = False

    def __init__(self, coro: Any, origin: "Origin", parent: Any) -> None:
        self.coro, self.origin, self.created = coro, origin, monotonic_ns()
        if parent is not None:
            self.parent = ref(parent)
        if TRACING.on:
            self.place = TRACING.here_or_nowhere()

    def send(self, value: Any = None) -> Any:
        """One step: the first begins the run, an exception or StopIteration ends it."""
        if not self.begun:
            self._begin()
        try:
            return self.coro.send(value)
        except StopIteration as end:
            self.ended = True
            if self.afterword_notes is not None or not self.origin.quiet:
                self._end(end)
            raise
        except BaseException as error:
            without_this_frame(error)
            self._end(error)
            raise

    __next__ = send

    def throw(self, *error: Any) -> Any:
        """One step that begins with an exception: so a cancellation reaches the coroutine."""
        if not self.begun:
            alone.guarded(alone.spare_inside, self.coro)
            self._begin()
        try:
            return self.coro.throw(*error)
        except BaseException as raised:
            without_this_frame(raised)
            self._end(raised)
            raise

    def close(self) -> None:
        """Somebody ends it where it is, or has forgotten the task whose coroutine awaits it."""
        try:
            self.coro.close()
        except BaseException as error:
            without_this_frame(error)
            if self.begun and not self.ended:
                self._end(error)
            raise
        if self.begun and not self.ended and (self.task is None or self.task() is not None):
            self._end(asyncio.CancelledError())
        else:
            self.forget()

    def _begin(self) -> None:
        self.begun = True
        if self.own_context:
            RUNNING.set(self)
            if self.place is not None and self.origin.forever:  # its rounds belong to nobody's request
                alone.guarded(attach, TRACING.without_span(self.place.context))

    # -- the run

    def adopt(self, kind: str = words.ASYNCIO) -> None:
        """Book it as a run of its own, from when it was spawned."""
        account = self.origin.known
        if account is None or account.kind != kind or not PROCESS.active:
            account = self.origin.account(kind)
        if account is None or self.afterword_account is not None:
            return
        self.origin.known, self.origin.quiet = account, False
        if type(self) is Spawned:
            self.__class__ = Marked
        open_for(self, account)
        if self.begun and self.own_context:
            self.entering = context_of(self.run)
        if account.kind == words.WORKER and self.afterword_notes is not None and self.afterword_notes.children:
            self.afterword_notes.children.hand_over(LOOSE)  # their owner never ends

    def put_into(self, account: "Account") -> None:
        """Open its run, from when it was spawned."""
        self.run = run = account.schedule()
        view = account.words
        if self.begun:
            account.start(run)  # it did not wait: it began when its loop turned
            self.since = self.created
            if run > 0 and view[run] & STATE_MASK == IS_RUNNING:
                view[run + 1] = view[run + 2] = self.created
        elif run > 0 and view[run] & STATE_MASK == IS_WAITING:
            view[run + 1] = self.created
        if account.kind != words.WORKER:
            note_origin(view, run, self.route)

    def orphaned(self, *, by_owner: bool) -> bool:
        """Settle it after its owner, or while its owner goes on for ever. True when it needs no further look."""
        self.orphan = self.orphan or by_owner
        if self.afterword_account is not None:
            return True
        if self.ended:
            return self.failure is None or alone.settled(self)
        task = None if self.task is None else self.task()
        if task is None or (by_owner and alone.is_cancelling(task)):
            return True  # cancelled by its owner, before that ended
        if waiters.awaited(task, outlived=by_owner):
            return False
        self.adopt()
        return True

    def book_failure(self) -> None:
        """It failed and nobody heard of it, or there is something else to tell of its end."""
        failure, self.failure = self.failure, None
        if failure is None:
            return
        self.adopt()
        account = self.afterword_account
        if account is None:
            return
        if isinstance(failure, tuple):
            book_end(account, self.run, self.since, *failure)
        else:
            account.fail(self.run, self.since, failure)

    def forget(self) -> None:
        """Nobody refers to it any more, and it has not ended."""
        if not self.ended:
            self.ended = True
            alone.guarded(self._forgotten)

    def called_back(self, task: Any) -> None:
        """It returned, and all callbacks of its task have been called."""
        task.get_loop().call_soon(alone.guarded, alone.look_again, self)

    def its_task(self) -> Any:
        """The task, if it is still there."""
        return None if self.task is None else self.task()

    def owner(self) -> Any:
        """The run it was spawned in, if it is still there."""
        return None if self.parent is None else self.parent()

    def _end(self, error: BaseException) -> None:
        self.ended = True
        try:
            notes, account, origin = self.afterword_notes, self.afterword_account, self.origin
            if account is not None:
                book(self, account, error, notes)
                if notes is not None:
                    settle_children(notes)
                return
            if not isinstance(error, StopIteration):
                alone.raised(self, error, notes)
            elif notes is not None or origin.known is not None or origin.judged:
                alone.returned(self, error.value, notes)
            if notes is not None and notes.children is not None:
                notes.children.hand_over(spawning._nursery_of(self.owner()))
        except Exception as trouble:  # noqa: BLE001 - observing may never break the work
            PROCESS.note(trouble)

    def _forgotten(self) -> None:
        if not PROCESS.active:
            return
        if self.afterword_account is None and self.begun:
            self.adopt()
        account = self.afterword_account
        if account is None:
            return  # never begun: the interpreter tells of a coroutine that was never awaited
        if self.begun:
            account.collect(self.run)
        else:
            account.drop(self.run, DISCARDED)
            will_be_warned_of(self.coro)
            alone.spare_inside(self.coro)
        settle_children(self.afterword_notes)


class Marked(Spawned):
    """One that is booked, or whose like was: its steps are marked in the ledger."""

    def send(self, value: Any = None) -> Any:
        """One step."""
        self.steps += 1
        if not self.begun:
            self._begin()
        if self.entering is not None:  # it was adopted in the middle: from here on it belongs to its own span
            alone.guarded(attach, self.entering)
            self.entering = None
        account: Any = self.origin.known
        words = account.words
        try:
            before = words[W_ON_LOOP]
            words[W_ON_LOOP] = account.mark
        except ValueError:  # of a ledger that was closed
            words, before = NOWHERE, 0
        try:
            return self.coro.send(value)
        except StopIteration as end:
            self._end(end)
            raise
        except BaseException as error:
            without_this_frame(error)
            self._end(error)
            raise
        finally:
            try:  # noqa: SIM105 - in every step
                words[W_ON_LOOP] = before
            except ValueError:  # closed meanwhile: this is a forked child, or accounting was switched off
                pass

    __next__ = send

    def throw(self, *error: Any) -> Any:
        """One step that begins with an exception."""
        self.steps += 1
        if not self.begun:
            alone.guarded(alone.spare_inside, self.coro)
            self._begin()
        words, before = come_on(self.origin.known)
        try:
            return self.coro.throw(*error)
        except BaseException as raised:
            without_this_frame(raised)
            self._end(raised)
            raise
        finally:
            with suppress(ValueError):  # as above
                words[W_ON_LOOP] = before

    def __del__(self) -> None:
        if not self.ended and not sys.is_finalizing():
            with in_finalizer():
                self.forget()

    def _begin(self) -> None:
        super()._begin()
        if self.afterword_account is not None:
            self.since = start(self.afterword_account, self.run)
