"""Books: sums keep the law, survive being carried, and the dead are booked once with the right reason."""

import functools
import json
import threading
import time
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterword import words
from afterword.books import bookkeeper, carried
from afterword.books.bookkeeper import Bookkeeper
from afterword.books.carried import Carried
from afterword.books.model import ServiceBooks, TaskBooks, TaskKey, Totals
from afterword.ledger import layout
from tests.helpers import until
from tests.ledgers import account, close_file, end, key, owner, path_of, reader, run_to_the_end

COUNT = st.integers(0, 10_000)
BUCKETS = st.lists(COUNT, min_size=layout.BUCKETS, max_size=layout.BUCKETS)
NAMES = st.text(max_size=20)
SECONDS = st.integers(0, 10**6).map(float)


@st.composite
def task_books(draw):
    """Books of a task of dead ledgers, of any size."""
    return TaskBooks(
        started=draw(BUCKETS),
        finished={outcome: draw(BUCKETS) for outcome in words.OUTCOMES},
        scheduled=draw(COUNT),
        dropped=Counter(draw(st.dictionaries(st.sampled_from(words.DROP_REASONS), st.integers(1, 99)))),
        lost=Counter(
            draw(
                st.dictionaries(
                    st.tuples(st.sampled_from(words.LOST_REASONS), st.sampled_from(words.PHASES)), st.integers(1, 99)
                )
            )
        ),
        errors=Counter(draw(st.dictionaries(NAMES, st.integers(1, 99), max_size=3))),
        wait_seconds=draw(SECONDS),
        run_seconds=draw(SECONDS),
        last_success=draw(SECONDS),
        deadline=30.0,
        start_deadline=3.0,
        importance=words.BEST_EFFORT,
        owner="us",
    )


@st.composite
def books_of_some(draw):
    """Totals of a few services and tasks."""
    names = st.sampled_from(("a", "b", "c"))
    keys = st.builds(TaskKey, names, names, st.sampled_from(words.KINDS))
    services = st.dictionaries(
        names, st.builds(ServiceBooks, exits=st.just(Counter(clean=1)), internal_errors=COUNT), max_size=3
    )
    return Totals(draw(st.dictionaries(keys, task_books(), max_size=4)), draw(services))


def added(*parts: Totals) -> Totals:
    """A new sum of totals."""
    total = Totals()
    for part in parts:
        total.add(part)
    return total


@given(a=books_of_some(), b=books_of_some(), c=books_of_some())
def test_books_add_up_in_any_order(a, b, c):
    """Which ledger is folded first, and with which, makes no difference."""
    assert added(added(a, b), c) == added(a, added(b, c)) == added(c, b, a)


@given(
    totals=books_of_some(),
    born=st.dictionaries(NAMES, SECONDS, max_size=3),
    folded=st.dictionaries(st.uuids().map(lambda uuid: uuid.hex), SECONDS, max_size=3),
)
def test_what_is_carried_is_read_back_exactly(tmp_path_factory, totals, born, folded):
    """Totals, births and folded uuids survive the file."""
    directory = tmp_path_factory.mktemp("carried")
    carried.save(directory, Carried(totals, born, folded))
    assert carried.load(directory) == Carried(totals, born, folded)


@given(
    data=st.recursive(
        st.none() | st.booleans() | st.integers() | NAMES, lambda x: st.lists(x) | st.dictionaries(NAMES, x)
    )
)
def test_whatever_else_is_in_the_file_is_called_corrupt(tmp_path_factory, data):
    """Wrong JSON never raises anything but the one error the bookkeeper handles."""
    directory = tmp_path_factory.mktemp("carried")
    (directory / carried.FILE_NAME).write_text(json.dumps(data))
    with pytest.raises(carried.CarriedCorruptError):
        carried.load(directory)


def test_an_open_run_of_a_killed_process_is_lost_by_kill(directory):
    """The lock is free and nobody said that the process would end."""
    one = owner(directory)
    mail = account(one)
    mail.start(mail.schedule())
    close_file(one)
    scan = Bookkeeper(directory).scan()
    assert scan.totals.task(key()).lost == {(words.LOST_KILLED, words.RUNNING): 1}
    assert scan.totals.service("shop").exits == {words.EXIT_KILLED: 1}


