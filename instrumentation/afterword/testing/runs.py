"""What became of one task's runs between two readings of the ledger."""

from collections import Counter
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from afterword import words

if TYPE_CHECKING:
    from afterword.books.model import TaskBooks

#: How a worker may end: it lives as long as its application, and is stopped with it.
_STOPPED = frozenset({words.CANCELLED_SHUTDOWN, words.CANCELLED_REQUESTED})


@dataclass(frozen=True, slots=True, repr=False)
class Runs:
    """The runs of one task, counted. ``swallowed`` are among the succeeded: an error was logged in them.

    ``dropped``, ``lost`` and ``cancelled_by`` count by reason, ``errors`` by the class of the exception. A reason that
    did not occur counts 0.
    """

    scheduled: int = 0
    started: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    swallowed: int = 0
    waiting: int = 0
    running: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    cancelled_by: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def open(self) -> int:
        """Runs that have no ending yet."""
        return self.waiting + self.running

    @property
    def well(self) -> int:
        """Runs that succeeded and swallowed no error."""
        return max(0, self.succeeded - self.swallowed)

    @property
    def badly(self) -> int:
        """Runs that ended in any other way, or have not ended."""
        swallowed = min(self.swallowed, self.succeeded)
        return self.open + self.failed + self.cancelled + swallowed + self.dropped.total() + self.lost.total()

    def __add__(self, other: "Runs") -> "Runs":
        return Runs(*(getattr(self, of.name) + getattr(other, of.name) for of in fields(self)))

    def __bool__(self) -> bool:
        return any(getattr(self, of.name) for of in fields(self))

    def __repr__(self) -> str:
        told = {of.name: getattr(self, of.name) for of in fields(self)}
        return f"Runs({', '.join(f'{name}={_plain(value)}' for name, value in told.items() if value)})"


def between(before: "TaskBooks", now: "TaskBooks") -> Runs:
    """What happened since ``before``. Runs that were open then are taken to be those that are open now."""
    finished = {outcome: sum(now.finished[outcome]) - sum(before.finished[outcome]) for outcome in words.OUTCOMES}
    return Runs(
        scheduled=now.scheduled - before.scheduled,
        started=now.started_total - before.started_total,
        succeeded=finished[words.SUCCEEDED],
        failed=finished[words.FAILED],
        cancelled=finished[words.CANCELLED],
        swallowed=now.swallowed - before.swallowed,
        waiting=max(0, now.waiting - before.waiting),
        running=max(0, now.running - before.running),
        dropped=now.dropped - before.dropped,
        lost=_by_reason(now) - _by_reason(before),
        cancelled_by=now.cancelled - before.cancelled,
        errors=now.errors - before.errors,
    )


def of_worker(runs: Runs) -> Runs:
    """A worker's runs as they count: it need not end, and one that is stopped with its application has ended well."""
    stopped = sum(n for reason, n in runs.cancelled_by.items() if reason in _STOPPED)
    return Runs(
        scheduled=runs.scheduled - runs.waiting,
        started=runs.started - runs.running,
        succeeded=runs.succeeded + stopped,
        failed=runs.failed,
        cancelled=runs.cancelled - stopped,
        swallowed=runs.swallowed,
        dropped=Counter({reason: n for reason, n in runs.dropped.items() if reason != words.SHUTDOWN}),
        lost=runs.lost,
        cancelled_by=Counter({reason: n for reason, n in runs.cancelled_by.items() if reason not in _STOPPED}),
        errors=runs.errors,
    )


def _by_reason(books: "TaskBooks") -> Counter[str]:
    lost: Counter[str] = Counter()
    for (reason, _), n in books.lost.items():
        lost[reason] += n
    return lost


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Counter) else value
