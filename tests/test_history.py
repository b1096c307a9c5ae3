"""Bad endings one by one: each is kept once, whoever looks, and survives the processes that had and that kept it."""

import asyncio
import contextlib
import logging
import os
import sqlite3
import subprocess
import sys
import time

import pytest
from fastapi import BackgroundTasks, FastAPI, Response
from fastapi.testclient import TestClient
from starlette.background import BackgroundTask

from afterword.books import history as history_
from afterword.books.bookkeeper import Bookkeeper
from afterword.books.ended import BY_DEATH
from afterword.books.history import FILE_NAME, Query
from afterword.hooks.process import PROCESS
from afterword.ledger import bad_endings, layout
from afterword.ledger.accounts import Declaration
from tests import ledgers
from tests.ledgers import path_of
from tests.sidecars import Writer


def boom():
    """Fails."""
    raise LookupError


def quiet():
    """Swallows what went wrong."""
    logging.getLogger("shop").error("no such customer")


def fine():
    """Is well."""


def shop():
    """One route for each bad ending."""
    app = FastAPI()

    @app.get("/fails/{n}")
    async def fails(tasks: BackgroundTasks):
        tasks.add_task(boom)
        tasks.add_task(fine)

    @app.get("/swallows")
    async def swallows(tasks: BackgroundTasks):
        tasks.add_task(quiet)

    @app.get("/replaced")
    async def replaced(tasks: BackgroundTasks):
        tasks.add_task(fine)
        return Response(background=BackgroundTask(quiet))

    @app.get("/cancelled")
    async def cancelled():
        async def forever():
            await asyncio.Event().wait()

        app.state.task = asyncio.create_task(forever())

    @app.get("/cancel")
    async def cancel():
        app.state.task.cancel()

    return app


