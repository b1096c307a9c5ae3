"""The blocks of the screen: the verdict, the books of each task, the runs against their limits, the bad endings."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from afterword.terminal import table
from afterword.terminal.cells import Line, Part, safe
from afterword.terminal.figures import NONE, bar, count, duration, rate, several
from afterword.terminal.rates import UNKNOWN, Key, Rates, key_of
from afterword.terminal.reading import Shown
from afterword.terminal.table import Column
from afterword.view.model import BadEnding, Run, Status, Task

_BAR: Final = 10
_NAME: Final = 16
_TASKS: Final = (
    Column("TASK", least=_NAME, keep_end=True),
    Column("KIND", rank=7),
    Column("SCHEDULED", right=True, rank=4),
    Column("WAITING", right=True),
    Column("RUNNING", right=True),
    Column("SUCCEEDED", right=True, rank=2),
    Column("FAILED", right=True),
    Column("CANCELLED", right=True, rank=3),
    Column("DROPPED", right=True),
    Column("LOST", right=True),
    Column("IN/S", right=True, rank=1),
    Column("DONE/S", right=True, rank=5),
    Column("BAD/S", right=True, rank=6),
)
_RUNS: Final = (
    Column("OPEN RUNS", least=_NAME, keep_end=True),
    Column("STATE"),
    Column("AGE", right=True),
    Column("LIMIT", right=True),
    Column("USED", rank=1),
    Column("PID", right=True, rank=3),
    Column("RUN", rank=2),
    Column("ROUTE", rank=4),
)
_ENDINGS: Final = (
    Column("BAD ENDINGS", least=_NAME, keep_end=True),
    Column("ENDING"),
    Column("REASON", least=_NAME),
    Column("AGO", right=True),
    Column("RUN", rank=1),
    Column("ROUTE", rank=2),
)
_STATES: Final = {"overdue": "bad", "late": "bad", "running": "", "waiting": "dim"}
_ENDED: Final = {"lost": "bad", "dropped": "bad", "cancelled": "dim"}


def verdict(status: Status, room: int | None, most: int, sentence_lines: int = 1) -> list[Line]:
    """The verdict in a word and a sentence, and ``most`` of its other reasons."""
    word = status.verdict.upper()
    sentence = safe(status.sentence)
    broken = [sentence] if room is None else _broken(sentence, max(20, room - len(word) - 2), sentence_lines)
    first, *rest = broken or [""]
    shown: list[Line] = [[(word, status.verdict), (f"  {first}", "title")]]
    shown += [[(" " * (len(word) + 2) + line, "title")] for line in rest]
    told = status.sentence.lower()
    reasons = [reason for reason in status.reasons if not told.startswith(reason.sentence.lower())]
    for reason in reasons[:most]:
        alert: Line = [(f"  {safe(reason.alert)}", "dim")] if reason.alert else []
        shown.append([("  ", ""), (safe(reason.sentence), reason.health), *alert])
    if len(reasons) > most > 0:
        shown.append([(f"  and {len(reasons) - most} more", "dim")])
    return shown


def summary(shown: Shown) -> Line:
    """How many processes, and what is open in them."""
    books = [task.books for task in shown.tasks]
    late, overdue = sum(one.late for one in books), sum(one.overdue for one in books)
    return [
        (f"{several(len(shown.processes), 'process')}  {several(len(shown.tasks), 'task')}", "dim"),
        (f"  {count(sum(one.waiting for one in books))} waiting", ""),
        (f"  {count(sum(one.running for one in books))} running", ""),
        (f"  {count(late)} late", "bad" if late else "dim"),
        (f"  {count(overdue)} overdue", "bad" if overdue else "dim"),
    ]


def tasks(
    found: Sequence[Task], rates: Mapping[Key, Rates], room: int | None, title: str = _TASKS[0].title
) -> list[Line]:
    """A title and a row for each task; its service is told where there are several."""
    named = len({task.service for task in found}) > 1
    columns = (replace(_TASKS[0], title=title), *_TASKS[1:])
    return table.lines(columns, [_task(task, rates.get(key_of(task), UNKNOWN), named=named) for task in found], room)


def books_of(task: Task, room: int) -> list[Line]:
    """The equation of one task's books, and what its bad endings were."""
    books = task.books
    parts = [
        f"{word} {', '.join(f'{safe(reason)} {count(n)}' for reason, n in reasons.items() if n)}"
        for word, reasons in (
            ("dropped:", books.dropped_by_reason),
            ("lost:", books.lost_by_reason),
            ("cancelled:", books.cancelled_by_reason),
            ("errors:", books.errors),
        )
        if any(reasons.values())
    ]
    limits = f"deadline {duration(task.deadline or None)}, start deadline {duration(task.start_deadline or None)}"
    texts = [*map(safe, books.equation.splitlines()), "; ".join([*parts, limits])]
    return [[(f"  {line}", "dim")] for text in texts for line in _broken(text, max(20, room - 2), 2)]


def runs(found: Sequence[Run], room: int | None) -> list[Line]:
    """A title and a row for each open run, with how much of its limit it has used up."""
    return table.lines(_RUNS, [_run(run) for run in found], room)


def endings(found: Sequence[BadEnding], now: float, room: int | None) -> list[Line]:
    """A title and a row for each bad ending."""
    return table.lines(_ENDINGS, [_ending(one, now) for one in found], room)


def _broken(text: str, room: int, most: int) -> list[str]:
    """The text on ``most`` lines; what does not fit shows as an ellipsis."""
    return textwrap.wrap(text, room, max_lines=most, placeholder=" …")


def _task(task: Task, rates: Rates, *, named: bool) -> list[Part]:
    books, recent = task.books, task.recent
    return [
        (safe(f"{task.service}/{task.task}" if named else task.task), task.health if task.health != "ok" else ""),
        (task.kind, "dim"),
        (count(books.scheduled), ""),
        (count(books.waiting), "bad" if books.late else ""),
        (count(books.running), "bad" if books.overdue else ""),
        (count(books.succeeded), ""),
        (count(books.failed), "degraded" if recent.get("failed") else ""),
        (count(books.cancelled), ""),
        (count(books.dropped), "bad" if recent.get("dropped") else ""),
        (count(books.lost_waiting + books.lost_running), "bad" if recent.get("lost") else ""),
        (rate(rates.scheduled), ""),
        (rate(rates.succeeded), ""),
        (rate(rates.bad), "bad" if rates.bad else ""),
    ]


def _run(run: Run) -> list[Part]:
    style = _STATES.get(run.state, "")
    used = "" if not run.limit else bar(run.age / run.limit, _BAR)
    return [
        (safe(run.task), ""),
        (run.state, style),
        (duration(run.age), style),
        (duration(run.limit), ""),
        (used, style or "ok"),
        (str(run.pid), "dim"),
        (safe(run.id), "dim"),
        (safe(run.route) or NONE, "dim"),
    ]


def _ending(ending: BadEnding, now: float) -> list[Part]:
    reason = f"{ending.reason} ({ending.phase})" if ending.phase else ending.reason
    return [
        (safe(ending.task), ""),
        (ending.ending, _ENDED.get(ending.ending, "degraded")),
        (safe(reason) or NONE, ""),
        (duration(max(0.0, now - ending.ended)), ""),
        (safe(ending.id), "dim"),
        (safe(ending.route) or NONE, "dim"),
    ]
