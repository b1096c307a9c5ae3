"""The runs that a dead process left open, one by one: for their spans, their log records, and whoever repeats them."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from afterword import words
from afterword.books.model import OF_LOST, Exemplar, TaskKey, Totals
from afterword.books.one_ledger import Clock, reason_of_loss
from afterword.ledger import layout
from afterword.ledger.open_slots import OpenSlot
from afterword.ledger.reader import LedgerReader
from afterword.ledger.snapshot import Snapshot, TaskSnapshot
from afterword.spans import LOST, derived, line, span_id_of

#: The same logger as in the application, for the endings that this can no longer tell.
ENDINGS: Final = logging.getLogger("afterword.endings")
_MAX_TOLD: Final = 500


@dataclass(frozen=True, slots=True)
class LostRun:
    """One run that has no end of its own. Times in Unix ns, 0 for never; ids 0 where nobody traced it."""

    key: TaskKey
    id: str
    phase: str
    reason: str
    #: ``METHOD template``, or an empty text.
    route: str
    #: ``module.qualname``, where the task has no other name.
    function: str
    scheduled: int
    started: int
    ended: int
    trace: int
    span: int
    parent: int
    #: The trace and the span it is linked to.
    linked: tuple[int, int] | None


def lost_runs(
    reader: LedgerReader, snapshot: Snapshot, clock: Clock, boot_id: bytes, noticed: int | None
) -> list[LostRun]:
    """What a dead ledger holds open.

    Args:
        reader: It has read the snapshot.
        snapshot: Of a process that is dead.
        clock: The owner's.
        boot_id: The machine's now.
        noticed: Unix ns when its death was noticed, by somebody who watched; None: its last sign of life counts.

    Raises:
        layout.LayoutError: the file was cut short.
    """
    reason = reason_of_loss(snapshot, boot_id)
    opened = list(reader.open_slots())
    died = noticed if noticed is not None else _last_sign(snapshot, opened) + clock.offset_ns
    found = []
    for run in opened:
        task = snapshot.tasks.get(run.task)
        if task is None or (task.kind == words.WORKER and snapshot.state == layout.STATE_CLOSED):
            continue
        found.append(_lost(run, task, snapshot, clock, reason, died))
    return found


def with_exemplars(totals: Totals, lost: list[LostRun]) -> None:
    """Let traced ones stand for the lost runs of their task."""
    for run in lost:
        if run.trace:
            exemplar = Exemplar(f"{run.trace:032x}", f"{run.span:016x}", 1.0, run.ended // 1_000_000 / 1000)
            totals.task(run.key).note_exemplar((OF_LOST, run.reason, run.phase), exemplar)


def tell_lost(lost: list[LostRun]) -> None:
    """One log record each, of a process that had many open a few hundred and how many more there were."""
    for run in lost[:_MAX_TOLD]:
        fields = {
            "task": run.key.task, "kind": run.key.kind, "run_id": run.id, "route": run.route, "ending": LOST,
            "reason": run.reason, "phase": run.phase, "service": run.key.service,
            "trace_id": f"{run.trace:032x}" if run.trace else "", "span_id": f"{run.span:016x}" if run.trace else "",
        }  # fmt: skip
        ENDINGS.warning("%s", line(fields), extra=fields)
    if len(lost) > _MAX_TOLD:
        ENDINGS.warning("%d more runs of %s were lost with it", len(lost) - _MAX_TOLD, lost[0].key.service)


def _lost(run: OpenSlot, task: TaskSnapshot, snapshot: Snapshot, clock: Clock, reason: str, died: int) -> LostRun:
    uuid, link = snapshot.header.uuid.hex(), (run.linked, run.parent) if run.linked else None
    traced = bool(run.trace or run.linked)
    trace = run.trace or (derived(uuid, run.id, "trace") if traced else 0)
    span = run.span or (span_id_of(uuid, run.id, "span") if traced else 0)
    began = max(run.scheduled, run.started) + clock.offset_ns
    return LostRun(
        key=TaskKey(snapshot.header.service, task.name, task.kind),
        id=run.id,
        phase=run.phase,
        reason=reason,
        route=snapshot.route_name(run.route),
        function=task.name if task.declaration.name is None else "",
        scheduled=run.scheduled + clock.offset_ns,
        started=run.started + clock.offset_ns if run.started else 0,
        ended=max(died, began),
        trace=trace,
        span=span,
        parent=0 if link is not None else run.parent,
        linked=link,
    )


def _last_sign(snapshot: Snapshot, opened: list[OpenSlot]) -> int:
    """The last thing that a process wrote, on its monotonic clock."""
    return max(_signs(snapshot, opened))


def _signs(snapshot: Snapshot, opened: list[OpenSlot]) -> Iterator[int]:
    yield snapshot.header.monotonic_ns
    yield snapshot.runtime.tick
    for task in snapshot.tasks.values():
        yield from task.last_ended
    for run in opened:
        yield from (run.scheduled, run.started, run.progress)
