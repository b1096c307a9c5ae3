"""Work outside of the event loop: what threads and calls of pools have in common as children of whoever spawned them.

As long as the owner lasts, nothing is booked. Whoever settles it and the thread it runs in meet under one lock: either
the run is open when it ends and the thread books the end, or it has ended and nobody opens it any more.
"""

import time
from operator import attrgetter
from threading import Lock
from typing import TYPE_CHECKING, Any

from afterword import words
from afterword.hooks.adopting import open_for, start_for
from afterword.hooks.call import REASON
from afterword.hooks.ending import end_raised, ended_too_early
from afterword.hooks.process import PROCESS
from afterword.hooks.running import Notes, book_end, notes_of, settle_children
from afterword.hooks.tracer import TRACING
from afterword.ledger.layout import IS_RUNNING, IS_WAITING, STATE_MASK
from afterword.ledger.slots import NO_RUN, Run, note_origin

if TYPE_CHECKING:
    from afterword.hooks.origin import Origin
    from afterword.ledger.accounts import Account


class Outside:
    """A function that was handed to a thread or a pool, as a run that may have to be booked."""

    # On the class until they become different: most of what is handed over is never booked.
    afterword_account: "Account | None" = None
    afterword_notes: Notes | None = None
    run: Run = NO_RUN
    since = 0
    #: When it began (monotonic ns, 0 while it waits), and how long it took.
    begun = took = 0
    ended = orphan = goes_round = False
    #: Its function runs in another process or interpreter.
    far = False
    #: Where in a trace it was handed over, and the route of the request that did, by its number in the ledger plus one.
    place: Any = None
    route = 0
    #: As a run is asked.
    afterword_ended = property(attrgetter("ended"))
    failure: type[BaseException] | str | None = None
    #: The thread it runs in, as Python and as the kernel number it.
    ident: int | None = None
    native_id: int | None = None

    def __init__(self, origin: "Origin", parent: Any) -> None:
        self.origin, self.parent = origin, parent
        self.created = time.monotonic_ns()
        self.turn = Lock()
        if TRACING.on:
            self.place = TRACING.here_or_nowhere()

    def adopt(self, kind: str = words.THREAD) -> None:
        """Book it as a run of its own, from when it was handed over; not what has ended."""
        account = self.origin.account(kind)
        if account is not None:
            with self.turn:
                if not self.ended:
                    self._open(account)

    def _open(self, account: "Account") -> None:
        if self.afterword_account is not None:
            return
        self.origin.known = account
        open_for(self, account)

    def put_into(self, account: "Account") -> None:
        """Open its run, from when it was handed over."""
        self.run = run = account.schedule()
        view, begun = account.words, self.begun
        if not begun:
            _put(view, run, IS_WAITING, 1, self.created)
        else:
            waited = max(0, begun - self.created)
            _put(view, run, IS_WAITING, 1, time.monotonic_ns() - waited)  # so that this is the wait that is counted
            account.start(run)
            _put(view, run, IS_RUNNING, 1, begun - waited)
            _put(view, run, IS_RUNNING, 2, begun)
            self.since = begun
        if account.kind != words.WORKER:
            note_origin(view, run, self.route)

    def never(self, reason: str) -> None:
        """It will never begin."""
        try:
            with self.turn:
                if self.ended:
                    return
                self.ended = True
                account = self.afterword_account
            if account is not None:
                account.drop(self.run, REASON[reason])
        except Exception as error:  # noqa: BLE001 - observing may never break the work
            PROCESS.note(error)

    def begin(self) -> None:
        """It begins to run, in this thread or elsewhere."""
        try:
            with self.turn:
                if self.begun:
                    return
                self.begun = now = time.monotonic_ns()
                account = self.afterword_account
            if account is not None:
                view, run = account.words, self.run
                if run > 0 and view[run + 1] > now:  # a timer that never came to its time
                    _put(view, run, IS_WAITING, 1, now)
                self.since = start_for(self, account) if self.far else account.start(run)
        except Exception as error:  # noqa: BLE001 - observing may never break the work
            PROCESS.note(error)

    def finish(self, error: BaseException | None, result: Any = None) -> None:
        """It raised or returned."""
        try:
            with self.turn:
                if self.ended:
                    return
                self.ended = True
                account = self.afterword_account
            self.took = time.monotonic_ns() - self.begun if self.begun else 0
            if account is not None:
                self._book(account, error, result)
            elif error is not None:
                self._failed_alone(error)
            else:
                self._returned_alone(result)
            settle_children(self.afterword_notes)
            self.parent = None
        except Exception as trouble:  # noqa: BLE001 - observing may never break the work
            PROCESS.note(trouble)

    def book_failure(self) -> None:
        """It failed and nobody heard of it."""
        failure, self.failure = self.failure, None
        account = self._open_ended() if failure is not None else None
        if failure is not None and account is not None:
            account.fail(self.run, self.since, failure)

    def _book(self, account: "Account", error: BaseException | None, result: Any) -> None:
        notes = self.afterword_notes
        if error is not None:
            end_raised(account, self.run, self.since, error)
        elif account.kind == words.WORKER and ended_too_early(self):
            account.fail(self.run, self.since, words.RETURNED)
        elif notes is None and result is None and account.plain:
            account.succeed(self.run, self.since)
        else:
            book_end(account, self.run, self.since, notes, result, dropped=not self._heard())

    def _returned_alone(self, result: Any) -> None:
        """It raised nothing, before its owner ended: its owner's affair, unless nobody waits and it has a record."""
        notes = self.afterword_notes
        alone = not self._heard()
        if alone and notes is not None and notes.failed is not None:
            self.failure = notes.failed
            self.book_failure()
        elif alone and (self.origin.known is not None or self._is_wasted(result)):
            account = self._open_ended()
            if account is not None:
                book_end(account, self.run, self.since, notes, result, dropped=self._is_wasted(result))
        elif notes is not None and notes.errors and hasattr(self.parent, "afterword_notes"):
            notes_of(self.parent).errors += notes.errors

    def _open_ended(self) -> "Account | None":
        """Open the run of what has ended, as if it ended now; nobody else does."""
        account = self.origin.account(words.THREAD)
        if account is not None:
            self._open(account)
            self.since = time.monotonic_ns() - self.took
        return account

    # -- what a thread and a pool's call tell differently

    def _heard(self) -> bool:
        """Whether somebody waits for its end now."""
        return False

    def _is_wasted(self, result: Any) -> bool:
        """Whether what it returned has not even begun, and nobody can get at it."""
        raise NotImplementedError

    def _failed_alone(self, error: BaseException) -> None:
        """It raised before its owner ended."""
        raise NotImplementedError


def _put(view: Any, run: Run, state: int, word: int, value: int) -> None:
    """Set a word of a run's slot, if the run is still there: a ledger that was removed is written no more."""
    if run > 0 and view[run] & STATE_MASK == state:
        view[run + word] = value
