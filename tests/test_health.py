"""The verdict: what is wrong is said with its number, and what is well is left in peace."""

import dataclasses
import time

import pytest

from afterword import words
from afterword.books.history import History
from afterword.ledger import layout
from afterword.ledger.accounts import Declaration
from afterword.view.reading import View
from tests import ledgers
from tests.ledgers import account, end, owner


@pytest.fixture
def verdict(directory):
    """``verdict()``: the verdict and its sentences, as of now."""

    def read():
        history = History(directory)
        history.open()
        status = View(directory, fold=True).look().status
        return status.verdict, [reason.sentence for reason in status.reasons]

    return read


def mail(one, name="mail", kind=words.BACKGROUND, **declared):
    """An account that declares something."""
    return one.account(name, kind, Declaration(**declared))


def killed(one):
    """The process is gone without a word."""
    ledgers.close_file(one)


def test_a_busy_service_is_well(directory, verdict):
    """Runs wait, run and end; some fail in a way that nobody keeps one by one."""
    one = owner(directory)
    runs = [account(one).schedule() for _ in range(40)]
    for run in runs[:30]:
        account(one).succeed(run, account(one).start(run))
    assert verdict() == ("ok", [])


def test_a_clean_stop_makes_nobody_red(directory, verdict):
    """A deploy: the old process ends with its worker, the new one is there."""
    old, new = owner(directory), owner(directory)
    for one in (old, new):
        worker = mail(one, "poll", words.WORKER)
        worker.start(worker.schedule())
    end(old)
    assert verdict() == ("ok", [])


def test_a_worker_that_stops_with_its_process_is_no_worker_that_ended(directory, verdict):
    """It was asked to."""
    one = owner(directory)
    worker = mail(one, "poll", words.WORKER)
    run = worker.schedule()
    one.set_word(layout.W_STOPPING, 1)
    worker.cancel(run, worker.start(run), words.CANCEL_REASONS.index(words.CANCELLED_SHUTDOWN))
    assert verdict() == ("ok", [])


def test_what_the_lifespan_does_once_is_no_worker_that_is_gone(directory, verdict):
    """It warmed a cache, and succeeded."""
    one = owner(directory)
    once = mail(one, "warm", words.WORKER)
    run = once.schedule()
    once.succeed(run, once.start(run))
    assert verdict() == ("ok", [])


def test_a_worker_that_no_process_runs_is_gone(directory, verdict):
    """Its process was killed, and the next one did not begin another."""
    one = owner(directory)
    worker = mail(one, "poll", words.WORKER)
    worker.start(worker.schedule())
    killed(one)
    alive = owner(directory)
    assert verdict() == ("bad", ["worker poll died with its process and runs in no other"])
    end(alive)


def test_a_deploy_that_takes_a_worker_away_is_well(directory, verdict):
    """It was stopped in order, also when the one before it was killed."""
    one = owner(directory)
    mail(one, "poll", words.WORKER).start(mail(one, "poll", words.WORKER).schedule())
    killed(one)
    two = owner(directory)
    mail(two, "poll", words.WORKER).start(mail(two, "poll", words.WORKER).schedule())
    verdict()
    two.set_word(layout.W_TICK, time.monotonic_ns())
    end(two)
    three = owner(directory)
    for _ in range(2):
        assert verdict() == ("ok", [])
    end(three)


def test_a_service_that_is_retired_is_forgotten(directory, verdict, monkeypatch):
    """After an hour nobody waits for it."""
    end(owner(directory))
    other = owner(directory)
    other.service = "other"
    end(other)
    assert verdict()[0] == "degraded"
    monkeypatch.setattr("afterword.view.health._RETIRED", 0.0)
    assert verdict() == ("ok", [])


def test_what_no_history_has_is_in_the_verdict(directory):
    """A storm of failures, a history that is locked, a Python without SQLite: the books grow all the same."""
    one = owner(directory)
    task = account(one)
    view = View(directory, fold=True)
    assert view.look().status.verdict == "ok"
    task.drop(task.schedule(), 0)
    view._last = None
    status = view.look().status
    assert (status.verdict, status.reasons[0].sentence) == ("bad", "1 run of mail was dropped in the last 5 minutes")
    end(one)