def test_an_open_run_of_a_process_that_ended_on_purpose_is_lost_by_shutdown(directory):
    """A graceful exit that does not wait for its tasks loses them all the same."""
    one = owner(directory)
    account(one).schedule()
    end(one)
    scan = Bookkeeper(directory).scan()
    assert scan.totals.task(key()).lost == {(words.LOST_SHUTDOWN, words.WAITING): 1}
    assert scan.totals.service("shop").exits == {words.EXIT_CLEAN: 1}


def test_a_ledger_of_an_earlier_boot_is_lost_by_reboot(directory):
    """Its lock went with the machine, and nothing says how its process ended."""
    one = owner(directory)
    account(one).schedule()
    path = path_of(one)
    header = reader(path).header
    close_file(one)
    with path.open("r+b") as file:
        file.write(layout.pack_header(replace(header, boot_id=b"x" * 16)))
    scan = Bookkeeper(directory).scan()
    assert scan.totals.task(key()).lost == {(words.LOST_REBOOT, words.WAITING): 1}
    assert scan.totals.service("shop").exits == {words.EXIT_UNKNOWN: 1}


def test_a_living_process_is_never_lost_whatever_its_state_says(directory):
    """Only a free lock is a death; a process that marked its exit may still be draining."""
    one = owner(directory)
    mail = account(one)
    mail.start(mail.schedule())
    one.mark(closed=True)
    books = Bookkeeper(directory).scan().totals.task(key())
    assert (books.running, books.lost.total()) == (1, 0)
    end(one)


def test_dead_ledgers_are_folded_and_files_do_not_pile_up(directory):
    """A hundred processes later there is one small file, and every run is in it."""
    keeper = Bookkeeper(directory)
    for _ in range(100):
        one = owner(directory, slots=64)
        run_to_the_end(account(one))
        end(one)
        keeper.scan()
    assert list(directory.glob("*.ledger")) == []
    assert Bookkeeper(directory).scan().totals.task(key()).scheduled == 100
    assert len(keeper._carried.folded) <= 100


def test_totals_and_births_survive_the_bookkeeper(directory):
    """After its own restart a bookkeeper tells the same numbers, and an old loss does not look new."""
    one = owner(directory)
    account(one).schedule()
    end(one)
    first = Bookkeeper(directory).scan()
    second = Bookkeeper(directory).scan()
    assert second.totals == first.totals
    assert second.born == first.born
    assert bookkeeper.birth_key("lost", key(), words.LOST_SHUTDOWN, words.WAITING) in second.born


def test_two_bookkeepers_tell_the_same_while_one_of_them_folds(directory):
    """Any worker may answer for all: nobody counts twice, and nobody's counter falls."""
    two = [Bookkeeper(directory), Bookkeeper(directory)]
    for scheduled in range(1, 61):
        one = owner(directory, slots=64)
        mail = account(one)
        mail.schedule()
        for keeper in two:
            assert keeper.scan().totals.task(key()).scheduled == scheduled
        end(one)
        for keeper in two if scheduled % 2 else reversed(two):
            books = keeper.scan().totals.task(key())
            assert (books.scheduled, books.lost.total()) == (scheduled, scheduled)


def test_a_ledger_deleted_under_its_process_goes_on_counting(directory):
    """A cleaner removed the file: its numbers stay, and when the process ends they are booked."""
    one, keeper = owner(directory), Bookkeeper(directory)
    mail = account(one)
    mail.schedule()
    assert keeper.scan().totals.task(key()).scheduled == 1
    path_of(one).unlink()
    mail.schedule()
    assert keeper.scan().totals.task(key()).scheduled == 2
    end(one)
    assert keeper.scan().totals.task(key()).lost.total() == 2
    assert keeper.scan().totals.task(key()).lost.total() == 2


