"""A history that cannot be read or written costs no ending, no scrape and no truth."""

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from afterword import words
from afterword.books import bookkeeper as bookkeeper_
from afterword.books.bookkeeper import Bookkeeper
from afterword.books.history import FILE_NAME, Query
from afterword.ledger import layout
from afterword.view.reading import View
from tests import ledgers
from tests.helpers import until
from tests.ledgers import account, owner
from tests.sidecars import Sidecar, Writer

#: Holds the file as a backup tool or a stopped sidecar does, until its input ends.
HOLD = """
import sqlite3, sys
file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""
#: Is killed in the middle of a write, with a journal that somebody has to take back.
HALF = """
import os, signal, sqlite3, sys
file = sqlite3.connect(sys.argv[1], isolation_level=None)
file.execute("PRAGMA cache_size = 1")
file.execute("BEGIN IMMEDIATE")
for n in range(4000):
    file.execute("INSERT INTO read VALUES (?, 1, 1)", (f"{n:064x}",))
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def keeper(directory):
    """A bookkeeper that keeps a history."""
    one = Bookkeeper(directory)
    one.history.open()
    return one


@contextlib.contextmanager
def held(directory):
    """Within, somebody else has the history."""
    command = [sys.executable, "-c", HOLD, str(directory / FILE_NAME)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        yield
        other.communicate()


def lose(directory, n=3):
    """So many runs die with their process."""
    one = owner(directory)
    for _ in range(n):
        account(one).schedule()
    ledgers.close_file(one)


def lost(keeper):
    """What the history has."""
    return keeper.history.page(Query()).total


def test_the_dead_wait_for_a_history_that_somebody_holds(directory, keeper):
    """Their books are exact meanwhile, and nothing is missed."""
    with held(directory):
        for _ in range(3):
            lose(directory)
        began = time.monotonic()
        totals = [keeper.scan().totals for _ in range(3)][-1]
        assert time.monotonic() - began < 3
        assert sum(books.lost_in(words.WAITING) for books in totals.tasks.values()) == 9
        assert len(list(directory.glob("*.ledger"))) == 3
        assert "locked" in keeper.history.counts().problem
    until(lambda: keeper.scan() and lost(keeper) == 9)
    assert (keeper.history.counts().missed, keeper.history.counts().problem) == (0, "")
    assert list(directory.glob("*.ledger")) == []


def test_the_dead_do_not_wait_for_ever(directory, keeper, monkeypatch):
    """Then they are folded, and counted as missed as soon as that can be written."""
    monkeypatch.setattr(bookkeeper_, "_HOLD", 0.0)
    with held(directory):
        lose(directory)
        keeper.scan()
        until(lambda: keeper.scan() and not list(directory.glob("*.ledger")))
        assert keeper.history.counts().missed == 3
    one = owner(directory)
    until(lambda: keeper.scan() and not keeper.history.counts().problem)
    assert keeper.history.counts().missed == 3
    again = Bookkeeper(directory)
    again.history.open()
    until(lambda: keeper.scan() and again.history.counts().missed == 3)
    ledgers.end(one)


def test_a_full_disk_is_told_until_something_is_written(directory, keeper, monkeypatch):
    """To read goes well all the time."""
    keeper.scan()
    with contextlib.closing(sqlite3.connect(directory / FILE_NAME)) as file:
        file.execute("CREATE TRIGGER full BEFORE INSERT ON ended BEGIN SELECT RAISE(FAIL, 'disk is full'); END")
        file.commit()
    monkeypatch.setattr("afterword.books.history_file._REST", 0.0)
    lose(directory)
    keeper.scan()
    for _ in range(3):
        assert lost(keeper) == 0
        assert "disk is full" in keeper.history.counts().problem
    with contextlib.closing(sqlite3.connect(directory / FILE_NAME)) as file:
        file.execute("DROP TRIGGER full")
        file.commit()
    keeper.scan()
    assert (lost(keeper), keeper.history.counts().problem) == (3, "")


def test_a_damaged_word_costs_no_scrape(directory, keeper):
    """A time that no clock shows is cut to what can be kept."""
    one = owner(directory)
    mail = account(one)
    run = mail.schedule()
    ledgers.context_of(one).words[run + 1] = 1 << 63
    ledgers.close_file(one)
    lose(directory)
    totals = keeper.scan().totals
    assert sum(books.lost_in(words.WAITING) for books in totals.tasks.values()) == 4
    assert (lost(keeper), list(directory.glob("*.ledger"))) == (4, [])


def test_rows_that_somebody_else_wrote_cost_no_answer(directory, keeper):
    """The problem is said instead."""
    keeper.scan()
    with contextlib.closing(sqlite3.connect(directory / FILE_NAME)) as file:
        file.execute("INSERT INTO ended (uuid, run, ending, pid, ended) VALUES ('a', 'b', 'lost', 'x', 'never')")
        file.commit()
    view = View(keeper)
    assert view.endings(Query()).items == []
    assert view.look().status.sidecar.history.problem


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: another owner")
@pytest.mark.parametrize("how", ["owner", "mode"])
def test_a_history_of_somebody_else_is_not_believed(directory, keeper, how):
    """Whoever may write it can tell what they like."""
    keeper.scan()
    if how == "owner":
        os.chown(directory / FILE_NAME, 65534, 65534)
    else:
        (directory / FILE_NAME).chmod(0o666)
    lost(keeper)
    assert "can be written by others" in keeper.history.counts().problem


def test_who_reads_waits_for_nobody(directory, keeper):
    """`afterword lost` beside a sidecar that was stopped answers, and says what it could not see."""
    keeper.scan()
    lose(directory)
    with held(directory):
        began = time.monotonic()
        reader = Bookkeeper(directory, folds=False)
        reader.scan()
        assert lost(reader) == 3
        assert "locked" in reader.history.counts().problem
        assert time.monotonic() - began < 3
    reader.scan()
    assert reader.history.counts().problem == ""


def test_what_a_killed_writer_left_half_is_taken_back_in_a_copy(directory, keeper):
    """Who only reads may not do it in the file itself."""
    lose(directory)
    keeper.scan()
    subprocess.run([sys.executable, "-c", HALF, str(directory / FILE_NAME)], check=False)
    assert (directory / f"{FILE_NAME}-journal").stat().st_size
    before = {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in directory.iterdir()}
    reader = Bookkeeper(directory, folds=False)
    reader.scan()
    assert (lost(reader), reader.history.counts().problem) == (3, "")
    assert {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in directory.iterdir()} == before
    assert lost(keeper) == 3


def test_a_process_without_a_bad_ending_leaves_no_trace(directory, keeper):
    """A service that restarts every second for a month does not fill the disk."""
    for _ in range(20):
        ledgers.end(owner(directory))
        keeper.scan()
    with contextlib.closing(sqlite3.connect(directory / FILE_NAME)) as file:
        assert file.execute("SELECT count(*) FROM read").fetchone() == (0,)


def test_what_goes_by_is_counted_once_also_by_the_next_sidecar(directory, keeper, monkeypatch):
    """However long a process lives."""
    one = owner(directory)
    mail = account(one)
    for _ in range(layout.MAX_ENDINGS + 5):
        one.ledger.note_ending(mail, failed())
    keeper.scan()
    monkeypatch.setattr("afterword.books.history._REMEMBER", -10)
    keeper.sweep()
    again = Bookkeeper(directory)
    again.history.open()
    again.scan()
    assert again.history.counts().missed == 5
    ledgers.end(one)


def failed():
    """A failure, as the hooks keep it."""
    from afterword.ledger.bad_endings import BadEnding

    now = time.monotonic_ns()
    return BadEnding(0, 0, words.FAILED, "ValueError", 0, -5, now - 3, now - 2, now, 0, 0)


def test_the_scrape_of_a_real_sidecar_goes_on_while_the_history_is_held(children, directory):
    """Also when processes die meanwhile."""
    sidecar = Sidecar(children, directory)
    assert sidecar.text()
    with held(directory):
        writers = [Writer(directory) for _ in range(6)]
        for one in writers:
            one.do("wait")
            one.kill()
        until(lambda: sidecar.scrape("afterword_tasks_lost_total") == 6)
        began = time.monotonic()
        assert sidecar.text()
        assert time.monotonic() - began < 3
    until(lambda: '"total":6' in sidecar.get("/api/endings")[1], 20)
    assert "Traceback" not in sidecar.child.output


def test_several_who_make_the_history_at_once_make_one(directory):
    """A scrape, the ticker and the watch of one sidecar begin together, and another sidecar besides."""
    keepers = [Bookkeeper(directory) for _ in range(8)]
    start = threading.Barrier(len(keepers))

    def begin(one):
        start.wait()
        one.history.open()
        one.history.page(Query())
        return one.history.counts().problem

    for _ in range(10):
        (directory / FILE_NAME).unlink(missing_ok=True)
        with ThreadPoolExecutor(len(keepers)) as pool:
            assert set(pool.map(begin, keepers)) <= {"", "database is locked"}