def test_what_grew_while_nobody_looked_is_not_said_to_be_of_the_last_minutes(directory, monkeypatch):
    """It may have been an hour ago: then only the history knows when."""
    one = owner(directory)
    task = account(one)
    view = View(directory, fold=True)
    view.look()
    task.drop(task.schedule(), 0)
    now = time.time()
    monkeypatch.setattr("time.time", lambda: now + 3600)
    view._last = None
    assert view.look().status.verdict == "ok"
    end(one)


def test_books_that_can_be_read_are_not_blind(directory, verdict):
    """New processes cannot keep books there, and that is said; those that are there do."""
    one = owner(directory)
    account(one).schedule()
    directory.chmod(0o777)
    how, told = verdict()
    assert how == "degraded"
    assert "writable by others" in told[0]
    end(one)


def test_lost_work_is_said_before_dropped_work(directory, verdict):
    """However much of either."""
    one, alive = owner(directory), owner(directory)
    for _ in range(5):
        account(one, "a").drop(account(one, "a").schedule(), 0)
    account(one, "b").schedule()
    verdict()
    killed(one)
    view = View(directory, fold=True)
    view.bookkeeper.history.open()
    assert view.look().status.sentence.startswith("1 run of b was lost")
    end(alive)


def test_a_killed_worker_that_runs_again_is_well(directory, verdict):
    """It died with its process, and that is not lost work."""
    one, two = owner(directory), owner(directory)
    for of in (one, two):
        worker = mail(of, "poll", words.WORKER)
        worker.start(worker.schedule())
    killed(one)
    assert verdict() == ("ok", [])


@pytest.mark.parametrize(("importance", "how"), [(words.MUST_RUN, "bad"), (words.BEST_EFFORT, "degraded")])
def test_lost_work_is_as_bad_as_it_is_important(directory, verdict, importance, how):
    """And it is said how many, of what, since when."""
    one, alive = owner(directory), owner(directory)
    task = mail(one, importance=importance)
    for _ in range(3):
        task.schedule()
    killed(one)
    assert verdict() == (how, ["3 runs of mail were lost in the last 5 minutes"])
    end(alive)


def test_a_service_without_a_process_is_told(directory, verdict):
    """Stopped in order, or not: nobody is there to do the work."""
    end(owner(directory))
    assert verdict() == ("degraded", ["no process of shop lives"])


def test_runs_beyond_their_limits_are_told_in_words(directory, verdict):
    """One and several."""
    one = owner(directory)
    slow = mail(one, "slow", deadline=0.001)
    slow.start(slow.schedule())
    late = mail(one, "late", start_deadline=0.001)
    for _ in range(2):
        late.schedule()
    slow.start(slow.schedule())
    how, told = verdict()
    assert how == "degraded"
    assert set(told) == {
        "2 runs of slow are running beyond their deadline",
        "2 runs of late have been waiting to start for too long",
    }


@pytest.mark.parametrize("what", ["missing", "empty", "open to others"])
def test_where_nothing_can_be_seen_the_verdict_is_blind(directory, verdict, what):
    """Not well."""
    if what == "missing":
        directory.rmdir()
    elif what == "open to others":
        directory.chmod(0o777)
    how, told = verdict()
    assert how == "blind"
    assert len(told) == 1


def test_the_worst_comes_first(directory, verdict):
    """And makes the verdict."""
    one, alive = owner(directory), owner(directory)
    best = mail(one, "log", importance=words.BEST_EFFORT)
    best.schedule()
    mail(one, "mail").schedule()
    killed(one)
    how, told = verdict()
    assert how == "bad"
    assert [sentence.split()[3] for sentence in told] == ["mail", "log"]
    end(alive)


def test_a_status_can_be_written_as_json_for_every_directory(directory, verdict):
    """No shape holds what JSON does not."""
    verdict()
    assert dataclasses.asdict(View(directory).look().status)
