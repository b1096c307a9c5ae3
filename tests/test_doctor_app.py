"""The doctor finds each mistake at its line, and is silent everywhere else."""

import re
import signal
import textwrap
from pathlib import Path

import pytest

from afterword.doctor.app import DoctorError, Examination, examine
from afterword.doctor.app.reference import render
from afterword.doctor.app.registry import CHECKS

HERE = Path(__file__).parent
SAMPLES = HERE / "doctor_app"
DEMO = HERE.parent
#: Those that need a whole application, or a file that breaks the others.
ELSEWHERE = {"AW100"}


def marked(folder: Path) -> set[tuple[str, int, str]]:
    """Files, lines and codes of the comments that ask for a finding."""
    return {
        (file.relative_to(folder).as_posix(), number, code)
        for file in folder.rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        for code in re.findall(r"# (AW\d+)", line)
    }


def found(examination: Examination, folder: Path) -> set[tuple[str, int, str]]:
    """The same of what was found."""
    folder = folder.resolve()
    return {(one.file.relative_to(folder).as_posix(), one.line, one.code) for one in examination.findings}


@pytest.fixture(scope="module")
def wrong() -> Examination:
    """All mistakes, in one application."""
    return examine("shop:app", folder=SAMPLES / "wrong")


@pytest.fixture(scope="module")
def right() -> Examination:
    """Their twins."""
    return examine("shop:app", folder=SAMPLES / "right")


@pytest.fixture
def write(tmp_path):
    """Writes the files of an application, and gives the folder."""

    def write(**files):
        for name, text in files.items():
            file = tmp_path / f"{name.replace('__', '/').replace('/init', '/__init__')}.py"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(textwrap.dedent(text), encoding="utf-8")
        return tmp_path

    return write


@pytest.mark.parametrize("code", sorted(set(CHECKS) - ELSEWHERE))
def test_each_mistake_is_found_at_its_lines(wrong, code):
    """Every marked line, and no other one."""
    expected = {one for one in marked(SAMPLES / "wrong") if one[2] == code}
    assert expected
    assert {one for one in found(wrong, SAMPLES / "wrong") if one[2] == code} == expected


@pytest.mark.parametrize("code", sorted(CHECKS))
def test_the_same_work_done_well_is_not_reported(right, code):
    """No twin has a finding, of its own code or of another one."""
    assert right.import_problem is None
    assert [one for one in right.findings if one.code == code] == []


def test_a_finding_says_what_is_wrong_and_what_to_do(wrong):
    """Each is one sentence without a name of a test's folder, and carries a fix."""
    assert wrong.import_problem is None
    for one in wrong.findings:
        assert one.file.is_file()
        assert one.column > 0
        assert "\n" not in one.problem
        assert str(HERE) not in one.problem
        assert one.fix.endswith(("`.", "."))


CURES = {
    "time.sleep blocks": "Await `asyncio.sleep(...)`, or make the task a plain `def`, which runs in a thread.",
    "requests.post blocks": "Await `httpx.AsyncClient`, or put it into a plain function for `asyncio.to_thread`,",
    "smtplib.SMTP blocks": "Await `aiosmtplib.send(...)`, or put it into",
    "requests.post has no timeout": "Say how long it may take, in seconds: `requests.post(..., timeout=10)`.",
    "requests.Session.put has no timeout": "Say how long it may take, in seconds: `session.put(..., timeout=10)`.",
    "smtplib.SMTP has no timeout": "Say how long it may take, in seconds: `smtplib.SMTP(..., timeout=10)`.",
    "httpx.AsyncClient.post waits": "Say how long it may take, in seconds: `client.post(..., timeout=10)`.",
    "asyncio.open_connection has": "Put a limit around it: `async with asyncio.timeout(10):`, in seconds.",
    "aw102_called.send is called": "Pass the function and its arguments apart: `tasks.add_task(function, argument)`.",
    "aw102_called.push is passed": "Spawn the coroutine that a call gives: `asyncio.create_task(push(...))`.",
    "aw102_called.send is called here, and": "Pass the function and its arguments apart: `asyncio.to_thread(function,",
    "aw116_endless.clean_up loops for ever, and": "Start it once, in the `lifespan` of the application, and let its",
    "aw114_awaited.pages is": "Hand over a function that runs the generator to its end,",
    "--timeout-graceful-shutdown gives": "Set `--timeout-graceful-shutdown` to more than 45 s,",
}


