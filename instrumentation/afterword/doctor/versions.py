"""Python, the packages and the platform: what is supported, and what a platform lacks."""

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from afterword import __version__
from afterword.doctor.finding import Finding, counted, listed, note, ok, problem, warning
from afterword.doctor.scene import Scene

#: The oldest that is supported (pyproject.toml, docs/compatibility.md), and whether it is needed to keep ledgers.
OLDEST: Final[Mapping[str, tuple[str, bool]]] = {
    "fastapi": ("0.115", False),
    "starlette": ("0.37.2", True),
    "uvicorn": ("0.30", False),
    "prometheus-client": ("0.20", True),
    "opentelemetry-sdk": ("1.29", False),
    "gunicorn": ("22", False),
}
OLDEST_PYTHON: Final = (3, 11)
#: Others that hook the same places, by distribution; docs/compatibility.md says what is known of each.
NEIGHBOURS: Final = (
    "opentelemetry-instrumentation-fastapi",
    "opentelemetry-instrumentation-asyncio",
    "opentelemetry-instrumentation-threading",
    "ddtrace",
    "sentry-sdk",
    "newrelic",
    "elastic-apm",
    "scout-apm",
    "prometheus-fastapi-instrumentator",
    "gevent",
    "uvloop",
)
#: Printed by the application's interpreter, which need not have afterword: its version, platform and packages.
_TELL: Final = """
import importlib.metadata as m, json, platform, sys
print(json.dumps({"python": list(sys.version_info[:3]), "implementation": platform.python_implementation(),
    "packages": {(d.name or "").lower().replace("_", "-"): d.version for d in m.distributions()}}))
"""
_TELL_SECONDS: Final = 15
_SHARED: Final = Path("/dev/shm")  # noqa: S108 - it is looked at


def python(scene: Scene) -> Iterator[Finding]:
    """The Python is supported."""
    told = _environment(scene.python)
    version, name = tuple(told["python"]), told["implementation"]
    shown = f"{name} {'.'.join(map(str, version))}{f' ({scene.python})' if scene.python else ''}"
    if version < OLDEST_PYTHON:
        yield problem(f"{shown} is older than 3.11", "use Python 3.11 or newer")
    elif name != "CPython":
        yield warning(f"{shown}: afterword is tested on CPython only", "use CPython")
    else:
        yield ok(shown)


def packages(scene: Scene) -> Iterator[Finding]:
    """The packages are there, in versions that are supported: afterword, FastAPI, Starlette, uvicorn, ..."""
    installed = _environment(scene.python)["packages"]
    theirs = installed.get("afterword")
    if theirs is None:
        yield problem(
            "afterword is not installed there" if scene.python else "afterword has no installed distribution",
            f"{scene.python or sys.executable} -m pip install afterword",
        )
    elif theirs != __version__:
        yield warning(
            f"the application has afterword {theirs}, this command is {__version__}",
            f"{scene.python} -m pip install afterword=={__version__}",
        )
    else:
        yield ok(f"afterword {theirs}")
    for name, (oldest, needed) in OLDEST.items():
        version = installed.get(name)
        if version is None:
            if needed:
                yield warning(f"{name} is not installed", f"pip install '{name}>={oldest}'")
        elif release(version) < release(oldest):
            yield problem(
                f"{name} {version} is older than {oldest}, the oldest that is supported",
                f"pip install '{name}>={oldest}'",
            )
        else:
            yield ok(f"{name} {version}")
    missing = [name for name in ("fastapi", "uvicorn") if name not in installed]
    if missing:
        yield note(
            f"`afterword sidecar` does not run in this environment: {listed(missing)} missing",
            "pip install 'afterword[sidecar]'",
        )


def neighbours(scene: Scene) -> Iterator[Finding]:
    """Other instrumentations that hook the same places, by name."""
    installed = _environment(scene.python)["packages"]
    found = [f"{name} {installed[name]}" for name in NEIGHBOURS if name in installed]
    if found:
        yield note(
            f"{counted(len(found), 'neighbour')} installed: {', '.join(found)}",
            "docs/compatibility.md says what is known of each",
        )
    else:
        yield ok("no other instrumentation that is known is installed")


def system(_: Scene) -> Iterator[Finding]:
    """The platform has what ledgers need."""
    yield from on_platform(sys.platform, shared=_SHARED.is_dir(), fallocate=hasattr(os, "posix_fallocate"))


def on_platform(name: str, *, shared: bool, fallocate: bool) -> Iterator[Finding]:
    """What is to be known of a platform."""
    if name == "win32":
        yield problem(
            "Windows has no file locks as ledgers need them: importing and instrumenting work, accounting is off",
            "run the application on Linux, in a container or in WSL",
        )
        return
    lacking = [what for what, there in ((str(_SHARED), shared), ("posix_fallocate", fallocate)) if not there]
    if name != "linux":
        lacking += ["inotify", "/proc"]
        yield note(
            f"{name} is supported with what it has; it has no {', no '.join(lacking)}: deaths are noticed at the "
            "next scrape, ledgers lie in the temporary directory",
            "Linux is first class",
        )
    elif lacking:
        yield note(f"this Linux has no {', no '.join(lacking)}", "mount a tmpfs at /dev/shm, or set AFTERWORD_DIR")
    else:
        yield ok(f"Linux {platform.release()} {platform.machine()}")


def release(version: str) -> tuple[int, ...]:
    """The numbers a version begins with: 0.66b1 is (0, 66)."""
    numbers = re.match(r"\d+(\.\d+)*", version)
    found = [int(part) for part in numbers[0].split(".")] if numbers else []
    while found and not found[-1]:
        found.pop()
    return tuple(found)


@lru_cache(maxsize=4)
def _environment(python: str | None) -> dict[str, Any]:
    """What an interpreter is, and what is installed for it."""
    if python is None:
        found = {(one.name or "").lower().replace("_", "-"): one.version for one in metadata.distributions()}
        version, name = list(sys.version_info[:3]), platform.python_implementation()
        return {"python": version, "implementation": name, "packages": found}
    done = subprocess.run([python, "-c", _TELL], capture_output=True, text=True, timeout=_TELL_SECONDS, check=True)
    told: dict[str, Any] = json.loads(done.stdout)
    return told
