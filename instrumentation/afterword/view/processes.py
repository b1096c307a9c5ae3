"""Living processes, workers and routes as a person is shown them."""

from afterword import words
from afterword.books.model import RouteBooks, RouteKey, TaskBooks, TaskKey
from afterword.books.one_ledger import Clock
from afterword.books.one_ledger import of_living as books_of_living
from afterword.ledger.reader import LedgerReader
from afterword.ledger.snapshot import Snapshot
from afterword.view.model import Health, Process, Route, Worker


def process_of(reader: LedgerReader, snapshot: Snapshot, clock: Clock) -> Process:
    """One process; ``reader`` has read the snapshot."""
    header, totals = snapshot.header, books_of_living(snapshot, clock)
    service = totals.service(header.service)
    on_loop, blocked = next(iter(service.blocked.items()), ("", None))
    return Process(
        process=header.uuid.hex(),
        service=header.service,
        pid=header.pid,
        started=clock.unix(header.monotonic_ns),
        state="stopping" if service.stopping else "running",
        waiting=sum(books.waiting for books in totals.tasks.values()),
        running=sum(books.running for books in totals.tasks.values()),
        loop_lag=service.lag,
        loop_blocked=blocked,
        on_loop=on_loop,
        pool_limit=service.pool_limit,
        pool_busy=service.pool_busy,
        pool_waiting=service.pool_waiting,
        ledger_bytes=reader.size,
        version=header.version,
    )


def worker_of(key: TaskKey, books: TaskBooks, health: Health) -> Worker:
    """One worker."""
    return Worker(
        service=key.service,
        task=key.task,
        importance=books.importance,
        running=books.running,
        ended=books.ended,
        stalled=books.stalled,
        progress=books.progress or None,
        stuck_at=list(books.stuck),
        health=health,
    )


def is_worker(key: TaskKey) -> bool:
    """Whether it lives as long as its application."""
    return key.kind == words.WORKER


def route_of(key: RouteKey, books: RouteBooks) -> Route:
    """One route."""
    return Route(
        service=key.service,
        method=key.method,
        route=key.route,
        scheduling=books.scheduling,
        without=books.without,
        scheduled=dict(books.scheduled),
        missed={task: n for task, n in books.missed.items() if n},
    )