@pytest.mark.parametrize("problem", CURES)
def test_the_fix_is_the_one_that_fits_what_was_found(wrong, problem):
    """Where a check covers several libraries or mistakes, each has a cure of its own."""
    fixes = [one.fix for one in wrong.findings if one.problem.startswith(problem)]
    assert any(fix.startswith(CURES[problem]) for fix in fixes), fixes


def test_functions_are_named_with_their_module(wrong):
    """As the books name a task: also what is not the application's own."""
    unnamed = {
        one.problem
        for one in wrong.findings
        if re.search(r"AW11[0-4]|AW116|AW10[1-5]", one.code) and not re.search(r"\b[a-z]\w*\.\w+|^print ", one.problem)
    }
    assert unnamed == set()


def test_demo_has_only_what_it_stages():
    """The shop's code is ordinary and right; what a scenario does wrong on purpose says so in its line."""
    examination = examine("demo_app.shop:app", folder=DEMO)
    assert examination.import_problem is None
    assert examination.findings == []


def test_usual_times_are_compared_with_the_grace(write):
    """A task without a deadline, whose usual time the books know."""
    folder = write(shop=ENDLESSLY_PLAIN)
    (folder / "Procfile").write_text("web: uvicorn shop:app --timeout-graceful-shutdown 10\n", encoding="utf-8")
    assert examine("shop:app", folder=folder, usual={"shop.send": 9.5}).findings == []
    [finding] = examine("shop:app", folder=folder, usual={"shop.send": 12}).findings
    assert (finding.code, finding.file.name, finding.line) == ("AW109", "Procfile", 1)
    assert finding.problem == "--timeout-graceful-shutdown gives 10 s, and shop.send usually takes 12 s"


ENDLESSLY_PLAIN = """
    from fastapi import BackgroundTasks, FastAPI

    app = FastAPI()

    def send(): ...

    @app.post("/send")
    def route(tasks: BackgroundTasks):
        tasks.add_task(send)
        return {}
"""

GRACES = {
    "Dockerfile": 'FROM python\nCMD ["uvicorn", "shop:app", "--timeout-graceful-shutdown", "5"]\n# 2',
    "start.sh": "exec gunicorn shop:app \\\n  --graceful-timeout=5\n# 2",
    "shop.service": "[Service]\nExecStart=uvicorn shop:app\nTimeoutStopSec=5s\n# 3",
    "pod.yaml": "spec:\n  terminationGracePeriodSeconds: 5\n  containers:\n  - args: [uvicorn, 'shop:app']\n# 2",
    "args.yaml": "args:\n- uvicorn\n- shop:app\n- --timeout-graceful-shutdown\n- '5'\n# 4",
    "compose.yml": "services:\n  shop:\n    build: .\n    stop_grace_period: 0m5s\n# 4",
}
NO_GRACES = {
    "Dockerfile": "CMD uvicorn billing:app --timeout-graceful-shutdown 5",
    "nginx.service": "[Service]\nExecStart=nginx\nTimeoutStopSec=5",
    "endless.service": "[Service]\nExecStart=uvicorn shop:app\nTimeoutStopSec=infinity",
    "compose.yml": "services:\n  queue:\n    image: redis\n    stop_grace_period: 5s",
    "Procfile": "# web: uvicorn shop:app --timeout-graceful-shutdown 5",
}


def test_graces_are_read_where_servers_are_started(write):
    """Commands over several lines and in lists, units, pods and compose files."""
    folder = write(shop=ENDLESSLY_PLAIN)
    for name, text in GRACES.items():
        (folder / name).write_text(text, encoding="utf-8")
    findings = examine("shop:app", folder=folder, usual={"shop.send": 12}).findings
    lines = {name: int(text.rpartition("# ")[2]) for name, text in GRACES.items()}
    assert {one.file.name: one.line for one in findings} == lines


def test_graces_of_others_are_none_of_ours(write):
    """Another application, another program, no end, a comment."""
    folder = write(shop=ENDLESSLY_PLAIN)
    for name, text in NO_GRACES.items():
        (folder / name).write_text(text, encoding="utf-8")
    assert examine("shop:app", folder=folder, usual={"shop.send": 12}).findings == []


