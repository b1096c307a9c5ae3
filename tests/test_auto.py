"""`afterword run -- COMMAND`: the books of an application that does not mention afterword."""

import importlib.util
import json
import os
import sys
import venv
from pathlib import Path

import pytest

from afterword.auto import await_starlette, launch
from afterword.settings import SETTINGS
from tests.helpers import Books, free_port, until
from tests.helpers.processes import request

pytestmark = pytest.mark.framework

APP = """
import asyncio, contextlib, os
from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import JSONResponse
from starlette.background import BackgroundTask

async def forever():
    await asyncio.Event().wait()

@contextlib.asynccontextmanager
async def lifespan(_):
    worker = asyncio.create_task(forever())
    yield
    worker.cancel()

app, sub = FastAPI(title="shop", lifespan=lifespan), FastAPI(title="sub")
app.mount("/sub", sub)

async def mail(): pass
def audit(): pass
async def boom(): raise LookupError("gone")
async def behind(): pass

@app.get("/order")
@sub.get("/order")
async def order(tasks: BackgroundTasks):
    for task in (mail, audit, boom, behind):
        tasks.add_task(task)

@app.get("/response")
async def response():
    return JSONResponse(os.getpid(), background=BackgroundTask(mail))

@app.get("/forget")
async def forget():
    asyncio.create_task(mail())

how = os.environ.get("BY_HAND")
if how:
    import afterword
    exec(how)
"""
VISITS = ("/order", "/sub/order", "/response")
#: What one visit to each leaves in the books.
STORIES = {
    "mail": {"scheduled": 3, "started": 3, "succeeded": 3},
    "audit": {"scheduled": 2, "started": 2, "succeeded": 2},
    "boom": {"scheduled": 2, "started": 2, "failed": 2},
    "behind": {"scheduled": 2, "sibling_failed": 2},
}
RUN = ("-m", "afterword", "run", "--")


@pytest.fixture
def folder(children):
    """The working directory, with the shop in it."""
    (children.folder / "shop.py").write_text(APP)
    return children.folder


@pytest.fixture
def env(directory, folder):  # noqa: ARG001 - the shop is there
    """What a server runs with."""
    return {"AFTERWORD_DIR": str(directory), "PYTHONPATH": os.pathsep.join(sys.path)}


def python(children, code, **env):
    """One program below `afterword run`, to its end."""
    child = children.python(*RUN, sys.executable, "-c", code, **env)
    child.wait()
    return child


def serve(children, port, *command, **env):
    """Start a server and wait until it answers."""
    child = children.python(*command, **env)
    children.answering(child, port)
    return child


def visit(port):
    """One request to each endpoint; the tasks may fail, the answers do not."""
    for path in VISITS:
        assert request(port, path) == 200


def stories(books, **labels):
    """The story of every task of the shop."""
    return {task: books.of(task, **labels) for task in STORIES}


