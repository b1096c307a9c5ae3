"""afterword.testing without pytest: what was scheduled, whether it ended well, and what is said if not."""

import asyncio
import contextlib
import functools
import gc
import os
import re
import signal
import threading

import pytest
from fastapi import BackgroundTasks, FastAPI, HTTPException
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.background import BackgroundTask

import afterword
from afterword import words
from afterword.hooks.process import PROCESS
from afterword.instrument import DECIDED
from afterword.ledger import layout
from afterword.ledger.accounts import Declaration
from afterword.testing import UnavailableError, UnknownTaskError, message, watch
from tests import ledgers
from tests.helpers import until
from tests.helpers.processes import request

pytestmark = pytest.mark.framework

SIBLING_FAILED = "1 dropped (sibling_failed: an earlier task of the same response raised)"
REQUEST_FAILED = "1 dropped (request_failed: the request failed after it was added)"
CALL = Starlette.__dict__["__call__"]


def send_mail(*_):
    """A task that fails."""
    raise ConnectionRefusedError("mail.example.org")


def book_stock(*_):
    """A task that succeeds."""


class Warehouse:
    """A method of the same name as a task."""

    def book_stock(self):
        """Another task."""


def shop() -> FastAPI:
    """A shop whose orders end in every way."""
    app = FastAPI()

    @app.get("/order")
    def order(tasks: BackgroundTasks):
        tasks.add_task(book_stock, 1)

    @app.get("/register")
    def register(tasks: BackgroundTasks):
        tasks.add_task(send_mail)
        tasks.add_task(book_stock)

    @app.get("/refuse")
    def refuse(tasks: BackgroundTasks):
        tasks.add_task(book_stock)
        raise HTTPException(409)

    @app.get("/both")
    def both(tasks: BackgroundTasks):
        tasks.add_task(book_stock)
        tasks.add_task(Warehouse().book_stock)

    return app


def visit(app, *paths):
    """A client that sees no exception."""
    client = TestClient(app, raise_server_exceptions=False)
    for path in paths:
        client.get(path)


def name_of(function):
    """As it is in the books."""
    return f"{function.__module__}.{function.__qualname__}"


def test_watching_books_whatever_application_is_called_and_undoes_it():
    """No set-up; afterwards neither a hook, nor a mark, nor a file is left, and the books can still be asked."""
    app, other = shop(), shop()
    with watch() as books:
        visit(app, "/order", "/order")
        visit(other, "/order")
        directory = books.directory
        assert directory.is_dir()
        books.assert_all_ended_well()
    visit(app, "/order")
    assert books.scheduled(book_stock) == 3
    assert books.tasks == {name_of(book_stock): books.tasks[book_stock]}
    assert not directory.exists()
    assert PROCESS.owner is None
    assert Starlette.__dict__["__call__"] is CALL
    assert app not in DECIDED


def test_a_failing_assertion_tells_each_task_with_its_reason():
    """One line a task, causes first, and how many ended well."""
    with watch() as books:
        visit(shop(), "/order", "/register", "/refuse")
        with pytest.raises(AssertionError) as failure:
            books.assert_all_ended_well(timeout=20)  # a thread that ends late holds what it raised, and with it a task
    assert str(failure.value).splitlines() == [
        "3 of 4 runs did not end well:",
        f"  {name_of(send_mail)}: 1 failed (ConnectionRefusedError)",
        f"  {name_of(book_stock)}: {SIBLING_FAILED}, {REQUEST_FAILED}",
        "1 run ended well.",
    ]


def test_only_the_given_applications_are_watched():
    """What another application schedules is none of the test's."""
    app, other = shop(), shop()
    with watch(app) as books:
        visit(app, "/order")
        visit(other, "/order", "/register")
        books.assert_all_ended_well()
        books.assert_scheduled(book_stock, times=1)