def test_a_package_with_routers_aliases_and_circular_imports(write):
    """Names are followed through relative imports, stars, aliases, methods and nested functions."""
    folder = write(
        shop__init="from .main import app",
        shop__main="""
            from fastapi import FastAPI
            from . import mails
            from .routers import orders

            app = FastAPI()
            app.include_router(orders.router)
        """,
        shop__routers__init="from .orders import router",
        shop__routers__orders="""
            from __future__ import annotations
            import asyncio as aio
            from typing import Annotated
            from fastapi import APIRouter, BackgroundTasks as BT, Depends as D
            import shop.mails
            from ..mails import *
            from ..mails import mailer, Mailer as M
            from .. import main

            router = APIRouter()
            Db = Annotated[object, D(session)]

            @router.post("/orders")
            async def order(tasks: BT, db: Db, old: "Annotated[object, D(session)]" = None):
                def inner():
                    mailer.send("x")
                tasks.add_task(mailer.send("x"))  # AW102
                tasks.add_task(shop.mails.Mailer().send, db)  # AW103
                tasks.add_task(M().later, db=db)  # AW103
                tasks.add_task(inner)
                aio.create_task(M().later("x"))  # AW110
                return {}
        """,
        shop__mails="""
            import time as clock
            import shop.routers.orders

            __all__ = ["session", "mailer"]

            def session():
                with open("x") as db:
                    yield db

            class Base:
                def send(self, what):
                    print(what)

            class Mailer(Base):
                async def later(self, db):
                    clock.sleep(1)  # AW105
                    await self._deep()

                async def _deep(self):
                    clock.sleep(1)  # AW105

            mailer = Mailer()
        """,
    )
    examination = examine("shop:app", folder=folder)
    assert found(examination, folder) == marked(folder)
    assert examination.files == 5


def test_src_layout_and_methods_as_routes(write):
    """The module lies below src; the routes are methods, added by hand."""
    folder = write(
        src__shop="""
            from fastapi import BackgroundTasks, FastAPI

            def retried(function):
                return function

            class Views:
                @retried
                def _send(self, email): ...

                def register(self, email: str, tasks: BackgroundTasks):
                    if not email:
                        return {"error": "no email"}  # AW101
                    tasks.add_task(self._send, email)
                    return {}

            app = FastAPI()
            views = Views()
            for verb in ("register",):
                app.add_api_route(f"/{verb}", getattr(views, verb), methods=["POST"])
        """,
    )
    assert found(examine("shop:app", folder=folder), folder) == marked(folder)


def test_comments_silence(write):
    """With the code, with several, without any; another code does not."""
    folder = write(
        shop="""
            import asyncio
            from fastapi import FastAPI

            app = FastAPI()

            async def track(): ...

            @app.get("/")
            async def route():
                asyncio.create_task(track())  # afterword: ignore[AW110]
                asyncio.create_task(track())  # afterword: ignore[AW101, aw110] - it is short
                asyncio.create_task(track())  # afterword: ignore
                asyncio.create_task(  # afterword: ignore[AW110]
                    track(),
                )
                asyncio.create_task(track())  # AW110 afterword: ignore[AW105]
        """
    )
    assert found(examine("shop:app", folder=folder), folder) == marked(folder)


FAILING = {
    "raise ValueError('no key')": "shop cannot be imported: ValueError: no key (shop.py, line 13)",
    "import not_there_at_all": "shop cannot be imported: ModuleNotFoundError: No module named 'not_there_at_all' "
    "(shop.py, line 13)",
    "import sys; sys.exit(3)": "shop cannot be imported: it ends its process with sys.exit(3) (shop.py, line 13)",
    "import os; os._exit(4)": "shop cannot be imported: its process ended with exit status 4",
    "import os; os.kill(os.getpid(), 9)": f"shop cannot be imported: its process was ended by {signal.SIGKILL.name}",
    "import broken": "shop cannot be imported: SyntaxError: '(' was never closed (broken.py, line 1)",
}


@pytest.mark.parametrize("statement", FAILING)
def test_an_import_that_fails_still_shows_what_the_source_shows(write, statement):
    """The reason in one sentence, beside the findings."""
    folder = write(shop=f"{textwrap.dedent(ENDLESSLY_PLAIN)}\n{statement}\nBackgroundTasks().add_task(print('x'))\n")
    (folder / "broken.py").write_text("print(\n", encoding="utf-8")
    examination = examine("shop:app", folder=folder)
    assert examination.import_problem is not None
    assert examination.import_problem == FAILING[statement]
    expected = {"AW102"} | ({"AW100"} if "broken" in statement else set())
    assert {one.code for one in examination.findings} == expected