@pytest.fixture
def client(instrumented):
    """The shop in this process."""
    with TestClient(instrumented(shop()), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def bookkeeper(directory):
    """``bookkeeper()``: another one, which keeps a history."""

    def made():
        one = Bookkeeper(directory)
        one.history.open()
        return one

    return made


@pytest.fixture
def writer(directory):
    """``writer()``: a process that keeps a ledger; all are ended with the test."""
    made = []

    def start():
        made.append(Writer(directory))
        return made[-1]

    yield start
    for one in made:
        one.end()


def kept(bookkeeper, **query):
    """What the history has after a scan, the oldest first."""
    bookkeeper.scan()
    return [ended for _, ended in reversed(bookkeeper.history.page(Query(**query)).items)]


def test_each_bad_ending_is_kept_with_its_run_route_and_reason(client, bookkeeper):
    """What metrics only count."""
    for path in ("/fails/7", "/swallows", "/replaced", "/cancelled", "/cancel"):
        client.get(path)
    told = {(e.ending, e.key.task.rpartition(".")[2], e.key.kind, e.reason, e.route) for e in kept(bookkeeper())}
    assert told == {
        ("failed", "boom", "background", "LookupError", "GET /fails/{n}"),
        ("dropped", "fine", "background", "sibling_failed", "GET /fails/{n}"),
        ("swallowed", "quiet", "background", "", "GET /swallows"),
        ("dropped", "fine", "background", "response_replaced", "GET /replaced"),
        ("swallowed", "quiet", "response", "", "GET /replaced"),
        ("cancelled", "forever", "asyncio", "orphaned", "GET /cancelled"),
    }


def test_times_and_process_are_those_of_the_run(client, bookkeeper):
    """A run that failed was scheduled, started and ended in this order, just now, here."""
    before = time.time_ns()
    client.get("/fails/7")
    failed, dropped = kept(bookkeeper())
    assert before <= failed.scheduled < failed.started <= failed.ended <= time.time_ns()
    assert (dropped.started, failed.pid, failed.trace) == (0, os.getpid(), "")
    assert failed.id != dropped.id


def test_the_id_is_the_one_in_the_log(client, bookkeeper, caplog):
    """From a log line to the run, and back."""
    client.get("/fails/7")
    (record,) = [record for record in caplog.records if getattr(record, "ending", "") == "failed"]
    assert [ended.id for ended in kept(bookkeeper(), run=record.run_id)] == [record.run_id]


def test_silenced_logs_cost_no_history(client, bookkeeper, caplog):
    """Who wants no lines still wants to know."""
    caplog.set_level(logging.CRITICAL, logger="afterword.endings")
    client.get("/fails/7")
    assert [ended.ending for ended in kept(bookkeeper())] == ["failed", "dropped"]


def test_what_a_killed_process_owed_is_kept_once(writer, bookkeeper):
    """By whichever of two bookkeepers folds it, before and after a restart."""
    one, first, second = writer(), bookkeeper(), bookkeeper()
    one.do("run", 2)
    one.do("wait")
    kept(first)
    one.kill()
    for keeper in (first, second, first, bookkeeper()):
        found = kept(keeper)
        assert sorted((e.ending, e.reason, e.phase) for e in found) == [
            ("lost", "killed", "running"), ("lost", "killed", "running"), ("lost", "killed", "waiting"),
        ]  # fmt: skip
    assert {(e.sequence, e.pid) for e in kept(first)} == {(BY_DEATH, one.process.pid)}


def test_what_a_process_kept_itself_is_read_also_when_it_is_gone(directory, bookkeeper):
    """A failure a moment before the end is in no look at the living."""
    keeper = bookkeeper()
    keeper.scan()
    one = ledgers.owner(directory)
    mail = ledgers.account(one)
    note(one, mail, ended(0))
    ledgers.end(one)
    assert [(e.sequence, e.reason) for e in kept(keeper)] == [(1, "ValueError")]


def test_nothing_is_kept_where_nobody_asked(writer, directory):
    """No file appears because somebody scrapes."""
    one = writer()
    one.do("wait")
    one.kill()
    assert kept(Bookkeeper(directory)) == []
    assert not (directory / FILE_NAME).exists()


def test_who_only_reads_sees_everything_and_writes_nothing(writer, directory, bookkeeper):
    """`afterword lost` beside a sidecar, or without one, also as root."""
    first, second = writer(), writer()
    first.do("wait")
    first.kill()
    kept(bookkeeper())
    second.do("run")
    second.kill()
    before = {path.name: path.stat().st_mtime_ns for path in directory.iterdir()}
    reader = Bookkeeper(directory, folds=False)
    for _ in range(2):
        assert [ended.phase for ended in kept(reader)] == ["waiting", "running"]
    assert {path.name: path.stat().st_mtime_ns for path in directory.iterdir()} == before


def note(one, account, found):
    """Keep one as the hooks do."""
    one.ledger.note_ending(account, found)


def ended(task, reason="ValueError", ending="failed"):
    """A run of a task, as the hooks tell of it."""
    now = time.monotonic_ns()
    return bad_endings.BadEnding(0, task, ending, reason, 0, -5, now - 3, now - 2, now, 0, 0)


def test_a_storm_leaves_room_for_the_others_and_is_counted(directory, bookkeeper):
    """More than a ledger keeps between two looks: the newest are there, the others are counted as missed."""
    one, keeper = ledgers.owner(directory), bookkeeper()
    mail, rare = ledgers.account(one), ledgers.account(one, "rare")
    note(one, rare, ended(0))
    keeper.scan()
    for n in range(layout.MAX_ENDINGS + 50):
        note(one, mail, ended(0, f"E{n}"))
    found = kept(keeper, limit=1000)
    assert [e.key.task for e in found[:2]] == ["rare", "mail"]
    assert found[-1].reason == f"E{layout.MAX_ENDINGS + 49}"
    assert len(found) == 1 + layout.MAX_ENDINGS
    assert keeper.history.counts().missed == 50


def test_the_history_is_bounded_for_each_task_and_in_all(directory, bookkeeper, monkeypatch):
    """One task that fails for days does not push out what another lost, and the file does not grow."""
    monkeypatch.setattr(history_, "LIMIT_OF_ONE", 5)
    monkeypatch.setattr(history_, "LIMIT", 8)
    one, keeper = ledgers.owner(directory), bookkeeper()
    accounts = [ledgers.account(one, name) for name in ("rare", "mail", "push")]
    note(one, accounts[0], ended(0))
    for account in accounts[1:]:
        for n in range(20):
            note(one, account, ended(0, f"E{n}"))
            keeper.scan()
    tasks = [e.key.task for e in kept(keeper)]
    assert (tasks.count("mail"), tasks.count("push"), len(tasks)) == (3, 5, 8)
    assert keeper.history.counts().kept == 8


def test_pages_go_back_in_time_without_a_gap(directory, bookkeeper):
    """Also while new ones arrive."""
    one, keeper = ledgers.owner(directory), bookkeeper()
    mail = ledgers.account(one)
    for n in range(7):
        note(one, mail, ended(0, f"E{n}"))
    keeper.scan()
    seen, before = [], None
    while True:
        page = keeper.history.page(Query(before=before, limit=3))
        seen += [e.reason for _, e in page.items]
        note(one, mail, ended(0, "later"))
        keeper.scan()
        if not page.more:
            break
        before = page.items[-1][0]
    assert seen == [f"E{n}" for n in reversed(range(7))]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"ending": ("dropped", "failed")}, 3),
        ({"ending": ("lost",)}, 0),
        ({"task": "push"}, 1),
        ({"service": "nobody"}, 0),
        ({"kind": "background", "reason": "A"}, 2),
        ({"since": 4e9}, 0),
        ({"until": 1.0}, 0),
        ({"since": 1.0, "until": 4e9}, 3),
    ],
)
def test_what_is_asked_for_is_found(directory, bookkeeper, query, found):
    """By service, task, kind, ending, reason and time."""
    one, keeper = ledgers.owner(directory), bookkeeper()
    mail, push = ledgers.account(one), ledgers.account(one, "push")
    note(one, mail, ended(0, "A"))
    note(one, mail, ended(0, "A", "dropped"))
    note(one, push, ended(0, "B"))
    assert len(kept(keeper, **query)) == found