def test_a_task_is_known_by_function_by_name_and_by_the_end_of_its_name():
    """Also partials and bound methods; what is ambiguous or unknown is told with the names there are."""
    with watch() as books:
        visit(shop(), "/order", "/both")
        assert books.scheduled(book_stock) == 2
        assert books.scheduled(functools.partial(book_stock, 3)) == 2
        assert books.scheduled(Warehouse().book_stock) == books.scheduled("Warehouse.book_stock") == 1
        assert books.scheduled(name_of(book_stock)) == 2
        assert books.tasks["Warehouse.book_stock"].succeeded == 1
        assert books.scheduled(send_mail) == 0
        with pytest.raises(UnknownTaskError, match=r"several tasks are called 'book_stock': .*Warehouse"):
            books.scheduled("book_stock")
        known = f"{name_of(Warehouse.book_stock)}, {name_of(book_stock)}"
        with pytest.raises(UnknownTaskError, match=f"^no task 'send'; scheduled were: {known}$"):
            books.scheduled("send")
        with pytest.raises(UnknownTaskError, match=f"^no task {name_of(send_mail)}; scheduled were: {known}$"):
            books.tasks[send_mail]
        with pytest.raises(UnknownTaskError, match=r"^no task 'stock'; "):
            books.scheduled("stock")
        assert "Warehouse.book_stock" in books.tasks
        assert books.tasks.get(send_mail) is None


def test_what_is_expected_to_be_scheduled_is_said():
    """An assertion that nothing ended badly cannot see what was never scheduled."""
    with watch() as books:
        with pytest.raises(AssertionError, match=r"^'mail' was not scheduled; no task was scheduled at all$"):
            books.assert_scheduled("mail")
        visit(shop(), "/order")
        books.assert_scheduled(book_stock)
        books.assert_scheduled(send_mail, times=0)
        name = name_of(book_stock)
        with pytest.raises(AssertionError, match=f"^{name} was scheduled once, not 2 times$"):
            books.assert_scheduled("book_stock", times=2)
        with pytest.raises(AssertionError, match=f"^{name} was scheduled once, not 0 times$"):
            books.assert_scheduled("book_stock", times=0)


def test_failures_that_are_expected_are_excepted():
    """By name or function, one or several, for good; a name that nobody knows is told if it does not help."""
    with watch() as books:
        visit(shop(), "/register", "/order")
        with pytest.raises(AssertionError) as failure:
            books.assert_all_ended_well(except_for="send")
        assert str(failure.value).splitlines()[-1] == "except_for names 'send', which was not scheduled."
        with pytest.raises(AssertionError, match="1 run ended well, 1 excepted by except_for"):
            books.assert_all_ended_well(except_for="send_mail")
        books.assert_all_ended_well(except_for=[book_stock])
        books.assert_all_ended_well()


def test_it_waits_for_a_run_and_no_longer_than_it_was_told():
    """A server in a thread of the test answers before its tasks have ended."""
    app, go, began = FastAPI(), threading.Event(), threading.Event()

    def slow():
        began.set()
        go.wait(20)

    @app.get("/")
    def order(tasks: BackgroundTasks):
        tasks.add_task(slow)

    with watch(timeout=0.05) as books:
        thread = threading.Thread(target=visit, args=(app, "/"))
        thread.start()
        try:
            assert began.wait(20)
            with pytest.raises(AssertionError, match=rf"(?m)^  {name_of(slow)}: 1 still running after 0.05 s$"):
                books.assert_all_ended_well()
            threading.Timer(0.1, go.set).start()
            books.assert_all_ended_well(timeout=20)
        finally:
            go.set()
            thread.join(20)


def test_what_only_garbage_holds_is_not_waited_for():
    """A task in a cycle that nobody reaches would be booked as dropped much later."""
    app = FastAPI()

    @app.get("/")
    def order():
        cycle: list[object] = [BackgroundTask(book_stock)]
        cycle.append(cycle)

    with watch() as books:
        gc.disable()  # or it comes by itself, sooner or later
        try:
            visit(app, "/")
            with pytest.raises(AssertionError, match="1 dropped"):
                books.assert_all_ended_well()
        finally:
            gc.enable()


