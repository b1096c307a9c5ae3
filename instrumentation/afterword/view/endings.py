"""Bad endings as a person is shown them."""

from afterword.books.ended import Ended
from afterword.books.history import HistoryCounts
from afterword.books.history import Query as EndingQuery
from afterword.view.model import BadEnding, History

__all__ = ["EndingQuery", "ending_of", "history_of"]


def ending_of(number: int, found: Ended) -> BadEnding:
    """One, with its number in the history."""
    return BadEnding(
        number=number,
        id=found.id,
        service=found.key.service,
        task=found.key.task,
        kind=found.key.kind,
        ending=found.ending,  # type: ignore[arg-type]  # the history keeps no other
        reason=found.reason,
        phase=found.phase,
        route=found.route,
        pid=found.pid,
        process=found.uuid,
        scheduled=found.scheduled / 1e9 or None,
        started=found.started / 1e9 or None,
        ended=found.ended / 1e9,
        trace_id=found.trace,
        span_id=found.span,
    )


def history_of(counts: HistoryCounts, limit: int) -> History:
    """What is kept."""
    return History(counts.kept, limit, counts.since / 1e9 or None, counts.missed, counts.problem)
