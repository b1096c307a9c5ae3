"""The pytest plugin: a test that passes while its tasks end badly is made to fail, and says why."""

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.framework
pytest_plugins = ["pytester"]

SHOP = """
import os
from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

def send_mail():
    raise ConnectionRefusedError

def update_inventory():
    pass

@app.get("/order")
def order(tasks: BackgroundTasks):
    tasks.add_task(update_inventory)

@app.get("/register")
def register(tasks: BackgroundTasks):
    tasks.add_task(send_mail)
    tasks.add_task(update_inventory)

if "INSTRUMENTED" in os.environ:
    import afterword
    afterword.instrument(app)
"""

CLIENT = """
import pytest
from fastapi.testclient import TestClient
import shop

@pytest.fixture
def client():
    with TestClient(shop.app, raise_server_exceptions=False) as client:
        yield client

def pytest_unconfigure():
    print("hooked:", hasattr(shop.FastAPI.__mro__[1].__call__, "__wrapped__"))
"""

TOLD = [
    "2 of 2 runs did not end well:",
    "  shop.send_mail: 1 failed (ConnectionRefusedError)",
    "  shop.update_inventory: 1 dropped (sibling_failed: an earlier task of the same response raised)",
    "0 runs ended well.",
]


@pytest.fixture
def run(pytester):
    """``run(test, *options)``: a pytest of its own over the shop; ``test`` is the file's text."""

    def run(test, *options, ini="", **env):
        pytester.makepyfile(shop=SHOP, conftest=CLIENT, test_shop=test)
        pytester.makeini(f"[pytest]\n{ini}")
        for name, value in env.items():
            pytester._monkeypatch.setenv(name, value)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *options, timeout=60)

    return run


def after(result, line):
    """The lines of the output behind the first one that ends with ``line``."""
    index = next(n for n, text in enumerate(result.outlines) if text.strip(" _") == line)
    return result.outlines[index + 1 :]


FIXTURE = """
import shop

def test_well(client, afterword_books):
    assert client.get("/order").status_code == 200
    afterword_books.assert_all_ended_well()
    afterword_books.assert_scheduled(shop.update_inventory, times=1)

def test_badly(client, afterword_books):
    assert client.get("/register").status_code == 200
    afterword_books.assert_all_ended_well()

def test_excepted(client, afterword_books):
    client.get("/register")
    afterword_books.assert_all_ended_well(except_for=["send_mail", shop.update_inventory])

def test_fails_by_itself(client, afterword_books):
    client.get("/register")
    assert afterword_books.tasks["send_mail"].succeeded

def test_without(client):
    assert client.get("/register").status_code == 200

def test_asked_for_late(client, request):
    client.get("/order")
    books = request.getfixturevalue("afterword_books")
    client.get("/register")
    books.assert_scheduled("update_inventory", times=1)
"""


@pytest.mark.parametrize("env", [{"INSTRUMENTED": "1"}, {"AFTERWORD_DISABLED": "1", "INSTRUMENTED": "1"}], ids=str)
def test_the_fixture(run, env, directory):
    """The one line; an application that instruments itself makes no difference, nor does one that is switched off."""
    result = run(FIXTURE, AFTERWORD_DIR=str(directory), **env)
    result.assert_outcomes(passed=4, failed=2)
    told = after(result, "test_badly")
    at = told.index("    def test_badly(client, afterword_books):")
    assert told[at : at + 8] == [
        "    def test_badly(client, afterword_books):",
        '        assert client.get("/register").status_code == 200',
        ">       afterword_books.assert_all_ended_well()",
        f"E       AssertionError: {TOLD[0]}",
        f"E         {TOLD[1].strip()}",
        f"E         {TOLD[2].strip()}",
        f"E       {TOLD[3]}",
        "",
    ]
    assert "Captured afterword" not in "\n".join(told[: at + 12])
    failing = after(result, "test_fails_by_itself")
    at = next(n for n, line in enumerate(failing) if "Captured afterword call" in line)
    assert failing[at + 1 : at + 5] == TOLD


STRICT = """
import pytest
import shop

def test_well(client):
    client.get("/order")

def test_badly(client):
    assert client.get("/register").status_code == 200

@pytest.mark.afterword(except_for=["send_mail", shop.update_inventory])
def test_excepted(client):
    client.get("/register")

@pytest.mark.afterword(strict=False)
def test_left_alone(client):
    client.get("/register")

def test_excepted_in_the_test(client, afterword_books):
    client.get("/register")
    afterword_books.assert_all_ended_well(except_for=["send_mail", "update_inventory"])

@pytest.mark.xfail(strict=True)
def test_expected_to_fail(client):
    client.get("/register")

@pytest.mark.skip
def test_skipped(client):
    client.get("/register")

def test_skips_itself(client):
    client.get("/register")
    pytest.skip("for a reason")

def test_fails_by_itself(client):
    client.get("/register")
    raise LookupError
"""


