"""One look at a directory: everything that page, API and terminal show comes from here."""

import functools
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from afterword import __version__
from afterword.books.bookkeeper import Bookkeeper
from afterword.books.history import LIMIT, HistoryCounts
from afterword.books.open_runs import OpenOfProcess
from afterword.books.scan import Scan
from afterword.books.sqlite import MISSING
from afterword.view import detail, health
from afterword.view.endings import EndingQuery, ending_of, history_of
from afterword.view.growth import Growth, merged
from afterword.view.model import (
    HEALTH,
    BadEnding,
    Health,
    Process,
    Reason,
    Route,
    Run,
    RunDetail,
    Service,
    Sidecar,
    Status,
    Task,
    Worker,
)  # fmt: skip
from afterword.view.processes import is_worker, process_of, route_of, worker_of
from afterword.view.runs import Found, RunQuery, run_of, select
from afterword.view.tasks import task_of

__all__ = ["EndingPage", "EndingQuery", "Look", "RunQuery", "View"]

#: Seconds that count as lately where nobody says otherwise.
HOUR: Final = 3600.0
#: For so long a look is good enough for whoever asks next, in seconds: one page asks for several things at once.
_FRESH: Final = 0.25


@dataclass(frozen=True, slots=True)
class EndingPage:
    """A page of bad endings, the newest first; ``next`` is what to ask for as ``before``."""

    items: list[BadEnding]
    total: int
    next: int | None


class Look:
    """The books at one moment, and what is read only when somebody asks: single runs, processes."""

    def __init__(self, bookkeeper: Bookkeeper, scan: Scan, window: float, grown: health.Recent, began: float) -> None:
        self.at = scan.at
        self._bookkeeper, self._scan, self._window, self._began = bookkeeper, scan, window, began
        self._grown = grown
        self._totals = scan.totals

    @functools.cached_property
    def reasons(self) -> list[Reason]:
        """All that is wrong, the worst first."""
        return self.reasons_within(self._window)

    @functools.cached_property
    def _history(self) -> HistoryCounts:
        return self._bookkeeper.history.counts()

    def lately(self, seconds: float) -> health.Recent:
        """Bad endings of the last ``seconds``, by task and ending: as the history has them, or as the books grew."""
        kept = {key: counts for key, (counts, _) in self._bookkeeper.history.recent(self.at - seconds).items()}
        return merged(kept, self._grown) if seconds >= self._window else kept

    def reasons_within(self, window: float) -> list[Reason]:
        """The same, with lost work of the last ``window`` seconds."""
        problem = "" if MISSING else self._history.problem
        return health.reasons(self._scan, self.lately(window), window, problem)

    @functools.cached_property
    def tasks(self) -> list[Task]:
        """All tasks, the worst first."""
        bad: dict[tuple[str, str, str], list[Health]] = {}
        for reason in self.reasons:
            bad.setdefault((reason.service, reason.task, reason.kind), []).append(reason.health)
        recent = self._bookkeeper.history.recent(self.at - HOUR)
        found = []
        for key, books in self._totals.tasks.items():
            how = health.worst(bad.get(key, ()))
            found.append(task_of(key, books, how, *recent.get(key, ({}, 0))))
        return sorted(found, key=_worst_first)

    @functools.cached_property
    def status(self) -> Status:
        """The first screen."""
        services = [self._service(name) for name in sorted(self._totals.services)]
        verdict = health.worst(reason.health for reason in self.reasons)
        return Status(self.at, verdict, _sentence(verdict, self.reasons), self.reasons, services, self._sidecar())

    @functools.cached_property
    def open_runs(self) -> list[OpenOfProcess]:
        """The open runs of all living processes, as they are kept."""
        return self._bookkeeper.of_living(OpenOfProcess)

    @functools.cached_property
    def runs(self) -> list[Run]:
        """The open runs, those with the least time left to their limit first."""
        return self.select(RunQuery(limit=sys.maxsize)).items

    def select(self, query: RunQuery) -> Found:
        """Some of the open runs."""
        return select(self.open_runs, query)

    @functools.cached_property
    def processes(self) -> list[Process]:
        """The processes that live, the oldest first."""
        return sorted(self._bookkeeper.of_living(process_of), key=lambda process: process.started)

    @functools.cached_property
    def workers(self) -> list[Worker]:
        """The workers."""
        how = {(task.service, task.task, task.kind): task.health for task in self.tasks}
        return [worker_of(key, books, how[key]) for key, books in sorted(self._totals.tasks.items()) if is_worker(key)]

    @functools.cached_property
    def routes(self) -> list[Route]:
        """The routes that ever scheduled work, or declare that they should."""
        return [route_of(key, books) for key, books in sorted(self._totals.routes.items()) if books.speaks]

    def _service(self, name: str) -> Service:
        books, tasks = self._totals.services[name], [task for task in self.tasks if task.service == name]
        mine = [reason for reason in self.reasons if reason.service == name]
        recent: dict[str, int] = {}
        for task in tasks:
            for ending, n in task.recent.items():
                recent[ending] = recent.get(ending, 0) + n
        return Service(
            service=name,
            health=health.worst(reason.health for reason in mine),
            reasons=mine,
            processes=books.processes,
            exits=dict(books.exits),
            tasks=len(tasks),
            waiting=sum(task.books.waiting for task in tasks),
            running=sum(task.books.running for task in tasks),
            overdue=sum(task.books.overdue for task in tasks),
            late=sum(task.books.late for task in tasks),
            recent=recent,
            last_bad=max((task.last_bad for task in tasks if task.last_bad), default=None),
        )

    def _sidecar(self) -> Sidecar:
        scan, listing = self._scan, self._scan.listing
        return Sidecar(
            version=__version__,
            directory=str(self._bookkeeper.path),
            problem=listing.problem or "",
            ledgers=scan.ledgers,
            unreadable=dict(listing.unreadable),
            unknown=listing.unknown,
            unaccounted=dict(listing.unaccounted),
            fold_errors=scan.fold_errors,
            scan_seconds=scan.seconds,
            started=self._began,
            history=history_of(self._history, LIMIT),
            spans_waiting=scan.spans.waiting,
            spans_dropped=scan.spans.dropped,
        )


