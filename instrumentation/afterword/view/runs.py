"""Open runs as a person is shown them, and which of them were asked for."""

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from afterword import words
from afterword.books.one_ledger import Clock
from afterword.books.open_runs import OpenOfProcess, OpenRun
from afterword.ledger import layout
from afterword.ledger.snapshot import TaskSnapshot
from afterword.view.model import Run, State


@dataclass(frozen=True, slots=True)
class RunQuery:
    """Which open runs; None and empty for all. Times in Unix seconds."""

    service: str | None = None
    task: str | None = None
    kind: str | None = None
    state: tuple[str, ...] = ()
    process: str | None = None
    since: float | None = None
    until: float | None = None
    #: ``left``: the least time left to its limit first; ``age``: the oldest first.
    sort: str = "left"
    offset: int = 0
    limit: int = 100


@dataclass(frozen=True, slots=True)
class Found:
    """A page of open runs, and how many there are in all."""

    items: list[Run]
    total: int


def select(processes: Sequence[OpenOfProcess], query: RunQuery) -> Found:
    """The page of a query over the open runs of some processes; only the runs on it are made."""
    found = [place for number, process in enumerate(processes) for place in _places(number, process, query)]
    page = heapq.nsmallest(query.offset + query.limit, found)[query.offset :]
    runs = [(processes[number], processes[number].read([place])) for _, _, number, place in page]
    return Found([run_of(run, process.clock) for process, made in runs for run in made], len(found))


#: What runs are sorted by, then which process and which place there.
_Place = tuple[float, int, int, int]


def _places(number: int, process: OpenOfProcess, query: RunQuery) -> Iterator[_Place]:
    """The runs of a process that are asked for, by what they are sorted by."""
    header, now, offset = process.snapshot.header, process.clock.now_ns, process.clock.offset_ns
    if query.service not in (None, header.service) or query.process not in (None, header.uuid.hex()):
        return
    limits = {
        task.number: _limits(task)
        for task in process.snapshot.tasks.values()
        if query.task in (None, task.name) and query.kind in (None, task.kind)
    }
    since = -math.inf if query.since is None else query.since * 1e9 - offset
    until = math.inf if query.until is None else query.until * 1e9 - offset
    wanted, by_age = frozenset(query.state), query.sort == "age"
    for place, ctl, scheduled, started in process.slots.briefs():
        limit = limits.get(ctl >> layout.TASK_SHIFT & layout.TASK_MASK)
        if limit is None or not since <= scheduled <= until:
            continue
        state = ctl & layout.STATE_MASK
        began = started if state == layout.IS_RUNNING else scheduled
        left = limit[state] - (now - began)
        if not wanted or not wanted.isdisjoint(_STATES[state, left < 0]):
            yield (began + offset if by_age else left, began + offset, number, place)


#: An overdue run is running as well, a late one waits.
_STATES: Final = {
    (layout.IS_WAITING, False): (words.WAITING,),
    (layout.IS_WAITING, True): (words.WAITING, "late"),
    (layout.IS_RUNNING, False): (words.RUNNING,),
    (layout.IS_RUNNING, True): (words.RUNNING, "overdue"),
}


def _limits(task: TaskSnapshot) -> dict[int, float]:
    """How long its runs may be in each state, in ns. A worker runs as long as its process."""
    deadline = None if task.kind == words.WORKER else task.declaration.deadline
    by_state = {layout.IS_WAITING: task.declaration.start_deadline, layout.IS_RUNNING: deadline}
    return {state: limit * 1e9 if limit else math.inf for state, limit in by_state.items()}


def run_of(run: OpenRun, clock: Clock) -> Run:
    """One run, with the clock of its process."""
    now = clock.now_ns + clock.offset_ns
    return Run(
        id=run.id,
        service=run.key.service,
        task=run.key.task,
        kind=run.key.kind,
        state=_state(run, now),
        route=run.route,
        pid=run.pid,
        process=run.uuid,
        scheduled=run.scheduled / 1e9,
        started=run.started / 1e9 or None,
        age=max(0, now - _since(run)) / 1e9,
        limit=_limit(run),
        trace_id=f"{run.trace:032x}" if run.trace else "",
        span_id=f"{run.span:016x}" if run.span else "",
        stack=list(reversed(run.stack or ((run.stuck_at,) if run.stuck_at else ()))),
    )


def _state(run: OpenRun, now: int) -> State:
    """What it is at, and whether for too long; ``now`` in Unix ns."""
    if run.phase == words.RUNNING:
        return "overdue" if run.overdue else "running"
    return "late" if now - run.scheduled > run.start_deadline * 1e9 else "waiting"


def _since(run: OpenRun) -> int:
    return run.started or run.scheduled


def _limit(run: OpenRun) -> float | None:
    if run.phase == words.WAITING:
        return run.start_deadline or None
    return None if run.key.kind == words.WORKER else run.deadline or None
