"""Coroutines that nobody awaits: booked as dropped, and the interpreter's warning is the one it always was."""

import asyncio
import gc
import os
import re
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import anyio
import pytest
from fastapi import BackgroundTasks, FastAPI
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

import afterword
from tests.helpers.asgi import call
from tests.helpers.waiting import pool_threads_ended

pytestmark = pytest.mark.framework
DROPPED = {"scheduled": 1, "never_awaited": 1}


async def send_mail():
    """What somebody forgets to await."""


class Mailer:
    """With a method."""

    async def send(self):
        """As easily forgotten."""


def warned(app):
    """The warnings of one request, without what differs from run to run."""
    gc.collect()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        asyncio.run(call(app))
        gc.collect()
    return [(w.category, str(w.message), w.filename, w.lineno) for w in found]


def shop():
    """One endpoint that forgets two."""
    app = FastAPI()

    @app.get("/")
    async def order():
        send_mail()
        Mailer().send()

    return app


def test_a_coroutine_that_nobody_awaits_is_dropped(instrumented, books):
    """It was handed to nobody, and will never start."""
    warned(instrumented(shop()))
    assert books.of("send_mail") == books.of("Mailer.send") == DROPPED
    assert books.balance() == (0, 0)


def test_the_warning_is_the_one_it_was(instrumented):
    """Same category, same text, same file and line: the application's, which forgot it."""
    before = warned(shop())
    assert warned(instrumented(shop())) == before
    assert {name for _, _, name, _ in before} == {__file__}
    assert len(before) == 2


def test_a_librarys_coroutine_that_the_application_forgot_is_dropped(instrumented, books):
    """The line is the application's; the name is the library's."""
    app = FastAPI()

    @app.get("/")
    async def order():
        asyncio.sleep(1)
        anyio.sleep(1)

    warned(instrumented(app))
    assert books.of("asyncio.tasks.sleep") == books.of("anyio._core._eventloop.sleep") == DROPPED


def test_what_is_declared_has_its_name(instrumented, books):
    """The name it declares, not its function's."""
    app = FastAPI()

    @afterword.task(name="mail")
    async def mail():
        pass

    @afterword.task(name="regular mail", every=60)
    async def regular():
        pass

    @app.get("/")
    async def order():
        mail()
        regular()

    warned(instrumented(app))
    assert books.of("mail") == books.of("regular mail") == DROPPED


def test_a_task_given_by_its_coroutine_is_a_mistake_told_as_that(instrumented, books):
    """``add_task(send_mail())``: the coroutine is not callable, and nobody awaits it."""
    app = FastAPI()

    @app.get("/")
    async def order(tasks: BackgroundTasks):
        tasks.add_task(send_mail())  # type: ignore[arg-type]  # the mistake under test

    instrumented(app)
    gc.collect()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        with pytest.raises(TypeError):
            asyncio.run(call(app))
        pool_threads_ended()  # until then theirs holds the exception, and with it the coroutine
        gc.collect()
    assert [str(w.message) for w in found] == ["coroutine 'send_mail' was never awaited"]
    assert books.of("send_mail", kind="background") == {"scheduled": 1, "started": 1, "failed": 1}
    assert books.of("send_mail", kind="asyncio") == DROPPED


def test_another_applications_are_none_of_ours(instrumented, books):
    """Beside the instrumented application there is one that never asked for that."""
    instrumented(FastAPI())

    async def order(_):
        send_mail()
        return Response()

    assert len(warned(Starlette(routes=[Route("/", order)]))) == 1
    assert books.of("send_mail") == {}


FILTERS = {
    "once a line": (["-W", "default"], 1),
    "always": (["-W", "always"], 3),
    "never": (["-W", "ignore"], 0),
    "an error": (["-W", "error::RuntimeWarning"], 3),
}
PROGRAM = """
    import asyncio, logging, sys, tempfile
    from fastapi import FastAPI
    from tests.helpers.asgi import call
    import afterword

    app = FastAPI()
    logging.getLogger("afterword.endings").disabled = True  # what it says is no warning of the interpreter's

    async def send_mail():
        pass

    @app.get("/")
    async def order():
        send_mail()

    if sys.argv[1] == "ours":
        afterword.instrument(app, dir=tempfile.mkdtemp())
    for _ in range(3):
        asyncio.run(call(app))
"""


@pytest.mark.parametrize("filters", FILTERS)
def test_filters_see_no_difference(tmp_path, filters):
    """Once per location is once, and an error is the error it was: the whole of stderr is the same."""
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(PROGRAM), encoding="utf-8")
    options, count = FILTERS[filters]
    said = [
        subprocess.run(
            [sys.executable, *options, str(program), who],
            capture_output=True, text=True, check=True, timeout=60, env=_environment(),
        ).stderr
        for who in ("ours", "theirs")
    ]  # fmt: skip
    ours, theirs = (_without_the_machinery(text) for text in said)
    assert ours == theirs
    assert ours.count("was never awaited") == count
    assert ours.count("program.py:15") == (count if filters != "an error" else 0)


def _environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent.parent), *sys.path])}


def _without_the_machinery(text):
    """Where a warning is an error, its traceback begins in `warnings`, and with us in ours."""
    lines = [line for line in text.splitlines() if not line.startswith("  File") and "warn(" not in line]
    return re.sub("0x[0-9a-f]+", "", "\n".join(line for line in lines if line.strip("^ ")))


def test_what_is_told_already_is_not_told_again(instrumented, books):
    """A task that was booked and never begun is dropped; the warning about its coroutine adds nothing."""
    app, kept = instrumented(FastAPI()), []

    @app.get("/")
    async def order():
        kept.append(asyncio.get_running_loop().create_task(send_mail()))

    async def main():
        await call(app)
        task = kept.pop()
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda *_: None)
        if not hasattr(loop, "_ready"):
            pytest.skip("this loop does not show what is about to run")
        for handle in list(loop._ready):
            if getattr(handle._callback, "__self__", None) is task:
                loop._ready.remove(handle)
        handle = task = None  # type: ignore[assignment]  # the only reference
        gc.collect()

    gc.collect()
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        asyncio.run(main())
        gc.collect()
    assert [str(w.message) for w in found] == ["coroutine 'send_mail' was never awaited"]
    assert books.of("send_mail") == {"scheduled": 1, "discarded": 1}