def test_a_ledger_that_was_open_already_is_counted_from_here_on(instrumented, directory):
    """An application that instruments itself goes on as it was: nothing of before counts, nothing is undone."""
    app, other = instrumented(shop()), shop()
    visit(app, "/register")
    owner = PROCESS.owner
    with watch() as books:
        assert books.tasks == {}
        visit(app, "/order")
        visit(other, "/order")
        books.assert_scheduled(book_stock, times=2)
        books.assert_all_ended_well()
        assert books.directory != directory
    assert PROCESS.owner is owner
    assert Starlette.__dict__["__call__"] is not CALL
    visit(other, "/order")
    assert books.scheduled(book_stock) == 2


def test_an_application_that_instruments_itself_meanwhile_stays_so():
    """Its ledger is the watch's until the process forgets it; taking it back does not end the watch."""
    app = shop()
    with watch() as books:
        afterword.instrument(app)
        visit(app, "/order")
        afterword.uninstrument(app)
        visit(app, "/order")
        afterword.instrument(app)
        visit(app, "/order")
        books.assert_scheduled(book_stock, times=3)
    with watch() as books:
        visit(app, "/order")
        books.assert_scheduled(book_stock, times=1)
    afterword.uninstrument(app)
    assert PROCESS.owner is None


def test_watches_within_each_other_each_count_their_own():
    """A watch for the session and one for each test see the same runs once each."""
    app = shop()
    with watch() as outer:
        visit(app, "/order")
        with watch() as inner:
            visit(app, "/register")
        visit(app, "/order")
    assert (outer.scheduled(book_stock), inner.scheduled(book_stock)) == (3, 1)
    assert outer.tasks[send_mail].failed == inner.tasks[send_mail].failed == 1


def test_a_run_that_was_open_before_is_named_so(instrumented):
    """It may be an earlier test's: the line says that."""
    app, go, began = instrumented(FastAPI()), threading.Event(), threading.Event()

    def slow():
        began.set()
        go.wait(20)
        raise LookupError

    @app.get("/")
    def order(tasks: BackgroundTasks):
        tasks.add_task(slow)

    thread = threading.Thread(target=visit, args=(app, "/"))
    thread.start()
    assert began.wait(20)
    with watch() as books:
        books.assert_all_ended_well()
        go.set()
        thread.join(20)
        with pytest.raises(AssertionError, match=r"1 failed \(LookupError\); one was open before the test began"):
            books.assert_all_ended_well()


SERVED = """
import time
import afterword
from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

def forever():
    time.sleep(600)

@app.get("/")
def order(tasks: BackgroundTasks):
    tasks.add_task(forever)

afterword.instrument(app)
"""


def test_a_server_process_in_the_directory_is_in_the_books(children):
    """Killed in the middle of a run, it leaves a loss."""
    (children.folder / "served.py").write_text(SERVED)
    with watch(timeout=0.05) as books:
        server, port = children.uvicorn("served:app", AFTERWORD_DIR=str(books.directory))
        assert request(port, "/") == 200
        until(lambda: books.tasks["forever"].running)
        server.signal(signal.SIGKILL)
        server.wait()
        with pytest.raises(AssertionError, match=r"(?m)^  served.forever: 1 lost \(killed\)$"):
            books.assert_all_ended_well()


def test_where_no_ledger_can_be_kept_a_sentence_says_so(monkeypatch, tmp_path):
    """And nothing is left on."""
    monkeypatch.setattr("afterword.settings.default_directory", lambda: tmp_path / "missing" / "afterword")
    with pytest.raises(UnavailableError, match=r"keeps no books here: .*missing: No such file"), watch():
        pass
    assert PROCESS.owner is None
    assert Starlette.__dict__["__call__"] is CALL


