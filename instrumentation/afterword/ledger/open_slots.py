"""The open runs of one ledger, one by one: what a dead process left behind, and what a living one is at."""

from collections.abc import Iterator
from typing import NamedTuple

from afterword import words
from afterword.ledger import layout
from afterword.ledger.slots import route_of, run_id


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


def read_open_slots(
    slots: memoryview, linked: memoryview | None, first: int, uuid: bytes, workers: frozenset[int]
) -> Iterator[OpenSlot]:
    """The open runs among ``slots``.

    Args:
        slots: The words of the table in use.
        linked: Those of `layout.LINKED`, where the ledger has it.
        first: The word the slots begin at.
        uuid: The ledger's.
        workers: The numbers of tasks whose runs are workers.
    """
    for at in range(0, len(slots), layout.SLOT_STRIDE // 8):
        ctl = slots[at]
        state, task = ctl & layout.STATE_MASK, ctl >> layout.TASK_SHIFT & layout.TASK_MASK
        if state not in (layout.IS_WAITING, layout.IS_RUNNING):
            continue
        running, is_worker = state == layout.IS_RUNNING, task in workers
        scheduled, origin = slots[at + 1], slots[at + layout.SLOT_ORIGIN]
        of_this_run = origin >> layout.ROUTE_BITS == scheduled & layout.ORIGIN_MASK
        known = is_worker or of_this_run
        trace = slots[at + layout.SLOT_TRACE] << 64 | slots[at + layout.SLOT_TRACE + 1] if known else 0
        index = at // (layout.SLOT_STRIDE // 8)
        linked_to = 0
        if linked is not None and trace and not is_worker:
            began = running and slots[at + layout.SLOT_SPAN]
            linked_to, trace = (linked[2 * index] << 64 | linked[2 * index + 1], trace) if began else (trace, 0)
        yield OpenSlot(
            task=task,
            run=first + at,
            id=run_id(uuid, index, scheduled),
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