def test_after_a_deletion_a_process_goes_on_in_a_new_ledger(directory):
    """What was opened in the old one ends there, and there is still one process."""
    one, keeper = owner(directory, slots=64), Bookkeeper(directory)
    mail = account(one)
    runs = [mail.schedule() for _ in range(70)]
    began = [(run, mail.start(run)) for run in runs[:67]]
    keeper.scan()
    for _ in range(3):
        path_of(one).unlink()
        one._check_file()
        assert path_of(one).exists()
        run_to_the_end(mail)
        began.append((run := mail.schedule(), mail.start(run)))
        keeper.scan()
    mail.fail(*began.pop(), KeyError)
    for run, since in began:
        mail.succeed(run, since)
    mail.drop(runs[67], 0)
    scan = keeper.scan()
    books = scan.totals.task(key())
    assert (books.scheduled, books.started_total, sum(books.finished[words.SUCCEEDED])) == (76, 73, 72)
    assert (books.waiting, books.running, books.errors) == (2, 0, {"KeyError": 1})
    assert scan.totals.service("shop").processes == 1
    end(one)


def test_the_overdue_and_the_late_are_counted_against_their_own_deadlines(directory):
    """Age is on the owner's monotonic clock; the oldest is told as a moment in Unix time."""
    one = owner(directory, deadline=1e-6, start_deadline=1e-6)
    mail = account(one)
    mail.schedule()
    mail.start(mail.schedule())
    mail.start(mail.schedule())
    scan = Bookkeeper(directory).scan()
    books = scan.totals.task(key())
    assert (books.late, books.overdue) == (1, 2)
    assert 0 <= scan.at - books.oldest_running < 60
    assert 0 <= scan.at - books.oldest_waiting < 60
    end(one)


def test_task_names_are_bounded_over_all_processes(directory, monkeypatch):
    """A name made from an argument cannot grow the carried file for ever."""
    monkeypatch.setattr(bookkeeper, "MAX_TASKS", 5)
    for process in range(4):
        one = owner(directory, slots=64)
        for n in range(3):
            run_to_the_end(account(one, f"task_{process}_{n}"))
        end(one)
    totals = Bookkeeper(directory).scan().totals
    assert sum(books.scheduled for books in totals.tasks.values()) == 12
    assert len(totals.tasks) == 6
    assert totals.service("shop").overflow["sidecar_tasks"] > 0


def has_done(done: list[int], enough: int) -> bool:
    """Whether all threads together have got that far."""
    return sum(done) > enough


def test_threads_that_book_while_the_file_is_replaced_lose_nothing(directory):
    """Every step lands in one ledger or the other, and the books of both balance together."""
    one, keeper = owner(directory), Bookkeeper(directory)
    mail = account(one)
    stop = threading.Event()
    done = [0] * 4

    def work(place: int) -> None:
        while not stop.is_set():
            run = mail.schedule()
            since = mail.start(run)
            time.sleep(0)
            mail.succeed(run, since)
            done[place] += 1

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(done))]
    for thread in threads:
        thread.start()
    for _ in range(5):
        keeper.scan()
        path_of(one).unlink()
        enough = sum(done) + 1000
        one._check_file()
        until(functools.partial(has_done, done, enough))
    stop.set()
    for thread in threads:
        thread.join()
    books = keeper.scan().totals.task(key())
    assert (books.scheduled, sum(books.finished[words.SUCCEEDED]), books.running) == (sum(done), sum(done), 0)
    end(one)
    assert keeper.scan().totals.task(key()).lost.total() == 0


def test_runs_that_are_open_when_an_owner_is_closed_still_end(directory):
    """Switching afterword off is no death: the ledger is let go when its last run has ended."""
    one, keeper = owner(directory), Bookkeeper(directory)
    mail = account(one)
    run = mail.schedule()
    since = mail.start(run)
    one.close()
    assert mail.schedule() == 0
    assert keeper.scan().totals.task(key()).running == 1
    mail.succeed(run, since)
    owner(directory).close()
    books = keeper.scan().totals.task(key())
    assert (books.lost.total(), sum(books.finished[words.SUCCEEDED])) == (0, 1)


def test_exception_classes_are_bounded_over_all_processes(directory):
    """Classes made on the fly in workers that come and go cannot grow the series of a task for ever."""
    keeper = Bookkeeper(directory)
    for process in range(5):
        one = owner(directory, slots=64)
        mail = account(one)
        for n in range(10):
            run = mail.schedule()
            mail.fail(run, mail.start(run), type(f"Error{process}_{n}", (Exception,), {}))
        end(one)
        errors = keeper.scan().totals.task(key()).errors
        assert errors.total() == 10 * (process + 1)
        assert len(errors) <= 16
