"""Accounts: what is booked is what a reader reads, at every moment a kill could choose."""

import sys
import threading
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from afterword import words
from afterword.books.model import TaskBooks
from afterword.ledger import layout
from afterword.ledger.accounts import Account, bind
from afterword.ledger.slots import Run, Slots
from afterword.ledger.transitions import WriteContext
from tests.ledgers import account, context_of, key, owner, path_of, run_to_the_end, snapshot, totals

#: What may happen next: a new run, or something to one of the open ones.
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("schedule", "start", "succeed", "fail", "cancel", "collect", "drop", "swallow")),
        st.integers(0, 7),
    ),
    max_size=60,
)
COLLECTED = words.LOST_COLLECTED, words.RUNNING
SAME_DIRECTORY = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


class Twin:
    """The same books kept in plain Python: what the ledger must say."""

    def __init__(self) -> None:
        self.waiting: list[Run] = []
        self.running: list[tuple[Run, int]] = []
        self.count: Counter[str] = Counter()
        self.cancelled: Counter[str] = Counter()

    def take(self, step: str, pick: int, on: Account) -> None:
        """Apply one step to the ledger and to these books; steps that are impossible now do nothing."""
        if step == "swallow":
            on.note(layout.LANE_SWALLOWED)
        elif step == "schedule":
            self.waiting.append(on.schedule())
        elif step in ("start", "drop"):
            if not self.waiting:
                return
            run = self.waiting.pop(pick % len(self.waiting))
            if step == "start":
                self.running.append((run, on.start(run)))
            else:
                on.drop(run, pick)
        else:
            if not self.running:
                return
            run, since = self.running.pop(pick % len(self.running))
            if step == "fail":
                on.fail(run, since, KeyError)
            elif step == "collect":
                on.collect(run)
            elif step == "cancel":
                self.cancelled[words.CANCEL_REASONS[pick % len(words.CANCEL_REASONS)]] += 1
                on.cancel(run, since, pick % len(words.CANCEL_REASONS))
            else:
                on.succeed(run, since)
        self.count[step] += 1

    def agrees(self, books: TaskBooks) -> bool:
        """Whether the ledger tells the same story."""
        ended = {outcome: sum(buckets) for outcome, buckets in books.finished.items()}
        return (
            books.scheduled == self.count["schedule"]
            and books.started_total == self.count["start"]
            and ended
            == {o: self.count[step] for o, step in zip(words.OUTCOMES, ("succeed", "fail", "cancel"), strict=True)}
            and books.dropped.total() == self.count["drop"]
            and books.errors.total() == self.count["fail"]
            and books.cancelled == self.cancelled
            and books.swallowed == self.count["swallow"]
            and books.lost[COLLECTED] == self.count["collect"]
        )


@given(steps=STEPS)
@SAME_DIRECTORY
def test_any_sequence_of_steps_is_read_back_exactly(directory, steps):
    """A living ledger says what happened, a dead one says that what was open is lost."""
    one = owner(directory, slots=64)
    twin, mail = Twin(), account(one)
    for step, pick in steps:
        twin.take(step, pick, mail)
    alive = totals(path_of(one), dead=False).task(key())
    dead = totals(path_of(one), dead=True).task(key())
    path = path_of(one)
    one.close()
    path.unlink()
    assert twin.agrees(alive)
    assert twin.agrees(dead)
    assert (alive.waiting, alive.running) == (len(twin.waiting), len(twin.running))
    assert (dead.waiting, dead.running) == (0, 0)
    assert dead.lost_in(words.WAITING) == len(twin.waiting)
    assert dead.lost_in(words.RUNNING) == len(twin.running) + twin.count["collect"]


class RecordedWords:
    """The ledger's words as an account sees them, with every store written down in its order."""

    def __init__(self, words_: memoryview) -> None:
        self.words = words_
        self.stores: list[tuple[int, int]] = []

    def __getitem__(self, index: int) -> int:
        return self.words[index]

    def __setitem__(self, index: int, value: int) -> None:
        self.stores.append((index, value))
        self.words[index] = value


