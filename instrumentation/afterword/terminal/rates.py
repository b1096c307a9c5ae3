"""Rates per second, from the totals of two looks."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from afterword.view.model import Books, Task

#: Service, task, kind.
Key = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Rates:
    """What a task's books grew by, per second; None until there are two looks."""

    scheduled: float | None
    succeeded: float | None
    bad: float | None


UNKNOWN: Final = Rates(None, None, None)


def key_of(task: Task) -> Key:
    """What a task is known by from look to look."""
    return task.service, task.task, task.kind


def between(before: Iterable[Task], after: Iterable[Task], seconds: float) -> dict[Key, Rates]:
    """The rates of the tasks that both looks know; books that were begun anew have none."""
    if seconds <= 0:
        return {}
    old = {key_of(task): task.books for task in before}
    return {key_of(task): _of(old[key_of(task)], task.books, seconds) for task in after if key_of(task) in old}


def bad(books: Books) -> int:
    """Runs that ended badly."""
    return books.failed + books.cancelled + books.dropped + books.lost_waiting + books.lost_running


def _of(old: Books, new: Books, seconds: float) -> Rates:
    grown = (new.scheduled - old.scheduled, new.succeeded - old.succeeded, bad(new) - bad(old))
    return Rates(*(n / seconds for n in grown)) if min(grown) >= 0 else UNKNOWN
