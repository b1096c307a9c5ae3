"""The list of bad endings: asked for page by page, shown as a log, the newest last."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from afterword.terminal import table
from afterword.terminal.cells import Line, Part, safe, width
from afterword.terminal.figures import NONE, duration, moment
from afterword.terminal.table import Column
from afterword.view.model import BAD_ENDINGS, BadEnding, Books, Ending, Status, Task
from afterword.view.reading import EndingQuery, View

#: Work that vanished; the other bad endings have told somebody.
VANISHED: Final[tuple[Ending, ...]] = ("lost", "dropped")
ALL: Final = BAD_ENDINGS
_PAGE: Final = 1000
_STYLES: Final = {"lost": "bad", "dropped": "bad", "failed": "degraded", "swallowed": "degraded", "cancelled": "dim"}
_SHORT: Final = (Column("WHEN"), Column("ENDING"), Column("REASON"), Column("TASK"))
_MORE: Final = (Column("RUN"), Column("ROUTE"), Column("WAITED", right=True), Column("RAN", right=True))
_COLUMNS: Final = (*_SHORT, *_MORE, Column("TRACE"))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which bad endings; times in Unix seconds."""

    endings: tuple[Ending, ...] = VANISHED
    service: str | None = None
    task: str | None = None
    kind: str | None = None
    since: float | None = None
    until: float | None = None
    #: At most so many of the newest; None: all that are kept.
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The newest that were asked for, the newest last, and how many there are."""

    items: list[BadEnding]
    total: int


def find(view: View, wanted: Wanted) -> Found:
    """Ask the history."""
    items: list[BadEnding] = []
    total, before = 0, None
    while wanted.limit is None or len(items) < wanted.limit:
        limit = _PAGE if wanted.limit is None else min(_PAGE, wanted.limit - len(items))
        page = view.endings(
            EndingQuery(
                service=wanted.service, task=wanted.task, kind=wanted.kind, ending=wanted.endings,
                since=wanted.since, until=wanted.until, before=before, limit=limit,
            )
        )  # fmt: skip
        items += page.items
        total = max(total, page.total)
        before = page.next
        if before is None or not page.items:
            break
    items.sort(key=lambda item: (item.ended, item.number))
    return Found(items, max(total, len(items)))


def lines(found: Found, wanted: Wanted, status: Status, counted: int, room: int | None) -> list[Line]:
    """The list and what is not in it.

    Args:
        found: What `find` found.
        wanted: What it was asked for.
        status: Of the same look.
        counted: As `counted` has it.
        room: Columns of the terminal: in too few each ending takes two lines. None: there is no terminal.
    """
    shown = list(_listed(found.items, room)) if found.items else [[(_none(wanted), "ok")]]
    return [*shown, [], *([(note, "dim")] for note in _notes(found, wanted, status, counted))]


def _listed(items: list[BadEnding], room: int | None) -> Iterator[Line]:
    rows = [_row(item) for item in items]
    wide = table.lines(_COLUMNS, rows, None)
    if room is None or max(sum(width(text) for text, _ in line) for line in wide) <= room:
        yield from wide
        return
    short = table.lines(_SHORT, [row[: len(_SHORT)] for row in rows], None)
    yield short[0]
    for line, row in zip(short[1:], rows, strict=True):
        yield line
        yield [("    " + "  ".join(_worded(row[len(_SHORT) :])), "dim")]


def _row(item: BadEnding) -> list[Part]:
    reason = f"{item.reason} ({item.phase})" if item.phase else item.reason
    waited, ran = _durations(item)
    return [
        (moment(item.ended), ""),
        (item.ending, _STYLES.get(item.ending, "")),
        (safe(reason) or NONE, ""),
        (safe(item.task), "title"),
        (safe(item.id) or NONE, ""),
        (safe(item.route) or NONE, ""),
        (waited, ""),
        (ran, ""),
        (safe(item.trace_id) or NONE, ""),
    ]


def _durations(item: BadEnding) -> tuple[str, str]:
    """How long it waited and how long it ran, as far as that is known."""
    waited = ran = None
    if item.scheduled is not None:
        waited = max(0.0, (item.ended if item.started is None else item.started) - item.scheduled)
    if item.started is not None:
        ran = max(0.0, item.ended - item.started)
    return duration(waited), duration(ran)


def _worded(rest: list[Part]) -> Iterator[str]:
    """What is known of the columns that have no room, each with its name."""
    for column, (text, _) in zip(_COLUMNS[len(_SHORT) :], rest, strict=True):
        if text != NONE:
            yield text if column.title == "ROUTE" else f"{column.title.lower()} {text}"


def _none(wanted: Wanted) -> str:
    when = "" if wanted.since is None else f" since {moment(wanted.since)}"
    until = "" if wanted.until is None else f" until {moment(wanted.until)}"
    return f"nothing {' or '.join(wanted.endings)}{when}{until}"


def counted(tasks: Iterable[Task], wanted: Wanted) -> int:
    """How many such bad endings the books have, since they began."""
    return sum(
        _counted(task.books, ending)
        for task in tasks
        for ending in wanted.endings
        if wanted.service in (None, task.service)
        and wanted.task in (None, task.task)
        and wanted.kind in (None, task.kind)
    )


def _counted(books: Books, ending: Ending) -> int:
    if ending == "lost":
        return books.lost_waiting + books.lost_running
    return int(getattr(books, ending))


def _notes(found: Found, wanted: Wanted, status: Status, counted: int) -> Iterator[str]:
    """What the list does not hold, and since when it could hold anything."""
    history = status.sidecar.history
    if found.total > len(found.items):
        yield f"the newest {len(found.items)} of {found.total}: --limit {found.total} shows all"
    begins = "the history is empty" if history.since is None else f"the history goes back to {moment(history.since)}"
    yield f"{begins}; bad endings that were never kept one by one, only counted: {history.missed}"
    always = wanted.since is None and wanted.until is None
    if always and counted > found.total:
        yield f"the books have {counted}, so {counted - found.total} of them are not, or no longer, kept one by one"
    if history.problem:
        yield f"the history has a problem: {safe(history.problem)}"
    if unreadable := sum(status.sidecar.unreadable.values()) + status.sidecar.unknown:
        yield f"files that could not be read: {unreadable}; see afterword doctor"
