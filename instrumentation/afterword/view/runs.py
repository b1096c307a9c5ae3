"""Open runs as a person is shown them, and which of them were asked for."""

from collections.abc import Iterable
from dataclasses import dataclass

from afterword import words
from afterword.books.open_runs import OpenRun
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


def select(runs: Iterable[OpenRun], query: RunQuery, now: int) -> Found:
    """The page of a query.

    Args:
        runs: All of them.
        query: Which of them.
        now: Unix ns.
    """
    found = [run for run in runs if _is_asked_for(run, query, now)]
    found.sort(key=_since if query.sort == "age" else lambda run: (_left(run, now), _since(run)))
    return Found([run_of(run, now) for run in found[query.offset : query.offset + query.limit]], len(found))


def run_of(run: OpenRun, now: int) -> Run:
    """One run; ``now`` in Unix ns."""
    return Run(
        id=run.id,
        service=run.key.service,
        task=run.key.task,
        kind=run.key.kind,
        state=state_of(run, now),
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


def state_of(run: OpenRun, now: int) -> State:
    """What it is at, and whether for too long."""
    if run.phase == words.RUNNING:
        return "overdue" if run.overdue else "running"
    return "late" if now - run.scheduled > run.start_deadline * 1e9 else "waiting"


def _is_asked_for(run: OpenRun, query: RunQuery, now: int) -> bool:
    key = run.key
    return not (
        (query.task is not None and key.task != query.task)
        or (query.service is not None and key.service != query.service)
        or (query.kind is not None and key.kind != query.kind)
        or (query.process is not None and run.uuid != query.process)
        or (query.since is not None and run.scheduled < query.since * 1e9)
        or (query.until is not None and run.scheduled > query.until * 1e9)
        or (query.state and not _states(run, now) & set(query.state))
    )


def _states(run: OpenRun, now: int) -> set[str]:
    """An overdue run is running as well, a late one waits."""
    return {run.phase, state_of(run, now)}


def _since(run: OpenRun) -> int:
    return run.started or run.scheduled


def _limit(run: OpenRun) -> float | None:
    if run.phase == words.WAITING:
        return run.start_deadline or None
    return None if run.key.kind == words.WORKER else run.deadline or None


def _left(run: OpenRun, now: int) -> float:
    """Seconds to its limit, negative beyond it."""
    limit = _limit(run)
    return float("inf") if limit is None else limit - (now - _since(run)) / 1e9
