"""A process's own ledger: opened at first use, kept through fork and deletion, closed at exit.

Accounts are opened by name once and rebound whenever the ledger under them changes: a forked child
gets a ledger of its own, after a deletion the process goes on in a new one, and without a ledger
they book nothing.
"""

import contextlib
import itertools
import os
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from afterword import words
from afterword.ledger import layout
from afterword.ledger.accounts import Account, Declaration, bind_to_nothing, undress
from afterword.ledger.open_ledger import OpenLedger, OpenRun
from afterword.ledger.saying import say
from afterword.ledger.slots import NO_RUN, Run
from afterword.ledger.transitions import CHECK_EVERY_NS
from afterword.settings import MAX_SLOTS

try:
    from afterword.ledger import file
except ImportError:  # a platform without file locks: importing and instrumenting must not fail there
    file = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable

    from afterword.ledger.file import LedgerFile
    from afterword.settings import Settings

_MAX_NAMED: Final = layout.MAX_TASKS - layout.RESERVED_TASKS
#: Ledgers one process goes through because their files are removed; the last is kept, file or not.
_MAX_EARLIER: Final = 8
#: Ledgers of owners that were closed while runs were open: mapped until the last of those has ended.
_DRAINING: Final[list[OpenLedger]] = []


class Owner:
    """Keeps the ledger of one process. Safe to call from threads, signal handlers and finalizers."""

    def __init__(self, settings: "Settings", version: str, service: str) -> None:
        self.settings = settings
        self.version = version
        self.service = service
        self.unavailable: str | None = None
        self._accounts: dict[tuple[str, str], Account] = {}
        self._ledger: OpenLedger | None = None
        self._earlier: list[OpenLedger] = []
        self._run_numbers = itertools.count(1)
        self._tasks_full = 0
        self._opening = False
        self._lock = threading.RLock()
        self._inherited: frozenset[Run] = frozenset()
        self._note: int | None = None
        #: Called with each account that has been bound to a ledger: what is put around its calls.
        self.dress: Callable[[Account], None] = lambda _: None
        #: What the spans of this process say about it, as JSON.
        self._resource = b""
        _release_drained()

    # -- accounts

    def account(self, name: str, kind: str, declaration: Declaration) -> Account:
        """The account of a task, opened on first demand; beyond the bound, the one of ``__other__``."""
        key = (name, kind)
        found = self._accounts.get(key)
        if found is not None:
            return found
        with self._lock:
            found = self._accounts.get(key)
            if found is not None:
                return found
            if len(self._accounts) >= _MAX_NAMED:
                return self._other(kind)
            account = Account(name, kind, declaration)
            self._connect(account)  # before anybody else can find it
            return self._accounts.setdefault(key, account)

    def accounts(self) -> list[Account]:
        """All accounts that were opened."""
        return list(self._accounts.values())

    def _other(self, kind: str) -> Account:
        """The task table is full: one account a kind takes what no longer fits."""
        self._tasks_full += 1
        if self._ledger is not None:
            self._ledger.context.words[layout.W_TASKS_FULL] = self._tasks_full
        key = (words.OTHER, kind)
        found = self._accounts.get(key)
        if found is None:
            account = Account(words.OTHER, kind, Declaration())
            self._connect(account)
            found = self._accounts.setdefault(key, account)
        return found

    def _connect(self, account: Account) -> None:
        if self._ledger is not None:
            self._ledger.bind(account, self._with_defaults(account.declaration))
            self.dress(account)
        elif self.unavailable is not None:
            bind_to_nothing(account)
        else:
            bind_to_nothing(account)
            account.schedule = partial(self._open_and_schedule, account)

    def _open_and_schedule(self, account: Account) -> Run:
        self.open()
        return NO_RUN if isinstance(account.schedule, partial) else account.schedule()

    def _with_defaults(self, declaration: Declaration) -> Declaration:
        settings = self.settings
        return replace(
            declaration,
            deadline=settings.deadline if declaration.deadline is None else declaration.deadline,
            start_deadline=(
                settings.start_deadline if declaration.start_deadline is None else declaration.start_deadline
            ),
        )

    # -- the ledger

    @property
    def path(self) -> Path | None:
        """The file this process writes, if it writes one."""
        return self._ledger.file.path if self._ledger is not None else None

    def open(self) -> bool:
        """Make the ledger now, unless there is one or there cannot be one. Never raises."""
        if self._ledger is not None:
            return True
        with self._lock:
            if self.unavailable is None and not self._opening:  # a signal handler may come back in here
                self._opening = True
                try:
                    self._open_once()
                finally:
                    self._opening = False
        return self._ledger is not None

    def _open_once(self) -> None:
        if self._ledger is not None:
            return None
        if file is None:
            return self._give_up("platform", f"this platform ({sys.platform}) has no file locks")
        try:
            made = self._make_file(self.settings.slots)
            self._use(OpenLedger(made, self._check_file, self._inherited, self._run_numbers))
        except file.LedgerUnavailableError as error:
            return self._give_up(error.reason, str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not come back with every request
            return self._give_up("error", f"{type(error).__name__}: {error}")
        return None

    def _make_file(self, slots: int) -> "LedgerFile":
        linked = self.settings.trace == "link"
        return file.create(self.settings.directory, self.service, self.version, slots, linked=linked)

    def _use(self, ledger: OpenLedger) -> None:
        self._ledger = ledger
        if self._resource:
            ledger.note_resource(self._resource)
        ledger.context.words[layout.W_TASKS_FULL] = self._tasks_full
        for account in list(self._accounts.values()):
            ledger.bind(account, self._with_defaults(account.declaration))
            self.dress(account)

    def _give_up(self, reason: str, sentence: str) -> None:
        self.unavailable = reason
        for account in list(self._accounts.values()):
            bind_to_nothing(account)
        self.leave_note(reason)
        say(f"accounting is off ({sentence}). The application is not affected.")

    def leave_note(self, reason: str) -> None:
        """Tell the sidecar that this process books nothing, and why, if even that is possible."""
        if self._note is None and file is not None:
            self._note = file.leave_note(self.settings.directory, reason)

    def _check_file(self) -> None:
        """Every ten seconds at most: if a cleaner removed our file, go on in a new one.

        What was opened in the old one ends there; its mapping stays, so whoever has it open reads on.
        """
        current = self._ledger
        if current is None:
            return
        current.context.check_at[0] = time.monotonic_ns() + CHECK_EVERY_NS
        if current.file.still_there() or len(self._earlier) >= _MAX_EARLIER:
            return
        with contextlib.suppress(file.LedgerUnavailableError), self._lock:
            if self._ledger is current:
                slots = min(current.slots.handed_out + self.settings.slots, MAX_SLOTS)
                made = self._make_file(slots)
                current.continue_elsewhere()
                self._earlier.append(current)
                self._use(OpenLedger(made, self._check_file, self._inherited, self._run_numbers, after=current))

    # -- the process's life

    def count_internal_error(self) -> None:
        """One of our own errors, which the application did not see."""
        if self._ledger is not None:
            self._ledger.context.words[layout.W_INTERNAL_ERRORS] += 1

    @property
    def ledger(self) -> OpenLedger | None:
        """The ledger that is written now; another one after a fork or a deletion."""
        return self._ledger

    @property
    def ledgers(self) -> list[OpenLedger]:
        """That one, after those which it continues: they keep the runs they opened."""
        return [*self._earlier, self._ledger] if self._ledger is not None else list(self._earlier)

    def ledger_of(self, run: Run) -> OpenLedger | None:
        """The ledger in which a run is open, if it is in one of them."""
        return next((one for one in reversed(self.ledgers) if one.holds(run) or run in one.slots.without), None)

    def overdue(self, now_ns: int) -> list[OpenRun]:
        """The runs that have been running longer than their deadline."""
        return [open_run for ledger in self.ledgers for open_run in ledger.overdue(now_ns)]

    @property
    def state(self) -> int | None:
        """How the process ends, should it end now: what `mark` said last."""
        return self._ledger.context.words[layout.W_STATE] if self._ledger is not None else None

    def redress(self) -> None:
        """What is put around the calls of accounts has changed."""
        with self._lock:
            for account in list(self._accounts.values()):
                if self._ledger is not None:
                    undress(account)
                    self.dress(account)

    def note_resource(self, attributes: bytes) -> None:
        """Keep what the spans of this process say about it, as JSON of at most `layout.RESOURCE_BYTES`."""
        self._resource = attributes
        if self._ledger is not None:
            self._ledger.note_resource(attributes)

    def set_word(self, word: int, value: int) -> None:
        """Store one of the live words, if there is a ledger."""
        for ledger in self.ledgers:
            ledger.context.words[word] = value

    def mark(self, state: int) -> None:
        """Say how the process ends, should it end now; after ``CLOSED`` open runs are lost by ``shutdown``."""
        for ledger in self.ledgers:
            ledger.mark(state)

    def forget_parent(self) -> None:
        """In a forked child: let go of the parent's files, touch none of its runs, open our own at first use."""
        theirs = self.ledgers
        self._lock, self._opening = threading.RLock(), False
        self._ledger, self._earlier = None, []
        if self._note is not None:
            os.close(self._note)
            self._note, self.unavailable = None, None
        for ledger in theirs:
            self._inherited |= ledger.slots.open()
        for account in self._accounts.values():
            self._connect(account)
        for ledger in [*theirs, *_DRAINING]:
            ledger.file.close()
        _DRAINING.clear()

    def close(self) -> None:
        """End as a clean exit would, and let the lock go; runs that are still open keep it until they end."""
        self.mark(layout.STATE_CLOSED)
        ledgers, self._ledger, self._earlier = self.ledgers, None, []
        self.unavailable = "closed"
        for account in self._accounts.values():
            account.schedule = _nothing
        _DRAINING.extend(ledgers)
        if not _release_drained():
            return
        for account in self._accounts.values():
            bind_to_nothing(account)


def _nothing() -> Run:
    return NO_RUN


def _release_drained() -> bool:
    """Unmap closed ledgers without an open run; True when none is left."""
    for ledger in list(_DRAINING):
        if not ledger.slots.any_open():
            _DRAINING.remove(ledger)
            ledger.file.close()
    return not _DRAINING