@given(steps=STEPS)
@settings(SAME_DIRECTORY, max_examples=40)
def test_a_kill_between_any_two_stores_leaves_balanced_books(directory, steps):
    """Every prefix of the stores: the books balance, each step happened or not, and the slots tell the same."""
    one = owner(directory, slots=64)
    context = context_of(one)
    recorded: Any = RecordedWords(context.words)  # stands in for a memoryview
    mail = account(one)
    bind(mail, 0, WriteContext(recorded, context.sections, Slots(recorded, context.slots.first, 64),
                               context.count_exception, lambda: None))  # fmt: skip
    twin = Twin()
    story: list[Counter[str]] = [Counter()]
    until = []
    for step, pick in steps:
        twin.take(step, pick, mail)
        story.append(Counter(twin.count))
        until.append(len(recorded.stores))
    slots = range(context.slots.first, context.slots.first + 64 * 8, 8)
    for index, _ in recorded.stores:
        context.words[index] = 0
    step_of = 0
    for done, (index, value) in enumerate(recorded.stores, start=1):
        context.words[index] = value
        while step_of < len(until) and until[step_of] < done:
            step_of += 1
        books = totals(path_of(one), dead=True).task(key())  # raises if they do not balance
        counted = {
            "schedule": books.scheduled,
            "start": books.started_total,
            "drop": books.dropped.total(),
            "collect": books.lost[COLLECTED],
            "swallow": books.swallowed,
            **{s: sum(books.finished[o]) for o, s in zip(words.OUTCOMES, ("succeed", "fail", "cancel"), strict=True)},
        }
        before, after = story[step_of], story[step_of + 1]
        assert all(before[name] <= n <= after[name] for name, n in counted.items())
        # Who cancelled is a counter beside: it may lack the very last.
        assert counted["cancel"] - 1 <= books.cancelled.total() <= counted["cancel"]
        states = Counter(context.words[slot] & layout.STATE_MASK for slot in slots)
        killed = [books.lost[words.LOST_KILLED, phase] for phase in words.PHASES]
        lost = dict(zip((layout.IS_WAITING, layout.IS_RUNNING), killed, strict=True))
        assert lost == {state: states[state] for state in lost}
    path = path_of(one)
    one.close()
    path.unlink()


