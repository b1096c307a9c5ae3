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
from afterword.books.births import birth_key
from afterword.books.bookkeeper import Bookkeeper
from afterword.books.carried import Carried
from afterword.books.model import RouteBooks, RouteKey, ServiceBooks, TaskBooks, TaskKey, Totals
from afterword.ledger import layout
from tests.helpers import until
from tests.ledgers import account, close_file, context_of, end, key, owner, path_of, reader, run_to_the_end

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
        cancelled=Counter(draw(st.dictionaries(st.sampled_from(words.CANCEL_REASONS), st.integers(1, 99)))),
        swallowed=draw(COUNT),
        every=60.0,
        wait_seconds=draw(SECONDS),
        run_seconds=draw(SECONDS),
        last_success=draw(SECONDS),
        deadline=30.0,
        start_deadline=3.0,
        importance=words.BEST_EFFORT,
        owner="us",
    )


def route_books():
    """The responses of a route, and by task what they scheduled and missed."""
    by_task = st.dictionaries(NAMES, st.integers(1, 99), max_size=3).map(Counter)
    return st.builds(RouteBooks, COUNT, COUNT, by_task, by_task)


@st.composite
def books_of_some(draw):
    """Totals of a few services and tasks."""
    names = st.sampled_from(("a", "b", "c"))
    keys = st.builds(TaskKey, names, names, st.sampled_from(words.KINDS))
    services = st.dictionaries(
        names, st.builds(ServiceBooks, exits=st.just(Counter(clean=1)), internal_errors=COUNT), max_size=3
    )
    routes = st.dictionaries(st.builds(RouteKey, names, names, names), route_books(), max_size=3)
    return Totals(draw(st.dictionaries(keys, task_books(), max_size=4)), draw(services), draw(routes))


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


def test_what_an_earlier_release_carried_is_read_with_what_it_lacks_at_zero(tmp_path):
    """Before there were routes, reasons of cancelled runs and swallowed errors, the file had no word for them."""
    earlier = Totals({key(): TaskBooks(scheduled=3)}, {"shop": ServiceBooks(exits=Counter(clean=2))})
    carried.save(tmp_path, Carried(earlier))
    data = json.loads((tmp_path / carried.FILE_NAME).read_text())
    del data["routes"]
    for *_, task in data["tasks"]:
        for word in ("cancelled", "swallowed", "every"):
            del task[word]
    (tmp_path / carried.FILE_NAME).write_text(json.dumps(data))
    assert carried.load(tmp_path).totals == earlier


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
    one.mark(layout.STATE_CLOSED)
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
    assert birth_key("lost", key(), words.LOST_SHUTDOWN, words.WAITING) in second.born


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


def books_of(directory):
    """The books of task ``mail`` and of the service, from one scan."""
    totals = Bookkeeper(directory).scan().totals
    return totals.task(key(kind=words.WORKER)), totals.service("shop")


def worker(one):
    """The account of a worker."""
    return account(one, kind=words.WORKER)


def test_workers_of_a_process_that_ended_on_purpose_are_not_lost(directory):
    """They run until their process stops: it stopped, and who else is to end them."""
    one = owner(directory)
    polls, mail = worker(one), account(one, "other")
    polls.start(polls.schedule())
    mail.start(mail.schedule())
    end(one)
    books, _ = books_of(directory)
    assert (books.lost.total(), books.cancelled, books.running) == (0, {words.CANCELLED_SHUTDOWN: 1}, 0)
    assert Bookkeeper(directory).scan().totals.task(key("other")).lost == {(words.LOST_SHUTDOWN, words.RUNNING): 1}


def test_workers_of_a_killed_process_are_lost(directory):
    """Whatever they were at is cut off."""
    one = owner(directory)
    polls = worker(one)
    polls.start(polls.schedule())
    close_file(one)
    assert books_of(directory)[0].lost == {(words.LOST_KILLED, words.RUNNING): 1}


def test_a_process_that_could_not_start_exits_failed_and_its_open_runs_are_lost_by_that(directory):
    """It ended by itself, not in order: what it had open was cut off like by a kill."""
    one = owner(directory)
    account(one).schedule()
    one.mark(layout.STATE_FAILED)
    close_file(one)
    scan = Bookkeeper(directory).scan()
    assert scan.totals.service("shop").exits == {words.EXIT_FAILED: 1}
    assert scan.totals.task(key()).lost == {(words.LOST_KILLED, words.WAITING): 1}


def fail_one(polls):
    """One run of a worker that raises."""
    run = polls.schedule()
    polls.fail(run, polls.start(run), KeyError)


def test_a_worker_that_failed_is_gone_until_it_is_started_again(directory):
    """What failed once and runs again is no alarm, nor what was then cancelled on demand, nor a process that stops."""
    one = owner(directory)
    polls = worker(one)
    assert books_of(directory)[0].ended == 0
    fail_one(polls)
    assert books_of(directory)[0].ended == 1
    run = polls.schedule()
    since = polls.start(run)
    assert books_of(directory)[0].ended == 0
    polls.cancel(run, since, words.CANCEL_REASONS.index(words.CANCELLED_REQUESTED))
    assert books_of(directory)[0].ended == 0
    fail_one(polls)
    assert books_of(directory)[0].ended == 1
    one.set_word(layout.W_STOPPING, 1)
    assert books_of(directory)[0].ended == 0
    end(one)
    assert books_of(directory)[0].ended == 0


