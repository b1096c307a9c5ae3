"""One open ledger of this process: its file, its slots, and which record belongs to which task."""

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from afterword import words
from afterword.ledger import layout, records
from afterword.ledger.accounts import Account, Declaration, WriteContext, bind
from afterword.ledger.slots import Run, Slots

if TYPE_CHECKING:
    from afterword.ledger.file import LedgerFile


class OpenLedger:
    """Binds accounts to the records of one file. The caller holds a lock around everything but `count_exception`."""

    def __init__(
        self,
        file: "LedgerFile",
        check_file: Callable[[], None],
        inherited: frozenset[Run] = frozenset(),
        numbers: Iterator[int] | None = None,
        after: "OpenLedger | None" = None,
    ) -> None:
        """Open a ledger over a fresh file.

        Args:
            file: Locked and mapped.
            check_file: Called by the hot path every ten seconds at most.
            inherited: Runs that a parent process opened in its own ledger.
            numbers: Where runs without a slot take their numbers; one sequence for the whole process.
            after: The ledger this one goes on from. It keeps the runs it opened, so its slots are left out here.
        """
        section = file.header.sections[layout.SLOTS]
        first = section.offset // 8
        self.file = file
        self.slots: Slots = Slots(
            file.words, first, section.count, inherited, numbers or itertools.count(1),
            handed_out=after.slots.handed_out if after else 0,
        )  # fmt: skip
        file.words[layout.W_SLOTS] = self.slots.handed_out
        self._after = after
        self._numbers: dict[tuple[str, str], int] = {}
        self._exceptions: dict[tuple[int, type[BaseException]], int] = {}
        self._exception_names: dict[tuple[int, str], int] = {}
        self._lock = threading.RLock()
        self.context = WriteContext(file.words, file.header.sections, self.slots, self.count_exception, check_file)
        file.words[layout.W_STATE] = layout.STATE_LIVE

    def bind(self, account: Account, declaration: Declaration) -> None:
        """Let ``account`` book here from now on; the record is written on first demand."""
        key = (account.name, account.kind)
        number = self._numbers.get(key)
        if number is None:
            self._numbers[key] = number = len(self._numbers)
            table = self.context.sections[layout.TASKS]
            records.write_task(self.context.words, table, number, account, declaration)
            self.context.words[layout.W_TASKS] = len(self._numbers)
        bind(account, number, self.context, self._after.slots if self._after else None)

    def count_exception(self, number: int, exception: type[BaseException]) -> None:
        """Count a failed run under its exception's class, within the bounds of a task and of the table."""
        index = self._exceptions.get((number, exception))
        if index is None:
            index = self._exception_index(number, exception)
        if index >= 0:
            at = self.context.sections[layout.EXCEPTIONS].offset // 8 + index * (layout.EXCEPTION_STRIDE // 8) + 1
            self.context.words[at] += 1

    def _exception_index(self, number: int, exception: type[BaseException]) -> int:
        view = self.context.words
        with self._lock:
            name = records.exception_name(exception)
            of_this_task = sum(task == number for task, _ in self._exception_names)
            if (number, name) not in self._exception_names and of_this_task >= layout.EXCEPTIONS_PER_TASK:
                view[layout.W_EXCEPTIONS_FULL] += 1
                name = words.OTHER
            index = self._exception_names.get((number, name))
            if index is None:
                index = len(self._exception_names)
                if index >= layout.MAX_EXCEPTIONS:
                    view[layout.W_EXCEPTIONS_FULL] += 1
                    return -1
                self._exception_names[number, name] = index
                records.write_exception(view, self.context.sections[layout.EXCEPTIONS], index, number, name)
                view[layout.W_EXCEPTIONS] = len(self._exception_names)
            if len(self._exceptions) < 4 * layout.MAX_EXCEPTIONS:
                self._exceptions[number, exception] = index
            return index

    def mark(self, *, closed: bool) -> None:
        """Say whether the process ends on purpose."""
        self.context.words[layout.W_STATE] = layout.STATE_CLOSED if closed else layout.STATE_LIVE

    def continue_elsewhere(self) -> None:
        """The process begins another ledger: this one opens no further runs and stands for no process."""
        self.slots.close()
        self.context.words[layout.W_CONTINUED] = 1