def test_tasks_of_the_event_loop_and_of_the_lifespan_are_in_the_books():
    """A worker may run on; what a request left on the loop is waited for, or cancelled with the loop of its client."""
    kept = set()

    async def forever():
        await asyncio.Event().wait()

    async def soon():
        await asyncio.sleep(0.02)

    @contextlib.asynccontextmanager
    async def lifespan(_):
        worker = asyncio.create_task(forever())
        yield
        worker.cancel()

    app = FastAPI(lifespan=lifespan)

    @app.get("/")
    async def order():
        kept.add(asyncio.create_task(soon()))

    with watch() as books:
        TestClient(app).get("/")
        line = rf"  {re.escape(name_of(soon))}: 1 cancelled \(orphaned: .* outside of `with` ends its event loop\)"
        with pytest.raises(AssertionError, match=line):
            books.assert_all_ended_well()
    with watch() as books:
        with TestClient(app) as client:
            client.get("/")
            books.assert_all_ended_well()
            assert books.tasks[soon].succeeded == books.tasks[forever].running == 1
        books.assert_all_ended_well()
        assert books.tasks[forever].cancelled_by == {words.CANCELLED_SHUTDOWN: 1}


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_what_was_never_awaited_and_what_failed_unheard_is_caught():
    """Python says so on stderr at most, and the response is a success."""
    app, kept = FastAPI(), set()

    async def forgotten():
        pass

    async def unheard():
        raise LookupError

    @app.get("/")
    async def order():
        forgotten()
        kept.add(asyncio.create_task(unheard()))
        await asyncio.sleep(0)

    with watch() as books:
        assert TestClient(app).get("/").status_code == 200
        with pytest.raises(AssertionError) as failure:
            books.assert_all_ended_well()
    assert str(failure.value).splitlines() == [
        "2 of 2 runs did not end well:",
        f"  {name_of(unheard)}: 1 failed (LookupError)",
        f"  {name_of(forgotten)}: 1 dropped (never_awaited: nobody awaited it)",
        "0 runs ended well.",
    ]
    assert all(task.exception() for task in kept)


def test_a_worker_need_not_end_and_is_stopped_with_its_application():
    """One that ended by itself, or was cancelled by what it awaited, is no worker any more."""
    with watch(timeout=0) as books:
        assert PROCESS.owner is not None
        account = PROCESS.owner.account("shop.poll", words.WORKER, Declaration())
        run = account.schedule()
        since = account.start(run)
        books.assert_all_ended_well()
        account.cancel(run, since, words.CANCEL_REASONS.index(words.CANCELLED_SHUTDOWN))
        books.assert_all_ended_well()
        assert books.tasks["poll"].cancelled_by == {words.CANCELLED_SHUTDOWN: 1}
        run = account.schedule()
        account.cancel(run, account.start(run), words.CANCEL_REASONS.index(words.CANCELLED_INNER))
        run = account.schedule()
        account.fail(run, account.start(run), words.RETURNED)
        with pytest.raises(AssertionError) as failure:
            books.assert_all_ended_well()
    returned = "1 failed (Returned: a worker that ended before its application)"
    assert str(failure.value).splitlines() == [
        "2 of 3 runs did not end well:",
        f"  shop.poll: {returned}, 1 cancelled (inner: what it awaited was cancelled)",
        "1 run ended well.",
    ]


def test_a_swallowed_error_is_no_good_end():
    """It succeeded, but an error was logged in it."""
    with watch(timeout=0) as books:
        assert PROCESS.owner is not None
        account = PROCESS.owner.account("shop.mail", words.BACKGROUND, Declaration())
        for _ in range(2):
            run = account.schedule()
            account.succeed(run, account.start(run))
        books.assert_all_ended_well()
        account.note(layout.LANE_SWALLOWED)
        with pytest.raises(
            AssertionError, match=r"(?s)1 of 2 .* 1 succeeded but swallowed an error\n1 run ended well\."
        ):
            books.assert_all_ended_well()


def test_what_killed_test_runs_left_is_removed_after_a_day(directory, monkeypatch):
    """Unless one of them lives: its ledger is locked."""
    monkeypatch.setattr("afterword.settings.default_directory", lambda: directory / "afterword")
    fresh, dead, living = (directory / f"afterword-testing-{name}" for name in ("fresh", "dead", "living"))
    for left in (fresh, dead):
        left.mkdir()
        (left / "left.ledger").write_bytes(b"")
    owner = ledgers.owner(living)
    for old in (dead, living):
        os.utime(old, (1, 1))
    with watch():
        assert (fresh.exists(), dead.exists(), living.exists()) == (True, False, True)
    owner.close()


def test_every_reason_is_explained():
    """A new word of the books gets its few words here."""
    assert message.EXPLAINED.keys() == set(words.DROP_REASONS)
    assert message.EXPLAINED_CANCEL.keys() == set(words.CANCEL_REASONS)
