"""A process's own ledger: opened at first use, kept through fork and deletion, closed at exit.

Accounts are opened by name once and rebound whenever the ledger under them changes: a forked child
gets a ledger of its own, a deleted file is written again, and without a ledger they book nothing.
"""

import contextlib
import os
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from afterword import words
from afterword.ledger import layout, records
from afterword.ledger.accounts import NO_RUN, Account, Declaration, Run, Slots, WriteContext, bind, bind_to_nothing

try:
    from afterword.ledger import file
except ImportError:  # a platform without file locks: importing and instrumenting must not fail there
    file = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from afterword.ledger.file import LedgerFile
    from afterword.settings import Settings

_MAX_NAMED: Final = layout.MAX_TASKS - layout.RESERVED_TASKS
_EXCEPTIONS_PER_TASK: Final = 16


class Owner:
    """Keeps the ledger of one process. Safe to call from threads, signal handlers and finalizers."""

    def __init__(self, settings: "Settings", version: str, service: str) -> None:
        self.settings = settings
        self.version = version
        self.service = service
        self.unavailable: str | None = None
        self._accounts: dict[tuple[str, str], Account] = {}
        self._numbers: dict[tuple[str, str], int] = {}
        self._exceptions: dict[tuple[int, type[BaseException]], int] = {}
        self._exception_names: dict[tuple[int, str], int] = {}
        self._tasks_full = 0
        self._opening = False
        self._lock = threading.RLock()
        self._file: LedgerFile | None = None
        self._context: WriteContext | None = None
        self._inherited: frozenset[Run] = frozenset()
        self._note: int | None = None

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

    def _other(self, kind: str) -> Account:
        """The task table is full: one account a kind takes what no longer fits."""
        self._tasks_full += 1
        if self._context is not None:
            self._context.words[layout.W_TASKS_FULL] = self._tasks_full
        key = (words.OTHER, kind)
        found = self._accounts.get(key)
        if found is None:
            account = Account(words.OTHER, kind, Declaration())
            self._connect(account)
            found = self._accounts.setdefault(key, account)
        return found

    def _connect(self, account: Account) -> None:
        if self._context is not None:
            bind(account, self._number(account, self._context), self._context)
        elif self.unavailable is not None:
            bind_to_nothing(account)
        else:
            bind_to_nothing(account)
            account.schedule = partial(self._open_and_schedule, account)

    def _open_and_schedule(self, account: Account) -> Run:
        self.open()
        return NO_RUN if isinstance(account.schedule, partial) else account.schedule()

    def _number(self, account: Account, context: WriteContext) -> int:
        """The account's record in the open ledger, written on first demand."""
        key = (account.name, account.kind)
        number = self._numbers.get(key)
        if number is None:
            self._numbers[key] = number = len(self._numbers)
            declaration = self._with_defaults(account.declaration)
            records.write_task(context.words, context.sections[layout.TASKS], number, account, declaration)
            context.words[layout.W_TASKS] = len(self._numbers)
        return number

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
        return self._file.path if self._file is not None else None

    def open(self) -> bool:
        """Make the ledger now, unless there is one or there cannot be one. Never raises."""
        if self._context is not None:
            return True
        with self._lock:
            if self.unavailable is None and not self._opening:  # a signal handler may come back in here
                self._opening = True
                try:
                    self._open_once()
                finally:
                    self._opening = False
        return self._context is not None

    def _open_once(self) -> None:
        if self._context is not None:
            return None
        if file is None:
            return self._give_up("platform", f"this platform ({sys.platform}) has no file locks", None)
        try:
            made = file.create(self.settings.directory, self.service, self.version, self.settings.slots)
            made.words[layout.W_STATE] = layout.STATE_LIVE
            self._use(made, None)
        except file.LedgerUnavailableError as error:
            note = partial(file.leave_note, self.settings.directory, error.reason)
            return self._give_up(error.reason, str(error), note)
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not come back with every request
            return self._give_up("error", f"{type(error).__name__}: {error}", None)
        return None

    def _use(self, made: "LedgerFile", slots: Slots | None) -> None:
        section = made.header.sections[layout.SLOTS]
        self._file = made
        self._context = context = WriteContext(
            words=made.words,
            sections=made.header.sections,
            slots=Slots(made.words, section.offset // 8, section.count, self._inherited) if slots is None
            else replace(slots, words=made.words),
            count_exception=self.count_exception,
            check_file=self._check_file,
        )  # fmt: skip
        made.words[layout.W_TASKS_FULL] = self._tasks_full
        for account in list(self._accounts.values()):
            bind(account, self._number(account, context), context)

    def _give_up(self, reason: str, sentence: str, note: "partial[int | None] | None") -> None:
        self.unavailable = reason
        for account in list(self._accounts.values()):
            bind_to_nothing(account)
        if note is not None:
            self._note = note()
        say(f"accounting is off ({sentence}). The application is not affected.")

    def _check_file(self) -> None:
        """Every ten seconds at most: a file that a cleaner removed is written again, under its old name."""
        context, current = self._context, self._file
        if context is None or current is None:
            return
        context.check_at[0] = time.monotonic_ns() + 10_000_000_000
        if current.still_there():
            return
        with contextlib.suppress(file.LedgerUnavailableError), self._lock:
            file.prepare_directory(current.path.parent)
            copy = file.materialise(current.path.parent, current.header, current.mapping[:])
            self._use(copy, context.slots)

    # -- cold entries of the hot path

    def count_exception(self, number: int, exception: type[BaseException]) -> None:
        """Count a failed run under its exception's class, at most 16 classes a task, 256 in all."""
        index = self._exceptions.get((number, exception))
        if index is None:
            index = self._exception_index(number, exception)
        if index >= 0 and self._context is not None:
            at = self._context.sections[layout.EXCEPTIONS].offset // 8 + index * (layout.EXCEPTION_STRIDE // 8) + 1
            self._context.words[at] += 1

    def _exception_index(self, number: int, exception: type[BaseException]) -> int:
        context = self._context
        if context is None:
            return -1
        with self._lock:
            name = records.exception_name(exception)
            of_this_task = sum(task == number for task, _ in self._exception_names)
            if (number, name) not in self._exception_names and of_this_task >= _EXCEPTIONS_PER_TASK - 1:
                context.words[layout.W_EXCEPTIONS_FULL] += 1
                name = words.OTHER
            index = self._exception_names.get((number, name))
            if index is None:
                index = len(self._exception_names)
                if index >= layout.MAX_EXCEPTIONS:
                    context.words[layout.W_EXCEPTIONS_FULL] += 1
                    return -1
                self._exception_names[number, name] = index
                records.write_exception(context.words, context.sections[layout.EXCEPTIONS], index, number, name)
                context.words[layout.W_EXCEPTIONS] = len(self._exception_names)
            if len(self._exceptions) < 4 * layout.MAX_EXCEPTIONS:
                self._exceptions[number, exception] = index
            return index

    def count_internal_error(self) -> None:
        """One of our own errors, which the application did not see."""
        if self._context is not None:
            self._context.words[layout.W_INTERNAL_ERRORS] += 1

    # -- the process's life

    def mark(self, *, closed: bool) -> None:
        """Say whether the process ends on purpose from here: open runs are then lost by ``shutdown``."""
        if self._context is not None:
            self._context.words[layout.W_STATE] = layout.STATE_CLOSED if closed else layout.STATE_LIVE

    def forget_parent(self) -> None:
        """In a forked child: let go of the parent's file, touch none of its runs, open our own at first use."""
        context, current = self._context, self._file
        self._lock, self._opening = threading.RLock(), False
        self._context = self._file = None
        self._numbers, self._exceptions, self._exception_names = {}, {}, {}
        if self._note is not None:
            os.close(self._note)
            self._note, self.unavailable = None, None
        if context is not None:
            self._inherited |= context.slots.open()
        for account in self._accounts.values():
            self._connect(account)
        if current is not None:
            current.close()

    def close(self) -> None:
        """End the ledger as a clean exit would, and let its lock go."""
        self.mark(closed=True)
        current, self._file, self._context = self._file, None, None
        self.unavailable = "closed"
        for account in self._accounts.values():
            bind_to_nothing(account)
        if current is not None:
            current.close()


def say(sentence: str) -> None:
    """One line on stderr; a process without a usable stderr stays silent."""
    with contextlib.suppress(Exception):
        sys.stderr.write(f"afterword: {sentence}\n")
        sys.stderr.flush()
