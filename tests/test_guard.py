"""The guard: whatever of ours breaks, the application's work is done as if we were not there."""

import asyncio
import io
import os
import sys

import pytest
from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from starlette.background import BackgroundTask

import afterword
from afterword.declarations import ATTRIBUTE
from afterword.hooks.process import PROCESS
from tests.helpers.asgi import call

pytestmark = pytest.mark.framework
RAN: list[str] = []


def sync():
    """A task in the thread pool."""
    RAN.append("sync")


async def on_loop():
    """A task on the loop."""
    RAN.append("on_loop")


async def boom():
    """A task that fails."""
    raise LookupError("gone")


def shop():
    """Tasks of all kinds."""
    app = FastAPI()

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        tasks.add_task(sync)
        tasks.add_task(on_loop)

    @app.get("/response")
    async def on_response():
        return JSONResponse({}, background=BackgroundTask(on_loop))

    @app.get("/boom")
    async def failing(tasks: BackgroundTasks):
        tasks.add_task(boom)
        tasks.add_task(sync)

    return app


def broken(*_):
    """What a call of ours does in these tests: the disk is gone, say."""
    raise ValueError("our own error")


def accounts():
    """The accounts that the hooks book in."""
    assert PROCESS.owner is not None
    return list(PROCESS.owner._accounts.values())


@pytest.fixture
def guarded(monkeypatch, instrumented):
    """An instrumented application outside of our tests' rule that our own errors are raised."""
    monkeypatch.delenv("AFTERWORD_RAISE")
    RAN.clear()
    return instrumented(shop())


@pytest.mark.parametrize("which", ["schedule", "start", "succeed", "fail", "drop"])
def test_an_error_of_ours_never_reaches_the_application(guarded, scrape, capfd, which):
    """Each of our calls may fail: the work is done, the error is counted, and told once."""
    asyncio.run(call(guarded))
    asyncio.run(call(guarded, "/response"))
    with pytest.raises(LookupError):
        asyncio.run(call(guarded, "/boom"))
    for account in accounts():
        setattr(account, which, broken)
    RAN.clear()
    for _ in range(2):
        asyncio.run(call(guarded))
        asyncio.run(call(guarded, "/response"))
        with pytest.raises(LookupError, match="gone"):
            asyncio.run(call(guarded, "/boom"))
    assert RAN == ["sync", "on_loop", "on_loop"] * 2
    assert scrape("afterword_internal_errors_total") >= 2
    assert capfd.readouterr().err.count("internal error,") == 1


def test_the_hooks_stand_aside_after_ten_errors(guarded, scrape, capfd):
    """What keeps failing is switched off, says so, and the application goes on."""
    asyncio.run(call(guarded))
    for account in accounts():
        account.start = broken
    for _ in range(20):
        asyncio.run(call(guarded))
    assert len(RAN) == 42
    assert scrape("afterword_internal_errors_total") == 10
    assert capfd.readouterr().err.count("switched off after 10 internal errors") == 1
    scheduled = scrape("afterword_tasks_scheduled_total")
    asyncio.run(call(guarded))
    assert scrape("afterword_tasks_scheduled_total") == scheduled


def test_an_application_that_stands_aside_still_answers_and_tells_the_sidecar(monkeypatch, instrumented, scrape):
    """One worker in trouble must not take the page of all workers with it, nor go unnoticed."""
    monkeypatch.delenv("AFTERWORD_RAISE")
    app = instrumented(shop(), metrics="/page")
    client = TestClient(app)
    assert client.get("/page").status_code == 200
    for _ in range(10):
        PROCESS.note(ValueError("our own error"))
    assert not PROCESS.active
    assert client.get("/page").status_code == 200
    assert scrape("afterword_sidecar_unaccounted_processes", reason="internal_errors") == 1


def test_a_second_application_with_settings_of_its_own_is_told(instrumented, directory, capfd):
    """A process keeps one ledger: what the second one asked for is not silently something else."""
    instrumented(shop(), service="orders")
    for _ in range(2):
        instrumented(shop(), service="mail", deadline=5, dir=directory / "other")
    told = capfd.readouterr().err
    assert told.count("directory and deadline and service of a second application are not used") == 1
    assert not (directory / "other").exists()