def books_without_times(directory):
    """Every sample of a scrape that two runs of the same story have in common."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for sample in Books(directory).samples()
        if not sample.name.endswith(("_created", "_sum", "_bucket", "_seconds", "_info"))
    }


def test_the_books_are_those_of_an_application_that_instruments_itself(children, env, directory):
    """With `afterword run` and with the one line, every series and every number is the same."""
    pages = []
    for name, before, how in (("auto", RUN, ""), ("hand", (), "afterword.instrument(app)")):
        (directory / name).mkdir(mode=0o700)
        port = free_port()
        server = (*before, sys.executable, "-m", "uvicorn") if before else ("-m", "uvicorn")
        own = {**env, "AFTERWORD_DIR": str(directory / name), "BY_HAND": how}
        child = serve(children, port, *server, "shop:app", "--port", str(port), **own)
        visit(port)
        assert request(port, "/forget") == 200
        child.stop()
        pages.append(books_without_times(directory / name))
    assert pages[0] == pages[1]
    assert len(pages[0]) > 20


def command(server, port):
    """What is typed behind `afterword run --`."""
    bind = f"127.0.0.1:{port}"
    python = (sys.executable, "-m")
    return {
        "uvicorn": (*python, "uvicorn", "shop:app", "--port", str(port)),
        "uvicorn --workers 2": (*python, "uvicorn", "shop:app", "--port", str(port), "--workers", "2"),
        "gunicorn": (*python, "gunicorn", "shop:app", "-k", "uvicorn_worker.UvicornWorker", "-w", "2",
                     "--no-control-socket", "-b", bind),
        "gunicorn --preload": (*python, "gunicorn", "shop:app", "-k", "uvicorn_worker.UvicornWorker", "-w", "2",
                               "--preload", "--no-control-socket", "-b", bind),
        "hypercorn": (*python, "hypercorn", "shop:app", "-b", bind),
        "hypercorn -w 2": (*python, "hypercorn", "shop:app", "-b", bind, "-w", "2"),
        "fastapi run": (*python, "fastapi", "run", "shop.py", "--host", "127.0.0.1", "--port", str(port)),
    }[server]  # fmt: skip


SERVERS = {
    "uvicorn": ("uvicorn", 1),
    "uvicorn --workers 2": ("uvicorn", 2),
    "gunicorn": ("gunicorn", 2),
    "gunicorn --preload": ("gunicorn", 2),
    "hypercorn": ("hypercorn", 1),
    "hypercorn -w 2": ("hypercorn", 2),
    "fastapi run": ("fastapi_cli", 1),
}


@pytest.mark.parametrize("server", SERVERS)
def test_every_worker_of_every_server_keeps_books_from_its_start(children, env, books, server):
    """Threads, forks and spawns: the ledger is there before the first request, and the exit is clean."""
    package, workers = SERVERS[server]
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed; it is none of the development tools")
    port = free_port()
    child = serve(children, port, *RUN, *command(server, port), **env)
    until(lambda: books.scrape("afterword_processes", service="shop") == workers)
    visit(port)
    until(lambda: stories(books, service="shop") == STORIES)
    child.stop()
    until(lambda: books.by("afterword_process_exits_total", "cause") == {"clean": workers})
    assert stories(books) == STORIES


def test_a_reloaded_server_goes_on_keeping_books(children, folder, env, books):
    """`--reload` starts its worker anew when a file changes; the new one is accounted for like the first."""
    port = free_port()
    reload = ("--reload", "--reload-dir", str(folder))
    child = serve(children, port, *RUN, *command("uvicorn", port), *reload, **env)
    visit(port)
    until(lambda: stories(books) == STORIES)
    (folder / "shop.py").write_text(APP + "\n")
    until(lambda: books.scrape("afterword_process_exits_total") == 1 and books.scrape("afterword_processes") == 1, 30)
    children.answering(child, port)
    visit(port)
    until(lambda: books.of("mail") == {"scheduled": 6, "started": 6, "succeeded": 6})
    child.stop()


@pytest.mark.parametrize(
    ("how", "service"),
    [
        ("afterword.instrument(app, service='own')", "own"),
        ("afterword.instrument(app, disabled=True)", None),
        ("afterword.instrument(app); afterword.uninstrument(app)", None),
        ("afterword.uninstrument(app)", None),
    ],
)
def test_what_the_application_says_itself_wins(children, env, books, directory, how, service):
    """Its own keywords are used, and what it does not want instrumented stays so, with all that is mounted in it."""
    port = free_port()
    child = serve(children, port, *RUN, *command("uvicorn", port), BY_HAND=how, **env)
    visit(port)
    if service is not None:
        until(lambda: stories(books, service=service) == STORIES)
    child.stop()
    assert stories(books) == (STORIES if service else {task: {} for task in STORIES})
    assert list(directory.iterdir()) or service is None


CALLED = """
import asyncio, sys
import starlette.applications as a, shop

async def receive(): return {"type": "http.request"}
async def send(message): pass

scope = {"type": "http", "method": "GET", "path": "/response", "headers": [], "query_string": b""}
asyncio.run(shop.app(scope, receive, send))
print(a.Starlette.__call__.__code__.co_filename == a.__file__, "afterword" in sys.modules)
"""


@pytest.mark.parametrize(("word", "told"), [("1", "True False"), (" Yes ", "True False"), ("0", "False True")])
def test_disabled_leaves_everything_alone(children, env, directory, word, told):
    """Not even Starlette's own method is touched, nor anything of ours imported."""
    child = python(children, CALLED, AFTERWORD_DISABLED=word, **env)
    assert child.output == f"{told}\n"
    assert len(list(directory.iterdir())) == (word == "0")


def test_the_words_that_disable_are_those_of_the_setting():
    """They are spelled a second time where the settings are too dear to import."""
    (disabled,) = (setting for setting in SETTINGS if setting.name == "disabled")

    def disables(word):
        try:
            return disabled.read(word)
        except KeyError:  # no word of the setting's
            return False

    words = ("1", "true", "yes", "on", "0", "false", "no", "off", "y", "t", "2", "")
    assert [word for word in words if disables(word)] == list(await_starlette._YES)


