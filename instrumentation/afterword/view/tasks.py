"""Books as a person is shown them: with their equation, their limits and their habit."""

from collections import Counter

from afterword import words
from afterword.books.model import TaskBooks, TaskKey
from afterword.metrics.usual import usual_of
from afterword.view.model import Books, Health, Task


def books_of(found: TaskBooks) -> Books:
    """One task's books, with the law as two lines of numbers."""
    ended = {outcome: sum(buckets) for outcome, buckets in found.finished.items()}
    dropped = sum(found.dropped.values())
    lost_waiting, lost_running = found.lost_in(words.WAITING), found.lost_in(words.RUNNING)
    waiting, running, started = found.waiting, found.running, found.started_total
    begun = waiting + started + dropped + lost_waiting
    over = running + sum(ended.values()) + lost_running
    return Books(
        scheduled=found.scheduled,
        waiting=waiting,
        started=started,
        running=running,
        succeeded=ended[words.SUCCEEDED],
        failed=ended[words.FAILED],
        cancelled=ended[words.CANCELLED],
        dropped=dropped,
        lost_waiting=lost_waiting,
        lost_running=lost_running,
        swallowed=found.swallowed,
        overdue=found.overdue,
        late=found.late,
        dropped_by_reason=_positive(found.dropped),
        lost_by_reason=_positive(_summed(found.lost)),
        cancelled_by_reason=_positive(found.cancelled),
        errors=_positive(found.errors),
        balanced=found.scheduled == begun and started == over,
        equation=(
            f"scheduled {found.scheduled} = waiting {waiting} + started {started} + dropped {dropped}"
            f" + lost waiting {lost_waiting}\n"
            f"started {started} = running {running} + succeeded {ended[words.SUCCEEDED]}"
            f" + failed {ended[words.FAILED]} + cancelled {ended[words.CANCELLED]} + lost running {lost_running}"
        ),
    )


def task_of(key: TaskKey, found: TaskBooks, health: Health, recent: dict[str, int], last_bad: int) -> Task:
    """One task; ``recent`` are its bad endings of the last hour, ``last_bad`` Unix ns of the last one, 0 for none."""
    ended = sum(map(sum, found.finished.values()))
    started = found.started_total
    return Task(
        service=key.service,
        task=key.task,
        kind=key.kind,
        importance=found.importance,
        owner=found.owner,
        health=health,
        books=books_of(found),
        deadline=found.deadline,
        start_deadline=found.start_deadline,
        every=found.every or None,
        usual=usual_of(found) or None,
        mean_run=found.run_seconds / ended if ended else None,
        mean_wait=found.wait_seconds / started if started else None,
        oldest_waiting=found.oldest_waiting or None,
        oldest_running=found.oldest_running or None,
        last_success=found.last_success or None,
        last_bad=last_bad / 1e9 or None,
        recent=recent,
    )


def _summed(lost: "Counter[tuple[str, str]]") -> Counter[str]:
    by_reason: Counter[str] = Counter()
    for (reason, _), n in lost.items():
        by_reason[reason] += n
    return by_reason


def _positive(counted: Counter[str]) -> dict[str, int]:
    return {name: n for name, n in sorted(counted.items()) if n}
