"""One ledger's snapshot as books: its clocks turned into Unix time, its open runs waiting, running or lost."""

import time
from collections import Counter
from dataclasses import dataclass

from afterword import words
from afterword.books.model import (
    OF_BUCKET,
    OF_DROPPED,
    OF_FAILED,
    Exemplar,
    RouteBooks,
    RouteKey,
    ServiceBooks,
    TaskBooks,
    TaskKey,
    Totals,
)
from afterword.ledger import layout
from afterword.ledger import snapshot as snapshot_
from afterword.ledger.snapshot import OpenRuns, RouteSnapshot, Snapshot, TaskSnapshot

_BOUNDS = ("slots", "tasks", "exceptions", "routes")
#: A loop that has not ticked for this many of its ticks is blocked: less is a busy machine.
_TICKS_MISSED = 3


@dataclass(frozen=True, slots=True)
class Clock:
    """How to read an owner's monotonic clock: now on it, and what to add for Unix time, in ns."""

    now_ns: int
    offset_ns: int

    def unix(self, monotonic_ns: int) -> float:
        """Unix seconds of a moment on the owner's clock, cut to milliseconds: never in the future; 0 means never."""
        return (monotonic_ns + self.offset_ns) // 1_000_000 / 1000 if monotonic_ns else 0.0


def clock_of(header: layout.Header, boot_id: bytes, time_namespace: int) -> Clock:
    """Our own monotonic clock if owner and reader share one, else what the owner noted at its start."""
    if header.boot_id == boot_id and header.time_namespace == time_namespace:
        now = time.monotonic_ns()
        return Clock(now, time.time_ns() - now)
    offset = header.wall_ns - header.monotonic_ns
    return Clock(time.time_ns() - offset, offset)


def of_living(snapshot: Snapshot, clock: Clock) -> Totals:
    """The books of a process that lives: its open runs are waiting or running."""
    totals = _totals(snapshot, clock)
    _read_runtime(totals.service(snapshot.header.service), snapshot, clock)
    for task in snapshot.tasks.values():
        books = totals.task(_key(snapshot, task))
        books.overdue, books.late = task.running.over, task.waiting.over
        if task.waiting.oldest:
            books.oldest_waiting = _oldest(task.waiting, books.waiting, clock)
        if task.running.oldest:
            books.oldest_running = _oldest(task.running, books.running, clock)
        books.stuck = task.stuck
        if task.kind == words.WORKER:
            books.stalled, books.progress = task.progress.over, clock.unix(task.progress.oldest)
            stops = snapshot.runtime.stopping or snapshot.state == layout.STATE_CLOSED
            books.ended = int(not stops and _has_ended(task, books))
    return totals


def _has_ended(task: TaskSnapshot, books: TaskBooks) -> bool:
    """Whether a worker is gone, and nobody asked for that: the last one failed, or what it awaited was cancelled."""
    if books.running:
        return False
    succeeded, failed, cancelled = task.last_ended
    if sum(books.finished[words.FAILED]) and failed >= max(succeeded, cancelled):
        return True
    return bool(books.cancelled[words.CANCELLED_INNER]) and cancelled >= max(succeeded, failed)


def _read_runtime(service: ServiceBooks, snapshot: Snapshot, clock: Clock) -> None:
    service.processes = int(not snapshot.continued)
    if snapshot.continued:
        return
    now = snapshot.runtime
    service.stopping, service.lag = clock.unix(now.stopping), now.lag / 1e9
    service.pool_limit, service.pool_busy, service.pool_waiting = now.pool_limit, now.pool_busy, now.pool_waiting
    silent = clock.now_ns - now.tick
    if now.tick and silent > _TICKS_MISSED * now.tick_every:
        task = snapshot.tasks.get(now.on_loop - 1)
        service.blocked[task.name if task is not None else ""] = silent / 1e9


def of_dead(snapshot: Snapshot, clock: Clock, boot_id: bytes) -> Totals:
    """The books of a process that is gone: what it left open is lost.

    Raises:
        layout.LayoutError: reason ``unbalanced``: more ended than began, so the file was tampered with.
    """
    totals = _totals(snapshot, clock)
    clean = snapshot.state == layout.STATE_CLOSED
    ended = words.EXIT_CLEAN if clean else words.EXIT_KILLED
    if snapshot.state == layout.STATE_FAILED:
        ended = words.EXIT_FAILED
    reason = reason_of_loss(snapshot, boot_id)
    exits = totals.service(snapshot.header.service).exits
    if not snapshot.continued:
        unknown = reason == words.LOST_REBOOT
        exits[words.EXIT_UNKNOWN if unknown and not clean else ended] += 1
    if list(totals.unbalanced()):
        raise layout.LayoutError("unbalanced", "more runs ended than began")
    last_seen = clock.unix(max(snapshot.runtime.tick, snapshot.header.monotonic_ns))
    totals.service(snapshot.header.service).last_seen = last_seen
    for key, books in totals.tasks.items():
        if key.kind == words.WORKER and books.running:
            books.died, books.stopped = (0.0, last_seen) if clean else (last_seen, 0.0)
        if key.kind == words.WORKER and clean:
            _stop_worker(books)
        for phase, n in ((words.WAITING, books.waiting), (words.RUNNING, books.running)):
            if n:
                books.lost[reason, phase] += n
    return totals


