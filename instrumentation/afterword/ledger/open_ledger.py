"""One open ledger of this process: its file, its slots, and which record belongs to which task."""

import itertools
import math
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, NamedTuple

from afterword import words
from afterword.ledger import bad_endings, layout, records
from afterword.ledger.accounts import Account, Declaration, bind
from afterword.ledger.bad_endings import BadEnding
from afterword.ledger.slots import Run, Slots, route_of, run_id
from afterword.ledger.transitions import WriteContext

if TYPE_CHECKING:
    from afterword.ledger.file import LedgerFile


#: What a ledger that goes on from another takes from that.
_OF_THE_PROCESS: Final = (layout.W_STATE, layout.W_STOPPING, layout.W_TICK, layout.W_TICK_EVERY)


class OpenRun(NamedTuple):
    """A run that is on: where it is booked, and when it began (monotonic ns)."""

    ledger: "OpenLedger"
    account: Account
    run: Run
    began: int


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
        self._first_own = self.slots.end
        self._numbers: dict[tuple[str, str], int] = {}
        self._accounts: list[Account] = []
        self._deadlines: list[float] = []
        self._exceptions: dict[tuple[int, type[BaseException] | str], int] = {}
        self._exception_names: dict[tuple[int, str], int] = {}
        self._routes: dict[str, int] = {}
        self._route_names: list[str] = []
        self._links: dict[tuple[int, int], int] = {}
        #: By place in the table of stacks the run there, and when it started.
        self._stacked: list[tuple[Run, int]] = []
        self._endings = 0
        self._exemplars: dict[int, int] = {}
        self._lock = threading.RLock()
        self.context = WriteContext(file.words, file.header.sections, self.slots, self.count_exception, check_file)
        file.words[layout.W_STATE] = layout.STATE_LIVE
        if after is not None:
            for word in _OF_THE_PROCESS:
                file.words[word] = after.context.words[word]

    def bind(self, account: Account, declaration: Declaration) -> None:
        """Let ``account`` book here from now on; the record is written on first demand."""
        key = (account.name, account.kind)
        number = self._numbers.get(key)
        if number is None:
            self._numbers[key] = number = len(self._numbers)
            table = self.context.sections[layout.TASKS]
            records.write_task(self.context.words, table, number, account, declaration)
            self.context.words[layout.W_TASKS] = len(self._numbers)
            self._accounts.append(account)
            self._deadlines.append((declaration.deadline or math.inf) * 1e9)
        bind(account, number, self.context, self._after.slots if self._after else None)

    def count_exception(self, number: int, exception: type[BaseException] | str) -> None:
        """Count a failed run under its exception's class, within the bounds of a task and of the table."""
        index = self._exceptions.get((number, exception))
        if index is None:
            index = self._exception_index(number, exception)
        if index >= 0:
            at = self.context.sections[layout.EXCEPTIONS].offset // 8 + index * (layout.EXCEPTION_STRIDE // 8) + 1
            self.context.words[at] += 1

    def _exception_index(self, number: int, exception: type[BaseException] | str) -> int:
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

    def route(self, name: str, *, counts: bool = True) -> int:
        """The word of a route's two counters, with and without a task; -1 when the table is full, which ``counts``."""
        table, view = self.context.sections[layout.ROUTES], self.context.words
        with self._lock:
            found = self._routes.get(name)
            if found is None:
                if len(self._routes) >= table.count:
                    view[layout.W_ROUTES_FULL] += counts
                    return -1
                self._route_names.append(name)
                found = self._routes[name] = records.write_route(view, table, len(self._routes), name)
                view[layout.W_ROUTES] = len(self._routes)
            return found

    def link(self, route: int, account: Account) -> int:
        """The word of two counters: responses of a route (its word) that scheduled a task, that missed it."""
        table, routes, view = (
            self.context.sections[layout.LINKS],
            self.context.sections[layout.ROUTES],
            self.context.words,
        )
        with self._lock:
            found = self._links.get((route, account.mark))
            if found is None:
                if len(self._links) >= table.count:
                    view[layout.W_ROUTES_FULL] += 1
                    return -1
                index = (route - routes.offset // 8) // (layout.ROUTE_STRIDE // 8)
                found = records.write_link(view, table, len(self._links), index, account.mark - 1)
                self._links[route, account.mark] = found
                view[layout.W_LINKS] = len(self._links)
            return found

    def expect(self, link: int) -> None:
        """Every response has to schedule what this link is of: it is told from now on how many did not."""
        records.expect_link(self.context.words, link)

    def note_stack(self, run: Run, text: str) -> None:
        """Keep where one of its runs is stuck, in the place of one that is no longer: the oldest keep theirs."""
        table, view = self.context.sections[layout.STACKS], self.context.words
        with self._lock:
            place = next((n for n, other in enumerate(self._stacked) if not self._is_stuck(*other, run)), None)
            if place is None:
                if len(self._stacked) >= table.count:
                    return
                place = len(self._stacked)
                self._stacked.append((run, 0))
            self._stacked[place] = run, view[run + 2]
            records.write_stack(view, table, place, run, view[run] >> layout.TASK_SHIFT & layout.TASK_MASK, text)
            view[layout.W_STACKS] = len(self._stacked)

    def _is_stuck(self, run: Run, started: int, newcomer: Run) -> bool:
        """Whether a run that was stuck is on still, and is another one than ``newcomer``."""
        view = self.context.words
        is_on = view[run] & layout.STATE_MASK == layout.IS_RUNNING and view[run + 2] == started
        return run != newcomer and is_on

    def note_resource(self, attributes: bytes) -> None:
        """Keep what the spans of the process say about it, as JSON of at most `layout.RESOURCE_BYTES`."""
        with self._lock:
            records.write_resource(self.context.words, self.context.sections[layout.RESOURCE], attributes)

    def note_linked(self, run: Run, high: int, low: int) -> None:
        """Keep the trace that a run is linked to, if this ledger has room for that."""
        table = self.context.sections.get(layout.LINKED)
        if table is not None and self.holds(run):
            at = table.offset // 8 + (run - self.slots.first) // (layout.SLOT_STRIDE // 8) * 2
            self.context.words[at], self.context.words[at + 1] = high, low

    def is_own(self, run: Run) -> bool:
        """Whether an open run was begun by this process, and not by the one that it was forked from."""
        return run in self.slots.without if run < 0 else run not in self.slots.inherited

    def describe(self, run: Run, view: "memoryview") -> tuple[str, str]:
        """A run's name for people, and the route that scheduled it, as ``METHOD template`` or an empty text."""
        if run <= 0:
            return f"{self.file.header.uuid[:4].hex()}-x{-run:x}", ""
        scheduled, origin = view[run + 1], view[run + layout.SLOT_ORIGIN]
        name = run_id(self.file.header.uuid, (run - self.slots.first) // (layout.SLOT_STRIDE // 8), scheduled)
        route = route_of(origin, scheduled)
        return name, self._route_names[route - 1] if 0 < route <= len(self._route_names) else ""

    def route_number(self, word: int) -> int:
        """The number of a route plus one, from what `route` returned; 0 for none."""
        table = self.context.sections[layout.ROUTES]
        return (word - table.offset // 8) // (layout.ROUTE_STRIDE // 8) + 1 if word >= 0 else 0

    def note_exemplar(self, number: int, of: int, trace: int, span: int, took: int, at: int) -> None:
        """Keep a traced run of a task as the example of what it is ``of``; none when the table is full."""
        key, view, table = number << 8 | of, self.context.words, self.context.sections[layout.EXEMPLARS]
        index = self._exemplars.get(key)
        if index is None:
            with self._lock:
                index = self._exemplars.setdefault(key, len(self._exemplars))
                if index < table.count:
                    view[layout.W_EXEMPLARS] = index + 1
        if index < table.count:
            records.write_exemplar(view, table, index, key, trace, span, took, at)

    def note_ending(self, account: Account, ended: BadEnding) -> None:
        """Keep a run of ``account`` that has ended badly; of too many the oldest record gives way.

        Its ``run`` is that of this process, its ``task`` and its ``sequence`` are found here.
        """
        table, view, run = self.context.sections[layout.ENDINGS], self.context.words, ended.run
        task = self._numbers.get((account.name, account.kind))
        if task is None:
            return
        slot = (run - self.slots.first) // (layout.SLOT_STRIDE // 8) if run > 0 else ~-run
        with self._lock:
            self._endings += 1
            bad_endings.write(view, table, ended._replace(sequence=self._endings, task=task, run=slot))
            view[layout.W_ENDINGS] = self._endings

    # -- its open runs

    def holds(self, run: Run) -> bool:
        """Whether a run has its slot here."""
        return self._first_own <= run < self.slots.end

    def running(self) -> list["OpenRun"]:
        """The runs that are on."""
        return [
            OpenRun(self, self._accounts[number], run, began) for number, run, began in self._open(layout.IS_RUNNING)
        ]

    def waiting(self) -> list[Account]:
        """The accounts of the runs that wait to start."""
        return [self._accounts[number] for number, _, _ in self._open(layout.IS_WAITING)]

    def overdue(self, now_ns: int) -> list["OpenRun"]:
        """The runs that have been running longer than their deadline. A worker runs until its process stops."""
        return [
            OpenRun(self, account, run, began)
            for number, run, began in self._open(layout.IS_RUNNING)
            if now_ns - began > self._deadlines[number] and (account := self._accounts[number]).kind != words.WORKER
        ]

    def _open(self, state: int) -> list[tuple[int, Run, int]]:
        """The runs in a state: number of the task, run, and when it was started."""
        view, first, end = self.context.words, self.slots.first, self.slots.end
        return [
            (ctl >> layout.TASK_SHIFT & layout.TASK_MASK, run, view[run + 2])
            for run, ctl in zip(range(first, end, 8), view[first:end:8].tolist(), strict=True)
            if ctl & layout.STATE_MASK == state
        ]

    # -- the process's life

    def mark(self, state: int) -> None:
        """Say how the process ends, should it end now: one of `layout.STATE_LIVE`, ``CLOSED`` and ``FAILED``."""
        self.context.words[layout.W_STATE] = state

    def continue_elsewhere(self) -> None:
        """The process begins another ledger: this one opens no further runs and stands for no process."""
        self.slots.close()
        self.context.words[layout.W_CONTINUED] = 1
