"""Runs that ended badly, one by one: those a living process has kept, and those it left open when it died."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from afterword import words
from afterword.books.lost_runs import LostRun
from afterword.books.model import TaskKey
from afterword.books.one_ledger import Clock
from afterword.ledger.bad_endings import BadEnding
from afterword.ledger.snapshot import Snapshot

#: The sequence of a run that its process did not end itself.
BY_DEATH: Final = 0
_MAX: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Ended:
    """One bad ending. Times in Unix ns, 0 for never or not known; ids in hex, empty where nobody samples it."""

    uuid: str
    #: Which bad ending of its process, from 1; `BY_DEATH` for a run that was open when that died.
    sequence: int
    key: TaskKey
    id: str
    ending: str
    reason: str
    phase: str
    route: str
    pid: int
    scheduled: int
    started: int
    ended: int
    trace: str
    span: str


def kept_by(snapshot: Snapshot, clock: Clock, found: Iterable[BadEnding]) -> Iterator[Ended]:
    """What a process has kept of its own runs, up to the first whose task is newer than the snapshot."""
    header = snapshot.header
    for one in found:
        task = snapshot.tasks.get(one.task)
        if task is None:
            return  # the next look knows it
        began = words.RUNNING if one.started else words.WAITING
        yield Ended(
            uuid=header.uuid.hex(),
            sequence=one.sequence,
            key=TaskKey(header.service, task.name, task.kind),
            id=one.id(header.uuid),
            ending=one.ending,
            reason=one.reason,
            phase=began if one.ending == words.LOST else "",
            route=snapshot.route_name(one.route),
            pid=header.pid,
            scheduled=_unix(one.scheduled, clock),
            started=_unix(one.started, clock),
            ended=_unix(one.ended, clock),
            trace=f"{one.trace:032x}" if one.trace else "",
            span=f"{one.span:016x}" if one.span else "",
        )


def left_open(snapshot: Snapshot, lost: Iterable[LostRun]) -> Iterator[Ended]:
    """What died with its process."""
    for run in lost:
        yield Ended(
            uuid=snapshot.header.uuid.hex(),
            sequence=BY_DEATH,
            key=run.key,
            id=run.id,
            ending=words.LOST,
            reason=run.reason,
            phase=run.phase,
            route=run.route,
            pid=snapshot.header.pid,
            scheduled=_bounded(run.scheduled),
            started=_bounded(run.started),
            ended=_bounded(run.ended),
            trace=f"{run.trace:032x}" if run.trace else "",
            span=f"{run.span:016x}" if run.span else "",
        )


def _unix(monotonic_ns: int, clock: Clock) -> int:
    return _bounded(monotonic_ns + clock.offset_ns) if monotonic_ns else 0


def _bounded(unix_ns: int) -> int:
    """A word of a damaged ledger may be anything."""
    return min(max(unix_ns, 0), _MAX)
