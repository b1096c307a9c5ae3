"""The open runs of one ledger, one by one: what a dead process left behind, and what a living one is at."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from afterword import words
from afterword.ledger import layout
from afterword.ledger.slots import route_of, run_id

_WORDS: Final = layout.SLOT_STRIDE // 8
#: A place (the word among those of the table at which a slot begins), its ctl word, scheduled at, started at.
Brief = tuple[int, int, int, int]


class OpenSlot(NamedTuple):
    """One open run. Times on the owner's monotonic clock in ns, 0 for not yet; ids 0 where nobody traces it."""

    #: The task's number in its ledger.
    task: int
    #: The word its slot begins at, as `records.read_stack` names it, and its name for people.
    run: int
    id: str
    phase: str
    scheduled: int
    started: int
    #: A worker's last progress.
    progress: int
    #: Number of its route in the ledger plus one, 0 for none.
    route: int
    #: Its trace; 0 if nobody samples it, or if it is a trace of its own that has not begun. ``span`` is 0 until then.
    trace: int
    span: int
    parent: int
    #: The trace it is linked to where it is no child of that; then ``parent`` is the span there.
    linked: int


class OpenSlots:
    """The open runs of a ledger at one moment: counted and compared by their words, read one by one only on demand."""

    def __init__(
        self, slots: memoryview, linked: memoryview | None, first: int, uuid: bytes, workers: frozenset[int]
    ) -> None:
        """Take what was read.

        Args:
            slots: The words of the table in use.
            linked: Those of `layout.LINKED`, where the ledger has it.
            first: The word the slots begin at.
            uuid: The ledger's.
            workers: The numbers of tasks whose runs are workers.
        """
        self._slots, self._linked, self._first, self._uuid, self._workers = slots, linked, first, uuid, workers

    def briefs(self) -> list[Brief]:
        """The open runs as they stand in their slots."""
        columns = (self._slots[word::_WORDS].tolist() for word in range(3))
        return [
            (index * _WORDS, ctl, scheduled, started)
            for index, (ctl, scheduled, started) in enumerate(zip(*columns, strict=True))
            if ctl & layout.STATE_MASK in (layout.IS_WAITING, layout.IS_RUNNING)
        ]

    def place_of(self, name: str) -> int | None:
        """Where a run of this name is open; None if it is not."""
        _, _, rest = name.partition("-")
        try:
            place = int(rest.partition("-")[0], 16) * _WORDS
        except ValueError:
            return None
        found = next(self.read([place]), None) if 0 <= place < len(self._slots) else None
        return place if found is not None and found.id == name else None

    def __iter__(self) -> Iterator[OpenSlot]:
        """All of them."""
        return self.read(range(0, len(self._slots), _WORDS))

    def read(self, places: Iterable[int]) -> Iterator[OpenSlot]:
        """Those at some places, as far as they are open."""
        slots, linked = self._slots, self._linked
        for at in places:
            ctl = slots[at]
            state, task = ctl & layout.STATE_MASK, ctl >> layout.TASK_SHIFT & layout.TASK_MASK
            if state not in (layout.IS_WAITING, layout.IS_RUNNING):
                continue
            running, is_worker = state == layout.IS_RUNNING, task in self._workers
            scheduled, origin = slots[at + 1], slots[at + layout.SLOT_ORIGIN]
            of_this_run = origin >> layout.ROUTE_BITS == scheduled & layout.ORIGIN_MASK
            known = is_worker or of_this_run
            trace = slots[at + layout.SLOT_TRACE] << 64 | slots[at + layout.SLOT_TRACE + 1] if known else 0
            index = at // _WORDS
            linked_to = 0
            if linked is not None and trace and not is_worker:
                began = running and slots[at + layout.SLOT_SPAN]
                linked_to, trace = (linked[2 * index] << 64 | linked[2 * index + 1], trace) if began else (trace, 0)
            yield OpenSlot(
                task=task,
                run=self._first + at,
                id=run_id(self._uuid, index, scheduled),
                phase=words.RUNNING if running else words.WAITING,
                scheduled=scheduled,
                started=slots[at + 2] if running else 0,
                progress=slots[at + layout.SLOT_PROGRESS] if is_worker and running else 0,
                route=0 if is_worker else route_of(origin, scheduled),
                trace=trace,
                span=slots[at + layout.SLOT_SPAN] if trace and running else 0,
                parent=slots[at + layout.SLOT_PARENT] if (trace or linked_to) and not is_worker else 0,
                linked=linked_to,
            )