@pytest.mark.parametrize("env", [{}, {"INSTRUMENTED": "1"}], ids=str)
def test_strict_checks_every_test(run, env, directory):
    """A failure of the test itself, not an error behind it, with nothing of ours around the message."""
    result = run(STRICT, ini="afterword = strict", AFTERWORD_DIR=str(directory), **env)
    result.assert_outcomes(passed=4, failed=2, skipped=2, xfailed=1)
    told = after(result, "test_badly")
    assert told[:4] == TOLD
    assert "Captured log call" in told[4]
    result.stdout.fnmatch_lines(["*Captured afterword call*", *TOLD])
    result.stdout.fnmatch_lines([f"hooked: {bool(env)}"])


def test_the_marker_checks_one_test(run):
    """Without the ini option only tests that carry it; what it cannot be given is told."""
    test = """
        import pytest

        @pytest.mark.afterword
        def test_badly(client):
            client.get("/register")

        @pytest.mark.afterword(timeout=0.05)
        class TestShop:
            def test_badly(self, client):
                client.get("/register")

        @pytest.mark.afterword(except_fro=["send_mail"])
        def test_mistaken(client):
            client.get("/order")

        def test_without(client):
            from starlette.applications import Starlette

            assert not hasattr(Starlette.__call__, "__wrapped__"), "a hook is left"
            client.get("/register")
    """
    result = run(test, "--strict-markers", "--strict-config")
    result.assert_outcomes(passed=1, failed=2, errors=1)
    result.stdout.fnmatch_lines(
        ["@pytest.mark.afterword got an unexpected keyword argument 'except_fro'*"]
    )  # 3.13 adds what was meant


@pytest.mark.parametrize(
    ("ini", "sentence"),
    [
        ("afterword = on", "afterword is 'on'; allowed: off, strict"),
        ("afterword_timeout = soon", "afterword_timeout is 'soon'; allowed: seconds"),
    ],
)
def test_an_ini_option_that_cannot_be_meant_is_told(run, ini, sentence):
    """Before any test runs."""
    result = run("def test_nothing(): pass", ini=ini)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {sentence}"])


def test_strict_sees_through_clients_and_runs_that_outlive_a_test(run):
    """Every test answers for what it scheduled, whichever comes first; a late failure falls into a later test."""
    test = """
        import threading
        import time
        import pytest
        import shop
        from fastapi.testclient import TestClient

        go = threading.Event()

        def until(condition):
            end = time.monotonic() + 10
            while not condition():
                assert time.monotonic() < end

        @pytest.fixture(scope="session")
        def client():
            with TestClient(shop.app, raise_server_exceptions=False) as client:
                yield client

        @pytest.mark.parametrize("path", ["register", "order", "register", "order"])
        def test_visit(client, path, afterword_books):
            client.get("/" + path)
            afterword_books.assert_scheduled(shop.update_inventory, times=1)

        @pytest.mark.afterword(timeout=0.01)
        def test_that_leaves_a_run_open(client, monkeypatch, afterword_books):
            def late():
                go.wait(20)
                raise LookupError

            monkeypatch.setattr(shop, "update_inventory", late)
            threading.Thread(target=client.get, args=("/order",)).start()
            until(lambda: afterword_books.tasks)

        def test_into_which_it_fails(afterword_books):
            go.set()
            until(lambda: any(runs.failed for runs in afterword_books.tasks.values()))
    """
    result = run(test, ini="afterword = strict")
    result.assert_outcomes(passed=2, failed=4)
    result.stdout.fnmatch_lines(["  *late: 1 still * after 0.01 s"])
    result.stdout.fnmatch_lines(["  *late: 1 failed (LookupError); one was open before the test began"])