def test_a_file_that_is_no_database_is_set_aside(directory, bookkeeper, caplog):
    """It costs the history, not the scrape; the next look begins another."""
    (directory / FILE_NAME).write_bytes(b"x" * 5000)
    one, keeper = ledgers.owner(directory), bookkeeper()
    note(one, ledgers.account(one), ended(0))
    keeper.scan()
    assert list(directory.glob(f"{FILE_NAME}.corrupt-*"))
    keeper.history.open()
    assert [e.ending for e in kept(keeper)] == ["failed"]
    assert sum("cannot be kept" in record.getMessage() for record in caplog.records) == 1
    assert keeper.history.counts().problem == ""


@pytest.mark.parametrize("what", ["link", "folder", "newer"])
def test_what_is_not_ours_is_left_alone(directory, bookkeeper, tmp_path, what):
    """SQLite would write through a link; of another format nothing is known."""
    path, elsewhere = directory / FILE_NAME, tmp_path / "elsewhere"
    elsewhere.write_bytes(b"")
    if what == "link":
        path.symlink_to(elsewhere)
    elif what == "folder":
        path.mkdir()
    else:
        with sqlite3.connect(path) as file:
            file.execute("PRAGMA user_version = 99")
        file.close()
    keeper = bookkeeper()
    one = ledgers.owner(directory)
    note(one, ledgers.account(one), ended(0))
    assert kept(keeper) == []
    assert keeper.history.counts().problem
    assert elsewhere.read_bytes() == b""
    assert path.exists()


def test_a_record_that_is_written_over_is_no_record(directory):
    """A reader that comes in the middle waits for the next look."""
    one = ledgers.owner(directory)
    mail = ledgers.account(one)
    note(one, mail, ended(0, "first"))
    note(one, mail, ended(0, "second"))
    read = ledgers.reader(path_of(one))
    assert [e.reason for e in read.bad_endings()] == ["first", "second"]
    view, table = ledgers.context_of(one).words, read.header.sections[layout.ENDINGS]
    for word in range(1, 16):
        at = table.offset // 8 + word
        view[at] ^= 1 << 40
        assert [e.reason for e in read.bad_endings()] == ["second"], word
        view[at] ^= 1 << 40
    read.close()


def test_a_reason_is_cut_at_what_there_is_room_for(directory):
    """Never inside of a character."""
    one = ledgers.owner(directory)
    note(one, ledgers.account(one), ended(0, "ä" * 40 + "\n"))
    read = ledgers.reader(path_of(one))
    assert [e.reason for e in read.bad_endings()] == ["ä" * 24]
    read.close()


def test_a_python_without_sqlite_keeps_books_all_the_same(writer, directory):
    """Some are built without: then there is no history, and that is said."""
    one = writer()
    one.do("wait")
    one.kill()
    look = (
        "import sys; sys.modules['sqlite3'] = None; from pathlib import Path\n"
        "from afterword.books.bookkeeper import Bookkeeper\n"
        "for folds in (False, True):\n"
        "    keeper = Bookkeeper(Path(sys.argv[1]), folds=folds); keeper.history.open()\n"
        "    lost = [sum(task.lost.values()) for task in keeper.scan().totals.tasks.values()]\n"
        "    print(lost, keeper.history.counts().problem)\n"
    )
    done = subprocess.run([sys.executable, "-c", look, str(directory)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[1] this Python has no sqlite3", "[1] this Python has no sqlite3"]


def test_runs_of_a_ledger_that_was_removed_keep_their_id_and_their_route(client, bookkeeper, caplog):
    """A cleaner took the file: the process goes on in another, and the run it had open is still the same."""
    keeper = bookkeeper()
    client.get("/cancelled")
    keeper.scan()
    owner = PROCESS.owner
    assert owner is not None
    before = owner.path
    before.unlink()
    owner._check_file()
    assert owner.path != before
    client.get("/cancel")
    client.get("/fails/7")
    found = {ended.ending: ended for ended in kept(keeper)}
    assert (found["cancelled"].route, found["failed"].route) == ("GET /cancelled", "GET /fails/{n}")
    assert found["cancelled"].uuid == before.stem
    assert found["cancelled"].scheduled
    told = {record.run_id for record in caplog.records if hasattr(record, "run_id")}
    assert told == {ended.id for ended in found.values()}


def test_a_forked_child_tells_nothing_of_its_parents_runs(client, bookkeeper):
    """It has copies of them, and ends none."""
    client.get("/cancelled")
    owner = PROCESS.owner
    assert owner is not None
    mine = owner.account("mail", "background", Declaration())
    inherited = mine.schedule()
    since = mine.start(inherited)
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException):
            own = mine.schedule()
            mine.fail(inherited, since, ValueError)
            mine.fail(own, mine.start(own), KeyError)
            status = 0
        os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert [(ended.ending, ended.reason, ended.pid) for ended in kept(bookkeeper())] == [("failed", "KeyError", pid)]
