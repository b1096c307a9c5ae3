"""Sends the spans that dead processes could not, and a marker for each run that is overdue while it is still open.

One thread, which nobody waits for: what it has not sent stays in the outbox, and the next sidecar sends it. The marker
is a span of its own, below the run's: of two spans with one id Tempo returns one, whichever it meets first, so a run's
own span sent before it ends could hide its real end (grafana/tempo#787).
"""

import contextlib
import logging
import threading
import time
from typing import TYPE_CHECKING, Final

from afterword import spans
from afterword.books.bookkeeper import Bookkeeper
from afterword.books.open_runs import OpenRun
from afterword.books.outbox import Batch, Span
from afterword.sidecar.exporter import readable, why_not

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

_LOGGER: Final = logging.getLogger("afterword.sidecar")
#: Seconds between two looks for overdue runs, and between two attempts after a first that failed, and at most.
LOOK, _FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 0.5, 30.0
#: Markers in one request.
_MAX_MARKERS: Final = 200
#: How long the end waits for a request that is on, in seconds.
_GRACE: Final = 0.5


class SpanSender:
    """Empties the outbox of a bookkeeper's directory into an exporter."""

    def __init__(self, bookkeeper: Bookkeeper, exporter: "SpanExporter", where: str, *, look: float = LOOK) -> None:
        """Send to ``exporter``, which is called ``where`` in the log; look for overdue runs every ``look`` seconds."""
        self._bookkeeper, self._exporter, self._where, self._look = bookkeeper, exporter, where, look
        self._wake, self._end = threading.Event(), threading.Event()
        self._pause = 0.0
        self._marked: set[tuple[str, str]] = set()
        self._looked = float("-inf")
        self._thread = threading.Thread(target=self._run, name="afterword-spans", daemon=True)

    def start(self) -> None:
        """Have spans kept from now on, and begin to send."""
        with contextlib.suppress(OSError):  # a directory that cannot be used yet: the thread tries again
            self._bookkeeper.outbox.open()
        self._thread.start()

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    def stop(self) -> None:
        """End within a second, whatever the collector does; what was not sent stays where it is."""
        self._end.set()
        self._wake.set()
        self._thread.join(_GRACE)

    def _run(self) -> None:
        while not self._end.is_set():
            try:
                self._send_all()
            except Exception as error:  # noqa: BLE001 - the thread must outlive anything
                self._failed(f"{type(error).__name__}: {error}")
            if self._pause:
                self._end.wait(self._pause)  # whatever there is to send meanwhile
            else:
                self._wake.wait(self._look)
            self._wake.clear()

    def _send_all(self) -> None:
        outbox = self._bookkeeper.outbox
        outbox.open()
        for name in outbox.names():
            batch = outbox.read(name)
            if self._end.is_set() or (batch is not None and not self._send(batch)):
                return
            outbox.remove(name)
        if time.monotonic() - self._looked >= self._look:
            self._looked = time.monotonic()
            self._mark_overdue()

    def _mark_overdue(self) -> None:
        overdue = [run for run in self._bookkeeper.overdue_runs() if run.trace and run.span]
        self._marked &= {(run.uuid, run.id) for run in overdue}
        fresh = [run for run in overdue if (run.uuid, run.id) not in self._marked][:_MAX_MARKERS]
        by_process: dict[str, list[OpenRun]] = {}
        for run in fresh:
            by_process.setdefault(run.uuid, []).append(run)
        for runs in by_process.values():
            if self._send(Batch(runs[0].resource, [marker(run) for run in runs])):
                self._marked |= {(run.uuid, run.id) for run in runs}

    def _send(self, batch: Batch) -> bool:
        from opentelemetry.sdk.trace.export import SpanExportResult

        if self._exporter.export(readable(batch)) is not SpanExportResult.SUCCESS:
            self._failed(why_not() or "it did not take them")
            return False
        if self._pause:
            _LOGGER.info("%s takes spans again", self._where)
        self._pause = 0.0
        why_not()  # of an attempt before the one that went well
        self._bookkeeper.outbox.sent += len(batch.spans)
        return True

    def _failed(self, why: str) -> None:
        if not self._pause and not self._end.is_set():
            _LOGGER.warning("spans cannot be sent to %s (%s): they wait, for at most an hour", self._where, why)
        self._pause = min(_LONGEST_PAUSE, 2 * self._pause or _FIRST_PAUSE)


def marker(run: OpenRun) -> Span:
    """What shows in the trace of an open run that it is overdue, and where it is stuck."""
    attributes = spans.identity(run.key.task, run.key.kind, run.id, run.route, run.function)
    attributes |= {spans.OUTCOME: spans.OVERDUE, spans.CLOSED_BY: spans.SIDECAR}
    at = f", at {run.stuck_at}" if run.stuck_at else ""
    if run.stuck_at:
        attributes[spans.STUCK] = run.stuck_at
    due = run.started + int(run.deadline * 1e9)
    return Span(
        name=run.key.task + spans.OVERDUE_SUFFIX,
        trace=run.trace,
        span=spans.span_id_of(run.uuid, run.id, spans.OVERDUE),
        parent=run.span,
        link=None,
        start=due,
        end=max(due, time.time_ns()),
        attributes=attributes,
        error=f"running for longer than {run.deadline:g} s{at}",
    )