def test_a_worker_that_was_cancelled_from_within_is_gone_as_well(directory):
    """A future it awaited was cancelled, which raises nothing that anybody logs; ``cancel()`` is on purpose."""
    one = owner(directory)
    polls = worker(one)
    for reason, ended in ((words.CANCELLED_REQUESTED, 0), (words.CANCELLED_ORPHANED, 0), (words.CANCELLED_INNER, 1)):
        run = polls.schedule()
        polls.cancel(run, polls.start(run), words.CANCEL_REASONS.index(reason))
        assert books_of(directory)[0].ended == ended, reason
    end(one)


def test_a_worker_stalls_by_what_its_loop_saw_last(directory):
    """Progress older than the limit when the loop turned last; while that does not turn, nothing is known."""
    one = owner(directory)
    polls = worker(one)
    run = polls.schedule()
    began = polls.start(run)
    view = context_of(one).words
    view[run + layout.SLOT_PROGRESS], view[run + layout.SLOT_STALL] = began + 5, 1000
    for tick, stalled in ((began + 1000, 0), (began + 1006, 1)):
        one.set_word(layout.W_TICK, tick)
        one.ledger.note_stack(run, "app.py:1 in polls")
        books, _ = books_of(directory)
        assert (books.stalled, books.stuck) == (stalled, ["app.py:1 in polls"] * stalled)
    one.set_word(layout.W_TICK, began + 5000)
    view[run + layout.SLOT_PROGRESS] = began + 4500
    books, _ = books_of(directory)
    assert (books.stalled, books.stuck, books.progress > 0) == (0, [], True)
    view[run + layout.SLOT_PROGRESS] = began - 1
    assert books_of(directory)[0].progress == 0  # of the run that had this slot before
    end(one)


def test_a_loop_that_does_not_turn_is_told_with_the_task_that_is_on_it(directory):
    """More than three ticks late; without a tick no loop is watched."""
    one = owner(directory)
    mail = account(one)
    assert books_of(directory)[1].blocked == {}
    for on_loop, name in ((0, ""), (mail.mark, "mail"), (77, "")):
        one.set_word(layout.W_ON_LOOP, on_loop)
        one.set_word(layout.W_TICK_EVERY, 10**9)
        one.set_word(layout.W_TICK, time.monotonic_ns() - 2 * 10**9)
        assert books_of(directory)[1].blocked == {}
        one.set_word(layout.W_TICK, time.monotonic_ns() - 60 * 10**9)
        blocked = books_of(directory)[1].blocked
        assert blocked.keys() == {name}
        assert 60 <= blocked[name] < 120
    end(one)
    assert books_of(directory)[1].blocked == {}


def test_the_runtime_of_all_processes_is_told_as_one_service(directory):
    """Pools add up, of lag and blocked loops the worst counts, and who was asked to stop first."""
    started = time.monotonic_ns()
    for n in (1, 2):
        one = owner(directory)
        for word, value in zip(
            (layout.W_POOL_LIMIT, layout.W_POOL_BUSY, layout.W_POOL_WAITING), (40, n, 10 * n), strict=True
        ):
            one.set_word(word, value)
        for word in (layout.W_STOPPING, layout.W_TICK):
            one.set_word(word, started - n * 10**9)
        one.set_word(layout.W_LAG, n * 10**9)
        one.set_word(layout.W_TICK_EVERY, 1)
    _, service = books_of(directory)
    assert (service.lag, service.pool_limit, service.pool_busy, service.pool_waiting) == (2, 80, 3, 30)
    assert service.blocked[""] >= 2
    assert 2 <= time.time() - service.stopping < 60


def test_after_a_deletion_open_runs_keep_their_ledger(directory):
    """Where they are stuck, a worker's progress and what the process says of itself go where a reader looks for it."""
    one, keeper = owner(directory, deadline=1e-6), Bookkeeper(directory)
    other, mail, polls = account(one, "other"), account(one), worker(one)
    runs = {}
    for of in (mail, polls):
        run = runs[of.name, of.kind] = of.schedule()
        of.start(run)
    keeper.scan()
    one.set_word(layout.W_STOPPING, 1)
    path_of(one).unlink()
    one._check_file()
    late = other.schedule()
    other.start(late)
    now = time.monotonic_ns()
    overdue = {open_run.run: open_run for open_run in one.overdue(now)}
    assert {run: open_run.account.name for run, open_run in overdue.items()} == {
        runs["mail", words.BACKGROUND]: "mail",
        late: "other",
    }
    for run, open_run in overdue.items():
        assert one.ledger_of(run) is open_run.ledger
        open_run.ledger.note_stack(run, f"app.py:1 in {open_run.account.name}")
    run = runs["mail", words.WORKER]
    view = one.ledger_of(run).context.words
    view[run + layout.SLOT_PROGRESS], view[run + layout.SLOT_STALL] = view[run + 2], 1
    one.set_word(layout.W_TICK, now)
    totals = keeper.scan().totals
    assert totals.task(key()).stuck == ["app.py:1 in mail"]
    assert totals.task(key("other")).stuck == ["app.py:1 in other"]
    assert totals.task(key(kind=words.WORKER)).stalled == 1
    assert totals.service("shop").stopping > 0
    assert one.ledger_of(0) is None
    assert one.ledger_of(late + 8 * 4096) is None
    end(one)


def test_a_forked_child_has_no_open_runs_of_its_parents(directory):
    """They are the parent's to tell, and its state is its own."""
    one = owner(directory, deadline=1e-6)
    mail = account(one)
    mail.start(mail.schedule())
    one.mark(layout.STATE_CLOSED)
    one.forget_parent()
    assert (one.overdue(time.monotonic_ns()), one.state) == ([], None)
    assert one.open()
    assert (one.overdue(time.monotonic_ns()), one.state) == ([], layout.STATE_LIVE)
    end(one)