def test_the_store_a_kill_cuts_off_is_repaired_from_the_slot(directory):
    """A ctl word whose counter lags is a transition that happened."""
    one = owner(directory)
    mail = account(one)
    run = mail.schedule()
    words_, section = context_of(one).words, context_of(one).sections[layout.SCHEDULED]
    words_[section.offset // 8] -= layout.ONE
    assert words_[run] >> layout.ORDINAL_SHIFT == 1
    read = snapshot(path_of(one), dead=True)
    assert (read.repaired, read.tasks[0].scheduled) == (1, 1)
    one.close()


def test_when_all_slots_are_taken_totals_stay_exact(directory):
    """Runs beyond the slots are counted, ended and lost like all others, and the bound is told."""
    one = owner(directory, slots=64)
    mail = account(one)
    runs = [mail.schedule() for _ in range(100)]
    started = [(run, mail.start(run)) for run in runs[:80]]
    for run, since in started[:70]:
        mail.succeed(run, since)
    for run in runs[80:85]:
        mail.drop(run, 0)
    alive, dead = totals(path_of(one), dead=False).task(key()), totals(path_of(one), dead=True)
    assert (alive.scheduled, alive.started_total, alive.running, alive.waiting) == (100, 80, 10, 15)
    assert dead.task(key()).lost == {(words.LOST_KILLED, words.WAITING): 15, (words.LOST_KILLED, words.RUNNING): 10}
    assert dead.service("shop").overflow["slots"] == 36
    one.close()


def test_a_run_without_slot_waits_and_runs_for_its_own_time(directory):
    """The wait of a run without a slot is not taken from somebody else's slot."""
    one = owner(directory, slots=64)
    mail = account(one)
    runs = [mail.schedule() for _ in range(65)]
    assert runs[-1] < 0
    mail.succeed(runs[-1], mail.start(runs[-1]))
    books = totals(path_of(one), dead=False).task(key())
    assert books.started_total == 1
    assert books.wait_seconds < 5
    one.close()


def test_a_run_that_was_never_booked_books_nothing(directory):
    """Ending a run twice, or one of a ledger that is gone, must not break the books."""
    one = owner(directory, slots=64)
    mail = account(one)
    runs = [mail.schedule() for _ in range(65)]
    mail.drop(runs[-1], 0)
    mail.drop(runs[-1], 0)
    mail.succeed(0, mail.start(0))
    mail.fail(0, 0, KeyError)
    mail.cancel(0, 0, 0)
    mail.collect(0)
    books = totals(path_of(one), dead=False).task(key())
    assert (books.dropped.total(), books.started_total) == (1, 0)
    assert not books.errors + books.cancelled + books.lost
    one.close()


def test_more_task_names_than_fit_share_one_account_and_are_counted(directory):
    """10,000 names: the first 248 have their own books, the rest add up under __other__."""
    one = owner(directory)
    for n in range(10_000):
        run_to_the_end(account(one, f"task_{n}"))
    read = totals(path_of(one), dead=True)
    assert len(read.tasks) == 249
    assert sum(books.scheduled for books in read.tasks.values()) == 10_000
    assert read.task(key(words.OTHER)).scheduled == 10_000 - 248
    assert read.service("shop").overflow["tasks"] == 10_000 - 248
    one.close()


def test_exception_classes_are_bounded_a_task(directory):
    """The sixteenth class of a task and all after it are counted under __other__."""
    one = owner(directory)
    mail = account(one)
    for n in range(40):
        run = mail.schedule()
        mail.fail(run, mail.start(run), type(f"Error{n}", (Exception,), {"__module__": "shop"}))
    errors = totals(path_of(one), dead=True).task(key()).errors
    assert errors.total() == 40
    assert errors[words.OTHER] == 25
    assert len(errors) == 16
    one.close()


def hammer(mail: Account, threads: int, runs: int) -> None:
    """All threads at once on one account, with a thread switch every ten microseconds."""
    together = threading.Barrier(threads)

    def work() -> None:
        together.wait()
        for _ in range(runs):
            run_to_the_end(mail)

    crowd = [threading.Thread(target=work) for _ in range(threads)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        for thread in crowd:
            thread.start()
        for thread in crowd:
            thread.join()
    finally:
        sys.setswitchinterval(before)


@pytest.mark.framework
def test_threads_on_one_account_never_lose_a_step(directory):
    """Without a lock every count is exact (with one call inside the statement a tenth is lost)."""
    one = owner(directory)
    hammer(account(one), threads=8, runs=10_000)
    books = totals(path_of(one), dead=False).task(key())
    assert (books.scheduled, books.started_total, sum(books.finished["succeeded"])) == (80_000,) * 3
    assert books.running == books.waiting == 0
    one.close()


@pytest.mark.framework
def test_the_locked_form_for_builds_without_a_gil_books_the_same(directory, monkeypatch):
    """Where there is no GIL an account takes a lock; the books are the same."""
    monkeypatch.setattr("afterword.ledger.accounts._has_gil", lambda: False)
    one = owner(directory)
    hammer(account(one), threads=4, runs=500)
    assert totals(path_of(one), dead=True).task(key()).scheduled == 2000
    one.close()


def test_what_counts_beside_the_endings_shares_no_lane_with_them():
    """Buckets, drop reasons, swallowed, collected and who cancelled: each has a word of its own."""
    rows = [row * layout.ENDING_LANES for row in range(4)]
    buckets = [row + bucket for row in rows[:3] for bucket in range(layout.BUCKETS)]
    reasons = [rows[3] + reason for reason in range(len(words.DROP_REASONS))]
    cancelled = [layout.LANE_CANCELLED + reason for reason in range(len(words.CANCEL_REASONS))]
    lanes = [*buckets, *reasons, *cancelled, layout.LANE_SWALLOWED, layout.LANE_COLLECTED]
    assert len(lanes) == len(set(lanes))
    assert max(cancelled) < rows[3]
    assert max(reasons) < rows[3] + layout.ENDING_LANES


def test_a_collected_run_gives_its_slot_back_and_has_no_end(directory):
    """It was started and never ended: lost, not running, and its slot is taken again."""
    one = owner(directory, slots=64)
    mail = account(one)
    for _ in range(3 * 64):
        run = mail.schedule()
        mail.start(run)
        mail.collect(run)
    books = totals(path_of(one), dead=False).task(key())
    assert (books.running, books.lost) == (0, {COLLECTED: 192})
    assert totals(path_of(one), dead=False).service("shop").overflow == {}
    one.close()


def test_a_task_that_is_first_met_after_the_file_was_removed_is_booked(directory):
    """The process goes on in another ledger, where its account is new."""
    one = owner(directory)
    known = account(one)
    run = known.schedule()
    path_of(one).unlink()
    one._check_file()
    fresh = account(one, "fresh")
    fresh.succeed(other := fresh.schedule(), fresh.start(other))
    known.succeed(run, known.start(run))
    assert totals(path_of(one), dead=False).task(key("fresh")).finished[words.SUCCEEDED][0] == 1