class View:
    """Looks at one directory. Safe for several threads; who asks at once shares a look."""

    def __init__(
        self,
        directory: Path | Bookkeeper,
        *,
        fold: bool = False,
        scan: Callable[[], Scan] | None = None,
        time_scale: float = 1.0,
        trace_url: str | None = None,
    ) -> None:
        """View a directory, or the books that somebody else keeps.

        Args:
            directory: Where the ledgers are, or the bookkeeper of it.
            fold: Whether to book the dead and fold their ledgers away; False writes nothing.
            scan: Instead of the bookkeeper's own.
            time_scale: Divides how long lost work keeps a service from being well.
            trace_url: Where a trace can be seen, with ``{trace_id}`` in it.
        """
        self.bookkeeper = directory if isinstance(directory, Bookkeeper) else Bookkeeper(directory, folds=fold)
        self._scan = scan or self.bookkeeper.scan
        self._window = health.WINDOW / time_scale
        self._trace_url = trace_url
        #: Fed by every look, and by whoever scans the same books without one.
        self.growth = Growth(self._window)
        self._began = time.time()
        self._lock = threading.Lock()
        self._last: tuple[float, Look] | None = None

    def look(self) -> Look:
        """The books now, or as they were an instant ago."""
        with self._lock:
            if self._last is None or time.monotonic() - self._last[0] > _FRESH:
                scan = self._scan()
                grown = self.growth.note(scan)
                self._last = time.monotonic(), Look(self.bookkeeper, scan, self._window, grown, self._began)
            return self._last[1]

    def endings(self, query: EndingQuery) -> EndingPage:
        """A page of bad endings, the newest first."""
        kept = self.bookkeeper.history.page(query)
        items = [ending_of(number, ended) for number, ended in kept.items]
        return EndingPage(items, kept.total, items[-1].number if items and kept.more else None)

    def run(self, name: str) -> RunDetail | None:
        """One run by its id: open, or kept because it ended badly; None if it is neither."""
        look = self.look()
        for process in look.open_runs:
            run = process.find(name)
            if run is not None:
                return detail.of_open(run_of(run, process.clock), look.at, self._trace_url)
        ended = self.endings(EndingQuery(run=name, limit=1)).items
        return detail.of_ended(ended[0], self._trace_url) if ended else None


def _worst_first(task: Task) -> tuple[int, int, int, str, str]:
    return (
        -HEALTH.index(task.health),
        -sum(task.recent.values()),
        -(task.books.overdue + task.books.late),
        task.service,
        task.task,
    )


def _sentence(verdict: Health, reasons: list[Reason]) -> str:
    """Why, in one line."""
    if verdict == "ok":
        return "No work is lost, stuck or late."
    of_that = [reason for reason in reasons if reason.health == verdict]
    more, first = len(reasons) - 1, of_that[0].sentence
    others = f"; {more} more reasons" if more > 1 else "; 1 more reason" if more else ""
    return f"{first[0].upper()}{first[1:]}{others}."