ASYNC = """
import asyncio
import threading

import httpx
import pytest
import shop

MARK

@pytest.fixture
def client():
    transport = httpx.ASGITransport(shop.app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://shop")

async def test_well(client, afterword_books):
    async with client:
        await client.get("/order")
    afterword_books.assert_all_ended_well()
    afterword_books.assert_scheduled("update_inventory")

async def test_badly(client, afterword_books):
    async with client:
        await client.get("/register")
    afterword_books.assert_all_ended_well()

@pytest.mark.afterword
async def test_marked(client):
    async with client:
        await client.get("/register")

async def test_a_call_that_is_not_awaited_yet(client, afterword_books):
    go = asyncio.Event()
    shop.update_inventory, plain = go.wait, shop.update_inventory
    call = asyncio.ensure_future(client.get("/order"))
    while not afterword_books.tasks:
        await asyncio.sleep(0)
    shop.update_inventory = plain
    try:
        with pytest.raises(AssertionError, match="put `await books.until_all_ended..` before the assertion"):
            afterword_books.assert_all_ended_well(timeout=0.01)
        asyncio.get_running_loop().call_later(0.05, go.set)
        await afterword_books.until_all_ended()
        afterword_books.assert_all_ended_well(timeout=0)
    finally:
        await call
"""


@pytest.mark.parametrize(
    ("plugin", "mark"),
    [
        (
            "anyio",
            "pytestmark = pytest.mark.anyio\n\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'",
        ),
        ("pytest_asyncio", "pytestmark = pytest.mark.asyncio"),
    ],
)
def test_async_tests(run, plugin, mark):
    """With the plugins people use, over httpx.ASGITransport."""
    pytest.importorskip(plugin)
    result = run(ASYNC.replace("MARK", mark))
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(["E  *AssertionError: 2 of 2 runs did not end well:", "*", TOLD[0]])


def test_several_workers(run):
    """Under pytest-xdist every worker keeps books of its own."""
    pytest.importorskip("xdist")
    run(STRICT, "-n2", ini="afterword = strict").assert_outcomes(passed=4, failed=2, skipped=2, xfailed=1)


def test_unused_it_imports_no_framework_and_touches_nothing(pytester):
    """A suite that has nothing to do with FastAPI pays for one small import at its start."""
    pytester.makepyfile("""
        import sys

        def test_nothing_is_there():
            assert "afterword.testing.plugin" in sys.modules
            ours = {"afterword.books", "afterword.hooks.process", "afterword.hooks.asgi"}
            assert not {"fastapi", "starlette", "prometheus_client", *ours} & set(sys.modules)
    """)
    pytester.runpytest_subprocess("-p", "no:anyio", timeout=60).assert_outcomes(passed=1)


NO_LOCKS = """
import sys
sys.modules["fcntl"] = None
"""


@pytest.mark.parametrize("ini", ["", "afterword = strict"])
def test_where_no_books_can_be_kept(run, pytester, ini):
    """Whoever asks for the books is skipped, with the reason; others run, and strict mode says what it did not do."""
    pytester.makepyfile(no_locks=NO_LOCKS)
    result = run(FIXTURE, "-p", "no_locks", "-rs", ini=ini, PYTHONPATH=str(pytester.path))
    result.assert_outcomes(passed=1, skipped=5)
    result.stdout.fnmatch_lines(["SKIPPED * afterword keeps no books here: *fcntl*"])
    unchecked = "afterword = strict: tasks were not checked. afterword keeps no books here: "
    assert any(line.startswith(unchecked) for line in result.outlines) == bool(ini)


DOCUMENTED = """
from fastapi import BackgroundTasks, FastAPI

app = FastAPI()

def store_address(): pass

def send_welcome_email(): raise ConnectionRefusedError

def update_crm(): pass

@app.post("/register")
def register(tasks: BackgroundTasks):
    tasks.add_task(store_address)
    tasks.add_task(send_welcome_email)
    tasks.add_task(update_crm)

@app.post("/order")
def order(tasks: BackgroundTasks):
    tasks.add_task(store_address)
"""


def test_the_page_about_it_is_true(pytester):
    """Its code runs as it stands, its ini file is read, and its message is what is said."""
    page = (Path(__file__).parents[1] / "docs" / "testing.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(\w+)\n(.*?)```", page, re.DOTALL)
    code = [text for language, text in blocks if language == "python"]
    (ini,) = (text for language, text in blocks if language == "ini")
    (told,) = (text for language, text in blocks if language == "text")
    backend = "@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
    pytester.makepyfile(
        shop=DOCUMENTED, conftest=CLIENT + backend, **{f"test_{n}": text for n, text in enumerate(code)}
    )
    pytester.makeini(ini)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-rA", timeout=60)
    assert result.parseoutcomes()["failed"] == 1
    assert result.parseoutcomes()["passed"] == "".join(code).count("def test_") - 1
    assert told in "\n".join(result.outlines)