def test_disabled_in_the_settings_file_counts_too(children, folder, env, directory):
    """It is read with the other settings, in the first call."""
    (folder / "afterword.toml").write_text("disabled = true\n")
    port = free_port()
    child = serve(children, port, *RUN, *command("uvicorn", port), **env)
    visit(port)
    child.stop()
    assert list(directory.iterdir()) == []


# -- programs


def test_a_program_without_starlette_is_not_affected(children, directory):
    """Nothing of ours is imported, nor anything dear; its path, its arguments and its files are what they were."""
    code = (
        "import sys, json; names = sorted(sys.modules); import site;"
        "print(json.dumps([names, sys.path, sys.argv, sys.flags.dev_mode]))"
    )
    env = {"AFTERWORD_DIR": str(directory / "made"), "PYTHONPATH": str(children.folder)}
    bare = children.python("-c", code, **env)
    bare.wait()
    below = python(children, code, **env)
    (names, *rest), (more, *same) = json.loads(bare.output), json.loads(below.output)
    assert same == rest
    added = {name for name in set(more) - set(names) if name.partition(".")[0] != "importlib"}
    # What importlib and the search for another sitecustomize import; Debian's Python has one of its own.
    assert added - {"warnings", "contextlib"} <= {"sitecustomize"}
    assert "sitecustomize" in more
    assert not (directory / "made").exists()


def test_starlette_is_loaded_as_always(children, env):
    """Its loader is its own again, and it is hooked before anybody else sees it."""
    code = (
        "import starlette.applications as a; print(type(a.__loader__).__name__, a.__spec__.loader is a.__loader__,"
        "a.Starlette.__call__.__code__.co_name, a.Starlette.__call__.__wrapped__.__code__.co_filename == a.__file__)"
    )
    assert python(children, code, **env).output == "SourceFileLoader True adopting True\n"


def test_the_command_takes_the_place_of_afterword(children):
    """Same pid, its own exit status, SIGPIPE as the shell has it, and the rest of PYTHONPATH, empty entries too."""
    code = "import os, sys; print(os.getpid(), os.environ['PYTHONPATH']); sys.exit(7)"
    shell = f'grep SigIgn /proc/self/status; exec "{sys.executable}" -c "{code}"'
    child = children.python(*RUN, "sh", "-c", shell, PYTHONPATH="/a::/b")
    bare = children.start("sh", "-c", shell, PYTHONPATH="/a::/b")
    assert child.wait() == bare.wait() == 7
    assert child.output.splitlines() == [
        bare.output.splitlines()[0],
        f"{child.pid} {launch.SITE}:/a::/b",
    ]


@pytest.mark.parametrize("given", ["", None, "/a", f"/a{os.pathsep}{launch.SITE}", launch.SITE])
def test_our_directory_is_on_the_path_once_and_first(given):
    """Also below another `afterword run`."""
    made = launch.environment({"X": "y"} if given is None else {"X": "y", "PYTHONPATH": given})
    rest = [entry for entry in (given or "").split(os.pathsep) if entry and entry != launch.SITE]
    assert made == {"X": "y", "PYTHONPATH": os.pathsep.join([launch.SITE, *rest])}


def mine(folder, line):
    """A sitecustomize of the user's, which does something in the command and not in `afterword` itself."""
    (folder / "sitecustomize.py").write_text(f"import sys\nif '-c' in sys.orig_argv[:2]:\n    {line}\n")


def test_the_users_own_sitecustomize_runs_as_always(children):
    """It is the one that is found afterwards, and its directory stays where it was."""
    mine(children.folder, "print('mine', __name__, __spec__.origin)")
    code = "import sys, sitecustomize; print(sitecustomize.__file__, sys.path[1])"
    bare = children.python("-c", code, PYTHONPATH=str(children.folder))
    bare.wait()
    assert bare.output.startswith("mine sitecustomize")
    assert python(children, code, PYTHONPATH=str(children.folder)).output == bare.output


def test_a_sitecustomize_that_raises_is_told_as_always(children):
    """Python's own two lines about it, and the program goes on."""
    mine(children.folder, "import nothing_like_that")
    bare = children.python("-c", "print('on')", PYTHONPATH=str(children.folder))
    bare.wait()
    assert "ModuleNotFoundError" in bare.output
    assert python(children, "print('on')", PYTHONPATH=str(children.folder)).output == bare.output


