"""What the slots of a ledger tell: counters a kill left behind, the oldest runs, progress, where runs are stuck."""

from afterword import words
from afterword.ledger import layout
from afterword.ledger.layout import (
    BUCKET_MASK,
    BUCKET_SHIFT,
    ENDING_LANES,
    ORDINAL_SHIFT,
    STATE_MASK,
    TASK_MASK,
    TASK_SHIFT,
)
from afterword.ledger.snapshot import TaskSnapshot


def repair(slots: memoryview, finished: list[int], started: list[int], scheduled: list[int]) -> int:
    """Redo the one store a kill may have cut off: a ctl word's ordinal is its counter's value, at least.

    Returns:
        How many counters were behind.
    """
    repaired = 0
    for ctl in slots[::8].tolist():
        state, task = ctl & STATE_MASK, ctl >> TASK_SHIFT & TASK_MASK
        lane, ordinal = ctl >> BUCKET_SHIFT & BUCKET_MASK, ctl >> ORDINAL_SHIFT
        if state == layout.FREE or task >= len(scheduled) or lane >= ENDING_LANES or state > layout.IS_DROPPED:
            continue
        if state == layout.IS_WAITING:
            counters, at = scheduled, task
        elif state == layout.IS_RUNNING:
            counters, at = started, task * ENDING_LANES + lane
        else:
            counters, at = finished, task * 4 * ENDING_LANES + (state - layout.IS_SUCCEEDED) * ENDING_LANES + lane
        if ordinal > counters[at]:
            counters[at] = ordinal
            repaired += 1
    return repaired


def find_oldest(slots: memoryview, tasks: dict[int, TaskSnapshot], now_ns: int) -> None:
    """The oldest open run of each task and phase, and how many are over their limit."""
    low = slots.cast("B").cast("H")[:: layout.SLOT_STRIDE // 2].tolist()
    waiting_since, running_since = slots[1::8].tolist(), slots[2::8].tolist()
    limits = _limits(tasks, now_ns)
    oldest: dict[int, int] = {}
    over: dict[int, int] = {}
    for key, scheduled_at, started_at in zip(low, waiting_since, running_since, strict=True):
        state = key & STATE_MASK
        if state == layout.IS_RUNNING:
            since = started_at
        elif state == layout.IS_WAITING:
            since = scheduled_at
        else:
            continue
        if since < oldest.get(key, since + 1):
            oldest[key] = since
        if since < limits.get(key, 0):
            over[key] = over.get(key, 0) + 1
    for key, since in oldest.items():
        task = tasks.get(key >> TASK_SHIFT)
        if task is not None:
            runs = task.running if key & STATE_MASK == layout.IS_RUNNING else task.waiting
            runs.oldest, runs.over = since, over.get(key, 0)


def find_progress(slots: memoryview, tasks: dict[int, TaskSnapshot], seen_ns: int) -> None:
    """The oldest progress of each worker, and how many were without any for longer than their limit when last seen.

    Progress is noted by the loop's tick: while that does not turn, nothing is known of the workers.
    """
    if not any(task.kind == words.WORKER for task in tasks.values()):
        return
    for at in range(0, len(slots), layout.SLOT_STRIDE // 8):
        ctl = slots[at]
        task = tasks.get(ctl >> TASK_SHIFT & TASK_MASK)
        if ctl & STATE_MASK != layout.IS_RUNNING or task is None or task.kind != words.WORKER:
            continue
        progress, limit = slots[at + layout.SLOT_PROGRESS], slots[at + layout.SLOT_STALL]
        if not limit or progress < slots[at + 2]:
            continue  # of a run before this one
        if not task.progress.oldest or progress < task.progress.oldest:
            task.progress.oldest = progress
        task.progress.over += seen_ns - progress > limit


def find_stuck(
    stacks: list[tuple[int, int, int, str]],
    slots: memoryview,
    first: int,
    tasks: dict[int, TaskSnapshot],
    seen_ns: int,
) -> None:
    """Give each task the places where runs are stuck that still run, and workers that have not moved since.

    ``first`` is the word the slots begin at.
    """
    for number, run, started, text in stacks:
        at, task = run - first, tasks.get(number)
        if task is None or not 0 <= at <= len(slots) - layout.SLOT_STRIDE // 8:
            continue
        if task.kind == words.WORKER and seen_ns - slots[at + layout.SLOT_PROGRESS] <= slots[at + layout.SLOT_STALL]:
            continue
        same = slots[at] & STATE_MASK == layout.IS_RUNNING and slots[at] >> TASK_SHIFT & TASK_MASK == number
        place = text.partition(layout.STACK_SEPARATOR)[0]
        if same and slots[at + 2] == started and place not in task.stuck:
            task.stuck.append(place)


def _limits(tasks: dict[int, TaskSnapshot], now_ns: int) -> dict[int, int]:
    """The moment before which a run of each (task, state) key must not have begun, in ns.

    A worker runs as long as its process; its deadline is one of progress.
    """
    limits = {}
    for number, task in tasks.items():
        deadline, start_deadline = task.declaration.deadline or 0, task.declaration.start_deadline or 0
        if task.kind != words.WORKER:
            limits[number << TASK_SHIFT | layout.IS_RUNNING] = now_ns - int(deadline * 1e9)
        limits[number << TASK_SHIFT | layout.IS_WAITING] = now_ns - int(start_deadline * 1e9)
    return limits
