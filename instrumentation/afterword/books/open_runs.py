"""The open runs of the processes that live, one by one: which, since when, by which route, where it is stuck."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from afterword import words
from afterword.books.model import TaskKey
from afterword.books.one_ledger import Clock
from afterword.books.outbox import resource_of
from afterword.ledger.layout import STACK_SEPARATOR
from afterword.ledger.open_slots import OpenSlot
from afterword.ledger.reader import LedgerReader
from afterword.ledger.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class OpenRun:
    """One run that waits or runs. Times in Unix ns, 0 for not yet; ids 0 where nobody traces it."""

    uuid: str
    pid: int
    key: TaskKey
    id: str
    phase: str
    #: ``METHOD template``, or an empty text.
    route: str
    function: str
    scheduled: int
    started: int
    #: Seconds it may run and wait, and whether it has been running for longer than that.
    deadline: float
    start_deadline: float
    overdue: bool
    trace: int
    span: int
    stuck_at: str
    #: The frames there, the innermost first, as far as they are known.
    stack: tuple[str, ...]
    #: What the spans of its process say about that; one for all of its runs.
    resource: Mapping[str, Any]


class OpenOfProcess:
    """The open runs of one living process: compared by a few words each, made one by one only when asked for."""

    def __init__(self, reader: LedgerReader, snapshot: Snapshot, clock: Clock) -> None:
        """Take what ``reader``, which has read the snapshot, finds open now.

        Raises:
            afterword.ledger.layout.LayoutError: the file was cut short.
        """
        self.snapshot, self.clock = snapshot, clock
        self.slots = reader.open_slots()
        self._stuck = reader.stuck()
        self._resource = resource_of(snapshot.header, reader.resource())

    def read(self, places: Iterable[int] | None = None) -> list[OpenRun]:
        """The runs at some places of `OpenSlots.briefs`, in their order; all of them by default."""
        slots = self.slots if places is None else self.slots.read(places)
        known = (slot for slot in slots if slot.task in self.snapshot.tasks)
        return [_run(slot, self.snapshot, self.clock, self._stuck, self._resource) for slot in known]

    def find(self, name: str) -> OpenRun | None:
        """The run of this name."""
        if not self.snapshot.header.uuid.hex().startswith(name.partition("-")[0]):
            return None
        place = self.slots.place_of(name)
        return next(iter(self.read([place])), None) if place is not None else None


def overdue_runs(reader: LedgerReader, snapshot: Snapshot, clock: Clock) -> list[OpenRun]:
    """Those that have been running for too long; where the slots show none, nothing more is read."""
    if not any(task.running.over for task in snapshot.tasks.values()):
        return []
    return [run for run in OpenOfProcess(reader, snapshot, clock).read() if run.overdue]


def _run(
    slot: OpenSlot, snapshot: Snapshot, clock: Clock, stuck: dict[tuple[int, int], str], resource: Mapping[str, Any]
) -> OpenRun:
    task = snapshot.tasks[slot.task]
    deadline = task.declaration.deadline or 0.0
    stuck_at, *stack = stuck.get((slot.run, slot.started), "").split(STACK_SEPARATOR)
    return OpenRun(
        uuid=snapshot.header.uuid.hex(),
        pid=snapshot.header.pid,
        key=TaskKey(snapshot.header.service, task.name, task.kind),
        id=slot.id,
        phase=slot.phase,
        route=snapshot.route_name(slot.route),
        function=task.name if task.declaration.name is None else "",
        scheduled=slot.scheduled + clock.offset_ns,
        started=slot.started + clock.offset_ns if slot.started else 0,
        deadline=deadline,
        start_deadline=task.declaration.start_deadline or 0.0,
        overdue=bool(slot.started and task.kind != words.WORKER and clock.now_ns - slot.started > deadline * 1e9),
        trace=slot.trace,
        span=slot.span,
        stuck_at=stuck_at,
        stack=tuple(stack),
        resource=resource,
    )