def reason_of_loss(snapshot: Snapshot, boot_id: bytes) -> str:
    """Why a dead process's open runs are lost."""
    if snapshot.header.boot_id != boot_id:
        return words.LOST_REBOOT
    return words.LOST_SHUTDOWN if snapshot.state == layout.STATE_CLOSED else words.LOST_KILLED


def _stop_worker(books: TaskBooks) -> None:
    """A worker runs until its process stops: that is how it should end, and nothing is lost with it."""
    running = books.running
    books.finished[words.CANCELLED][-1] += running
    books.cancelled[words.CANCELLED_SHUTDOWN] += running


def _totals(snapshot: Snapshot, clock: Clock) -> Totals:
    totals = Totals()
    for route in snapshot.routes:
        _read_route(totals, route, snapshot)
    service = totals.service(snapshot.header.service)
    service.internal_errors = snapshot.internal_errors
    for bound, hits in zip(_BOUNDS, snapshot.bounds_hit, strict=True):
        if hits:
            service.overflow[bound] = hits
    for task in snapshot.tasks.values():
        key, books = _key(snapshot, task), _books(task, clock)
        if totals.tasks.setdefault(key, books) is not books:
            totals.tasks[key].add(books)
    for exemplar in snapshot.exemplars:
        traced = snapshot.tasks.get(exemplar.task)
        if traced is not None:
            totals.task(_key(snapshot, traced)).note_exemplar(*_exemplar(exemplar, clock))
    for number, name, count in snapshot.exceptions:
        failed = snapshot.tasks.get(number)
        if failed is not None and count > 0:
            totals.task(_key(snapshot, failed)).errors[name] += count
    return totals


def _exemplar(found: snapshot_.Exemplar, clock: Clock) -> tuple[tuple[str, ...], Exemplar]:
    value = 1.0
    if found.of >= layout.EXEMPLAR_DROPPED:
        reason = found.of - layout.EXEMPLAR_DROPPED
        of: tuple[str, ...] = (OF_DROPPED, words.DROP_REASONS[min(reason, len(words.DROP_REASONS) - 1)])
    elif found.of == layout.EXEMPLAR_FAILED:
        of = (OF_FAILED,)
    else:
        of, value = (OF_BUCKET, str(found.of)), found.took / 1e9
    return of, Exemplar(f"{found.trace:032x}", f"{found.span:016x}", value, clock.unix(found.at))


def _read_route(totals: Totals, route: RouteSnapshot, snapshot: Snapshot) -> None:
    method, _, template = route.name.partition(" ")
    books = RouteBooks(route.scheduling, route.without)
    for number, (scheduled, missed) in route.tasks.items():
        task = snapshot.tasks.get(number)
        if task is not None:
            books.scheduled[task.name] += scheduled
            if missed is not None:
                books.missed[task.name] += missed
    totals.route(RouteKey(snapshot.header.service, template, method)).add(books)


def _books(task: TaskSnapshot, clock: Clock) -> TaskBooks:
    lost = Counter({(words.LOST_COLLECTED, words.RUNNING): task.collected} if task.collected else {})
    return TaskBooks(
        scheduled=task.scheduled,
        started=task.started,
        finished=dict(zip(words.OUTCOMES, task.finished, strict=True)),
        dropped=_counted(zip(words.DROP_REASONS, task.dropped, strict=False)),
        lost=lost,
        cancelled=_counted(zip(words.CANCEL_REASONS, task.cancelled, strict=False)),
        swallowed=task.swallowed,
        every=task.declaration.every or 0.0,
        wait_seconds=task.wait_ns / 1e9,
        run_seconds=sum(task.run_ns) / 1e9,
        last_success=clock.unix(task.last_ended[0]),
        deadline=task.declaration.deadline or 0.0,
        start_deadline=task.declaration.start_deadline or 0.0,
        importance=task.declaration.importance,
        owner=task.declaration.owner,
    )


def _counted(pairs: "zip[tuple[str, int]]") -> "Counter[str]":
    counted: Counter[str] = Counter()
    for name, n in pairs:
        if n:
            counted[name] = n
    return counted


def _key(snapshot: Snapshot, task: TaskSnapshot) -> TaskKey:
    return TaskKey(snapshot.header.service, task.name, task.kind)


def _oldest(runs: OpenRuns, open_now: int, clock: Clock) -> float:
    """0 when the counters say that none is open: a slot may have been read a moment before them."""
    return clock.unix(runs.oldest) if open_now else 0.0