def test_an_import_that_hangs_is_ended(write):
    """It is given its time, and no more."""
    folder = write(shop=f"{textwrap.dedent(ENDLESSLY_PLAIN)}\nimport time\ntime.sleep(600)\n")
    examination = examine("shop:app", folder=folder, patience=1)
    assert examination.import_problem == "shop cannot be imported: it was not done after 1 seconds"


FORM = "allowed: MODULE:ATTRIBUTE, for instance shop:app"
ALLOWED = "allowed: a FastAPI or Starlette application, or a function without arguments that makes one"


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("shop", f"'shop' does not name an application; {FORM}"),
        ("", f"'' does not name an application; {FORM}"),
        ("shop.py:app", "there is no module 'shop.py'"),
        ("shop:", f"'shop:' does not name an application; {FORM}"),
        ("../shop:app", f"'../shop:app' does not name an application; {FORM}"),
        ("shop/:app", f"'shop/:app' does not name an application; {FORM}"),
        ("shopp:app", "there is no module 'shopp'"),
        ("shop:ap", f"shop:ap does not exist: the module has no 'ap', but app; {ALLOWED}"),
        ("shop:send", f"shop:send is a function that gives NoneType; {ALLOWED}"),
        ("shop:route", f"shop:route is a function that needs arguments; {ALLOWED}"),
        ("shop:FastAPI", f"shop:FastAPI is a class; {ALLOWED}"),
        ("shop:__name__", f"shop:__name__ is a str; {ALLOWED}"),
    ],
)
def test_what_is_no_application_is_told_in_one_sentence(write, target, sentence):
    """What is wrong, and what is allowed."""
    folder = write(shop=ENDLESSLY_PLAIN)
    with pytest.raises(DoctorError) as error:
        examine(target, folder=folder)
    assert str(error.value).startswith(sentence)
    assert "allowed: " in str(error.value)


@pytest.mark.parametrize(
    ("target", "meant"),
    [
        ("shop.py:app", "shop:app"),
        ("./shop.py:app", "shop:app"),
        ("src/shop:app", "src.shop:app"),
        ("src/shop.py:create_app", "src.shop:create_app"),
        ("src\\shop.py:app", "src.shop:app"),
        ("none.py:app", ""),
        ("../shop:app", ""),
    ],
)
def test_a_path_instead_of_a_module_is_understood(write, target, meant):
    """What is meant is named if there is such a file."""
    folder = write(shop=ENDLESSLY_PLAIN, src__shop=ENDLESSLY_PLAIN)
    with pytest.raises(DoctorError) as error:
        examine(target, folder=folder)
    assert str(error.value).partition("; did you mean ")[2] == (f"{meant}?" if meant else "")


def test_a_folder_that_does_not_exist(tmp_path):
    """Told before anything is looked for."""
    with pytest.raises(DoctorError, match="is not a folder; allowed: "):
        examine("shop:app", folder=tmp_path / "nowhere")


@pytest.mark.parametrize("attribute", ["create_app", "wrapped", "raw", "things.app"])
def test_factories_and_wrapped_applications(write, attribute):
    """A function that makes one, ASGI middleware around one, plain ASGI, an attribute of an object."""
    folder = write(
        shop="""
            from starlette.middleware.gzip import GZipMiddleware
            from starlette.middleware.base import BaseHTTPMiddleware
            from fastapi import BackgroundTasks, FastAPI

            def send(): ...

            def create_app(debug: bool = False) -> FastAPI:
                app = FastAPI()
                app.add_middleware(BaseHTTPMiddleware)  # AW107

                @app.post("/send")
                def route(tasks: BackgroundTasks, email: str = ""):
                    if not email:
                        return {"error": "no email"}  # AW101
                    tasks.add_task(send)
                    return {}

                return app

            wrapped = GZipMiddleware(create_app())

            async def raw(scope, receive, send):
                await wrapped(scope, receive, send)

            class things:
                app = wrapped
        """
    )
    examination = examine(f"shop:{attribute}", folder=folder)
    assert examination.import_problem is None
    assert found(examination, folder) == marked(folder)


def test_middleware_that_only_the_import_shows(write):
    """An installed package's class, found through a list."""
    folder = write(
        shop="""
            from fastapi import BackgroundTasks, FastAPI
            from starlette.middleware.base import BaseHTTPMiddleware

            def make():
                return type("Made", (BaseHTTPMiddleware,), {})

            app = FastAPI()  # AW107
            getattr(app, "add_" + "middleware")(make())

            def send(): ...

            @app.post("/send")
            def route(tasks: BackgroundTasks):
                tasks.add_task(send)
        """
    )
    assert found(examine("shop:app", folder=folder), folder) == marked(folder)