def test_a_task_object_that_breaks_our_look_at_it_still_runs(guarded):
    """Objects may compute their attributes, and fail at it."""

    class Odd:
        """Whoever asks for its name, or for a declaration, gets an error that is no AttributeError."""

        def __getattr__(self, name):
            raise (RuntimeError if name in ("__qualname__", ATTRIBUTE) else AttributeError)(name)

        def __call__(self):
            RAN.append("odd")

    @guarded.get("/odd")
    async def odd():
        return JSONResponse({}, background=BackgroundTask(Odd()))

    for _ in range(12):
        asyncio.run(call(guarded, "/odd"))
    assert RAN == ["odd"] * 12
    assert PROCESS.active


@pytest.mark.parametrize("stderr", [None, "closed", "broken"])
def test_a_broken_stderr_changes_nothing(guarded, monkeypatch, stderr):
    """A daemon has none; a full disk refuses."""

    class Broken(io.StringIO):
        def write(self, _):
            raise OSError("no space left on device")

    closed = io.StringIO()
    closed.close()
    asyncio.run(call(guarded))
    monkeypatch.setattr(sys, "stderr", {"closed": closed, "broken": Broken()}.get(stderr))
    for account in accounts():
        account.start = broken
    for _ in range(12):
        asyncio.run(call(guarded))
    assert len(RAN) == 26


def test_a_directory_that_cannot_be_used_leaves_the_application_alone(monkeypatch, capfd, tmp_path):
    """One sentence on stderr, and every task runs."""
    monkeypatch.delenv("AFTERWORD_RAISE")
    RAN.clear()
    (tmp_path / "file").write_text("not a directory")
    app = afterword.instrument(shop(), dir=tmp_path / "file")
    try:
        asyncio.run(call(app))
        assert TestClient(app).get("/response").status_code == 200
    finally:
        afterword.uninstrument(app)
    assert RAN == ["sync", "on_loop", "on_loop"]
    assert capfd.readouterr().err.count("accounting is off") == 1


def test_what_is_no_application_is_said_in_one_sentence(monkeypatch, capfd):
    """A wrapper around the application cannot be hooked, and pretending would lose every task."""
    wrapper = object()
    with pytest.raises(TypeError, match="FastAPI or Starlette application"):
        afterword.instrument(wrapper)  # type: ignore[type-var]  # the mistake is the test
    monkeypatch.delenv("AFTERWORD_RAISE")
    assert afterword.instrument(wrapper) is wrapper  # type: ignore[type-var]
    assert "FastAPI or Starlette application" in capfd.readouterr().err


def test_hooks_that_cannot_be_installed_are_taken_back(monkeypatch, instrumented, books):
    """Half of the hooks would be worse than none; the next attempt starts afresh."""
    from afterword.hooks import asgi

    before = vars(BackgroundTask)["__init__"]
    with monkeypatch.context() as patch:
        patch.setattr(asgi, "install", broken)
        with pytest.raises(ValueError, match="our own error"):
            instrumented(shop())
    assert vars(BackgroundTask)["__init__"] is before
    asyncio.run(call(instrumented(shop())))
    assert books.of("sync") == {"scheduled": 1, "started": 1, "succeeded": 1}


def test_disabled_means_no_file_and_no_patch(children, directory):
    """One variable: nothing of ours is even imported, and the application works."""
    program = children.folder / "disabled.py"
    program.write_text(
        "import sys\n"
        "from fastapi import FastAPI\n"
        "from starlette.applications import Starlette\n"
        "from starlette.background import BackgroundTask, BackgroundTasks\n"
        "found = [dict(vars(c)) for c in (Starlette, BackgroundTask, BackgroundTasks)]\n"
        "import afterword\n"
        "app = FastAPI()\n"
        f"assert afterword.instrument(app, dir={str(directory)!r}, metrics='/metrics') is app\n"
        "afterword.uninstrument(app)\n"
        "assert found == [dict(vars(c)) for c in (Starlette, BackgroundTask, BackgroundTasks)]\n"
        "print('unchanged', 'afterword.hooks.background' in sys.modules, vars(app).keys() & {'_afterword_endpoint'})\n"
    )
    child = children.python(str(program), AFTERWORD_DISABLED="1", PYTHONPATH=os.pathsep.join(sys.path))
    assert child.wait() == 0, child.output
    assert child.output == "unchanged False set()\n"
    assert not list(directory.iterdir())
