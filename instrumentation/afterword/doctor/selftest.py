"""A tiny application of our own, instrumented in the application's environment: whether its task is in the books."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from afterword.doctor.finding import Finding, note, ok, problem
from afterword.doctor.scene import Scene

#: Loading the frameworks takes most of it, in seconds.
SECONDS: Final = 30
#: One request through ASGI, without a server. It runs with whatever the application's interpreter has installed.
_SCRIPT: Final = """
import asyncio, sys
try:
    from fastapi import BackgroundTasks, FastAPI
except ImportError:
    sys.exit("doctor: fastapi is not installed")
import afterword

app = FastAPI(title="afterword-doctor")
ran = []

def task() -> None:
    ran.append(1)

@app.get("/")
async def route(tasks: BackgroundTasks) -> str:
    tasks.add_task(task)
    return "sent"

afterword.instrument(app)
scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
         "path": "/", "raw_path": b"/", "query_string": b"", "root_path": "", "headers": [], "scheme": "http",
         "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "state": {}}

async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}

async def send(message):
    pass

asyncio.run(app(scope, receive, send))
assert ran == [1], "doctor: the background task did not run"
"""
#: The process that is tested sends nothing to anybody.
_QUIET: Final = {"OTEL_SDK_DISABLED": "true", "SENTRY_DSN": "", "DD_TRACE_ENABLED": "false", "AFTERWORD_TRACE": "off"}


def booked(scene: Scene) -> Iterator[Finding]:
    """A tiny application is run in a process and a directory of its own: its one background task is in the books."""
    base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - a directory of our own is made in it
    with tempfile.TemporaryDirectory(prefix="afterword-doctor-", dir=base) as folder:
        try:
            done = _run(scene, Path(folder))
        except subprocess.TimeoutExpired:
            yield problem(f"the self-test did not end within {SECONDS} s", "is this machine very busy? try again")
            return
        stderr = done.stderr.strip().splitlines()
        if "doctor: fastapi is not installed" in stderr:
            yield note(
                "no self-test: FastAPI is not installed in this environment",
                "name the application's interpreter: afterword doctor --python /srv/shop/.venv/bin/python",
            )
        elif done.returncode:
            yield problem(
                f"the self-test failed: {stderr[-1] if stderr else f'exit status {done.returncode}'}",
                f"{scene.python or sys.executable} -c 'import afterword, fastapi' shows more",
            )
        else:
            yield _judge(scene, Path(folder) / "books", [line for line in stderr if line.startswith("afterword:")])


def _run(scene: Scene, folder: Path) -> "subprocess.CompletedProcess[str]":
    """The script, in a folder and with a ledger directory of its own."""
    config = Path(scene.environment.get("AFTERWORD_CONFIG") or "afterword.toml").resolve()
    named = {"AFTERWORD_CONFIG": str(config)} if config.is_file() else {}
    environment = {**scene.environment, **_QUIET, **named, "AFTERWORD_DIR": str(folder / "books")}
    environment.pop("AFTERWORD_METRICS_LISTEN", None)
    return subprocess.run(
        [scene.python or sys.executable, "-c", _SCRIPT],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=SECONDS,
        check=False,
    )


def _judge(scene: Scene, directory: Path, said: list[str]) -> Finding:
    """What the books say, which the sidecar's own reader reads."""
    from afterword.books.bookkeeper import Bookkeeper

    books = [books for books in Bookkeeper(directory).scan().totals.tasks.values() if books.scheduled]
    told = {
        "scheduled": sum(one.scheduled for one in books),
        "started": sum(one.started_total for one in books),
        "succeeded": sum(sum(one.finished.get("succeeded", [])) for one in books),
    }
    shown = ", ".join(f"{name} {n}" for name, n in told.items())
    if set(told.values()) == {1}:
        return ok(f"one background task was booked to its end: {shown}")
    if scene.settings.disabled:
        return problem(
            "the self-test booked nothing: accounting is switched off (AFTERWORD_DISABLED, or disabled in "
            "afterword.toml)",
            "unset AFTERWORD_DISABLED",
        )
    why = f"; it said: {said[0]}" if said else ""
    return problem(
        f"the self-test is not in the books ({json.dumps(told)}){why}",
        "see versions and neighbours above; please report it with this output",
    )