def test_routes_that_only_the_import_shows(write):
    """In an included router and a mounted application, without a decorator."""
    folder = write(
        shop="""
            from fastapi import APIRouter, BackgroundTasks, FastAPI, WebSocket

            def send(email): ...

            def register(email: str, tasks: BackgroundTasks):
                if not email:
                    return {"error": "no email"}  # AW101
                tasks.add_task(send, email)
                return {}

            async def chat(socket: WebSocket, tasks: BackgroundTasks):
                tasks.add_task(send, "x")  # AW117

            mounted, router, app = FastAPI(), APIRouter(), FastAPI()
            getattr(mounted, "post")("/register")(register)
            getattr(router, "websocket")("/chat")(chat)
            app.include_router(router, prefix="/inner")
            app.mount("/mounted", mounted)
        """
    )
    assert found(examine("shop:app", folder=folder), folder) == marked(folder)


def test_a_decorator_that_counts_runs_and_forgets_to_await(write):
    """What is often written to watch tasks, around one that is async."""
    folder = write(
        shop="""
            import functools
            from fastapi import BackgroundTasks, FastAPI

            app = FastAPI()

            def counted(name):
                def decorator(function):
                    @functools.wraps(function)
                    def wrapper(*args, **kwargs):
                        try:
                            return function(*args, **kwargs)
                        except Exception:
                            print(name)
                            raise
                    return wrapper
                return decorator

            @counted("push")  # AW114
            async def push(x): ...

            @counted("send")
            def send(x): ...

            @app.post("/push")
            async def route(tasks: BackgroundTasks):
                tasks.add_task(push, 1)
                tasks.add_task(send, 1)
        """
    )
    assert found(examine("shop:app", folder=folder), folder) == marked(folder)


def test_modules_that_only_the_import_shows(write):
    """Loaded by name; and the one that is not loaded is not looked at."""
    text = "import asyncio\nasync def f(): ...\nasync def g():\n    asyncio.create_task(f())"
    folder = write(
        shop="""
            import importlib
            from fastapi import FastAPI

            app = FastAPI()
            importlib.import_module("plug" + "ins.one")
        """,
        plugins__one=f"{text}  # AW110\n",
        plugins__two=f"{text}\n",
    )
    examination = examine("shop:app", folder=folder)
    assert found(examination, folder) == marked(folder)
    assert examination.files == 2


def test_a_large_file_is_read(write):
    """Three thousand functions, deep expressions, and one mistake at the end."""
    many = "".join(f"def f{number}(x):\n    return x + {number}\n" for number in range(3000))
    deep = "total = " + " + ".join(["1"] * 3000)
    folder = write(
        shop=f"{textwrap.dedent(ENDLESSLY_PLAIN)}\nimport big\n",
        big=f"{many}\nimport asyncio\nasync def f(): ...\nasync def g():\n    asyncio.create_task(f())  # AW110\n",
        deep=f"{deep}\n",
    )
    with (folder / "shop.py").open("a", encoding="utf-8") as file:
        file.write("if False:\n    import deep\n")
    findings = examine("shop:app", folder=folder).findings
    assert ("big.py", 6005, "AW110") in {(one.file.name, one.line, one.code) for one in findings}
    assert {one.code for one in findings} == {"AW110"}


def test_what_an_application_prints_and_starts_is_not_seen(write, capfd, tmp_path):
    """Its output goes nowhere, its threads are not waited for, and afterword is off in it."""
    folder = write(
        shop=f"""{textwrap.dedent(ENDLESSLY_PLAIN)}
import os, threading, time
from pathlib import Path
print("loud")
Path("seen").write_text(os.environ["AFTERWORD_DISABLED"])
threading.Thread(target=time.sleep, args=(600,)).start()
"""
    )
    assert examine("shop:app", folder=folder).findings == []
    assert capfd.readouterr() == ("", "")
    assert (tmp_path / "seen").read_text(encoding="utf-8") == "1"
    assert not list(tmp_path.rglob("__pycache__"))


def test_the_reference_is_current():
    """Made from the list of checks, each of which says everything."""
    assert (HERE.parent / "docs" / "doctor-app.md").read_text(encoding="utf-8") == render()
    for one in CHECKS.values():
        assert one.finds
        assert one.why.endswith(".")
        assert one.fix.endswith(("`.", "."))