def test_one_that_puts_itself_first_does_not_push_us_out_of_child_processes(children):
    """As OpenTelemetry's does: the child runs ours again, which hands on to it again."""
    (children.folder / "sitecustomize.py").write_text(
        "import os\n"
        "here = os.path.dirname(__file__)\n"
        "path = os.environ['PYTHONPATH'].split(':')\n"
        "path.remove(here)\n"
        "os.environ['PYTHONPATH'] = ':'.join([here, *path])\n"
    )
    code = (
        "import os, subprocess, sys; print(os.environ['PYTHONPATH'], flush=True);"
        "subprocess.run([sys.executable, '-c', 'import sys; print([type(f).__module__ for f in sys.meta_path][0])'])"
    )
    child = python(children, code, PYTHONPATH=str(children.folder))
    assert child.output == f"{launch.SITE}:{children.folder}\nafterword_await_starlette\n"


def test_a_python_without_afterword_says_so_once_and_goes_on(children, tmp_path):
    """The command may belong to another environment than `afterword`."""
    venv.create(tmp_path / "other", with_pip=False, symlinks=True)
    (tmp_path / "lib" / "starlette").mkdir(parents=True)
    (tmp_path / "lib" / "starlette" / "__init__.py").touch()
    (tmp_path / "lib" / "starlette" / "applications.py").write_text("class Starlette: pass\n")
    other = str(tmp_path / "other" / "bin" / "python")
    code = "import starlette.applications as a; print(a.Starlette.__name__)"
    child = children.python(*RUN, other, "-c", code, PYTHONPATH=str(tmp_path / "lib"))
    assert child.wait() == 0
    assert child.output.splitlines() == [
        f"afterword: accounting is off (it is not installed for {other}). The application is not affected.",
        "Starlette",
    ]


def test_the_sidecar_is_not_in_its_own_books(children, env, directory):
    """Its pages are served by FastAPI; below `afterword run` it keeps books all the same, and none of itself."""
    port = free_port()
    sidecar = (sys.executable, "-m", "afterword", "sidecar", "--listen", f"127.0.0.1:{port}")
    child = serve(children, port, *RUN, *sidecar, **env)
    assert request(port, "/metrics") == 200
    assert list(directory.glob("*.ledger")) == []
    child.stop()


# -- OpenTelemetry

OURS = "afterword = afterword.auto.otel:AfterwordInstrumentor"
THEIRS = "fastapi = opentelemetry.instrumentation.fastapi:FastAPIInstrumentor"


#: Where its distro is installed too, it would look for an exporter that is not.
NO_EXPORTER = {f"OTEL_{signal}_EXPORTER": "none" for signal in ("TRACES", "METRICS", "LOGS")}


def distribution(folder, name, entry_point):
    """An installed distribution with one instrumentor, in a directory of its own."""
    made = folder / name / f"{name}-1.dist-info"
    made.mkdir(parents=True)
    (made / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    (made / "entry_points.txt").write_text(f"[opentelemetry_instrumentor]\n{entry_point}\n")
    return str(folder / name)


@pytest.mark.parametrize("order", [(OURS, THEIRS), (THEIRS, OURS)], ids=["ours first", "theirs first"])
def test_opentelemetry_instrument_switches_us_on(children, folder, env, books, tmp_path, order):
    """Its command needs no `afterword run`, and its FastAPI instrumentation works beside us, whichever comes first."""
    with (folder / "shop.py").open("a") as app:
        app.write("assert app._is_instrumented_by_opentelemetry\n")
    found = [distribution(tmp_path, f"d{number}", entry) for number, entry in enumerate(order)]
    port = free_port()
    otel = Path(sys.executable).with_name("opentelemetry-instrument")
    path = os.pathsep.join([*found, env.pop("PYTHONPATH")])
    child = children.start(str(otel), *command("uvicorn", port), PYTHONPATH=path, **NO_EXPORTER, **env)
    children.answering(child, port)
    assert books.scrape("afterword_processes", service="shop") == 1
    visit(port)
    until(lambda: stories(books) == STORIES)
    child.stop()


@pytest.mark.parametrize("outer", ["afterword", "opentelemetry"])
def test_both_launchers_together_count_once(children, env, books, tmp_path, outer):
    """`afterword run -- opentelemetry-instrument ...` and the other way round: one set of books, in children too."""
    env["PYTHONPATH"] = os.pathsep.join([distribution(tmp_path, "ours", OURS), env["PYTHONPATH"]])
    otel = str(Path(sys.executable).with_name("opentelemetry-instrument"))
    port = free_port()
    run, inner = (sys.executable, *RUN), command("uvicorn --workers 2", port)
    typed = (*run, otel, *inner) if outer == "afterword" else (otel, *run, *inner)
    child = children.start(*typed, **NO_EXPORTER, **env)
    children.answering(child, port)
    visit(port)
    until(lambda: stories(books) == STORIES)
    child.stop()
