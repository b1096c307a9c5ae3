"""How long runs of a task usually take, from the histogram of those that ended."""

from afterword import contract
from afterword.books.model import TaskBooks

#: A habit needs this many runs, and this many of them, or this share, for a bucket to be part of it.
_HABIT_RUNS, _HABIT_FEW, _HABIT_SHARE = 10, 3, 0.01


def usual_of(books: TaskBooks) -> float:
    """How long its runs usually take at most, in seconds; 0 while that is not known."""
    return usual_seconds(run_buckets(books))


def usual_seconds(buckets: list[int]) -> float:
    """The bound that few runs ever exceeded, from counts by `contract.BUCKET_BOUNDS`; 0 while that is not known."""
    runs, above = sum(buckets), 0
    if runs < _HABIT_RUNS:
        return 0.0
    for bound, n in zip(reversed((*contract.BUCKET_BOUNDS, 0.0)), reversed(buckets), strict=True):
        above += n
        if above >= max(_HABIT_FEW, _HABIT_SHARE * runs):
            return bound
    return 0.0


def run_buckets(books: TaskBooks) -> list[int]:
    """Ended runs by `contract.BUCKET_BOUNDS`, whatever their outcome."""
    return [sum(lane) for lane in zip(*books.finished.values(), strict=True)]
