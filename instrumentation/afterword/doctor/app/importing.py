"""Imports the application in a process of its own, and reads what that saw."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from afterword.doctor.app.application import Seen
from afterword.doctor.app.findings import DoctorError
from afterword.doctor.app.target import Target

#: Seconds an application may take to be imported.
PATIENCE: Final = 30.0
_ALLOWED: Final = "allowed: a FastAPI or Starlette application, or a function without arguments that makes one"


@dataclass
class Imported:
    """What the import showed, or why there is none."""

    seen: Seen = field(default_factory=Seen)
    problem: str | None = None


def look(target: Target, folder: Path, patience: float = PATIENCE) -> Imported:
    """Import the application in another process, where it can do no harm.

    Raises:
        DoctorError: The module can be imported and has no such application.
    """
    with tempfile.TemporaryDirectory(prefix="afterword-doctor-") as place:
        answer = Path(place) / "seen.json"
        ending = _run(target, folder, answer, patience)
        try:
            seen = json.loads(answer.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return Imported(problem=f"{target.module} cannot be imported: {ending}")
    if "wrong" in seen:
        raise DoctorError(f"{target.module}:{target.attribute} {seen['wrong']}; {_ALLOWED}")
    if "problem" in seen:
        return Imported(problem=f"{target.module} cannot be imported: {seen['problem']}")
    return Imported(_seen(seen))


def _seen(seen: dict[str, Any]) -> Seen:
    return Seen(
        middleware=[(name, file) for name, file in seen["middleware"]],
        endpoints=[(Path(file), line, is_socket) for file, line, is_socket in seen["endpoints"]],
        modules=seen["modules"],
    )


def _run(target: Target, folder: Path, answer: Path, patience: float) -> str:
    """How the other process ended, in words."""
    root = target.roots[0]
    environment = os.environ | {
        "AFTERWORD_DISABLED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    arguments = [
        sys.executable,
        "-m",
        "afterword.doctor.app.looking",
        f"{target.module}:{target.attribute}",
        str(answer),
    ]
    process = subprocess.Popen(
        arguments, cwd=folder, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        status = process.wait(patience)
    except subprocess.TimeoutExpired:
        return f"it was not done after {patience:g} seconds"
    finally:
        _end(process)
    if status < 0:
        return f"its process was ended by {signal.Signals(-status).name}"
    return f"its process ended with exit status {status}"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it with all that it has started; it is the leader of a session of its own."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()
