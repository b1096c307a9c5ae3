"""How long the server gives what is under way when it is told to stop: read from code, configuration and commands."""

import ast
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from afterword.doctor.app import syntax
from afterword.doctor.app.target import Target

_MOST_BYTES: Final = 1_000_000
_MOST_FILES: Final = 2000
_DEEPEST: Final = 3
_NOT_OURS: Final = frozenset({"node_modules", "site-packages", "venv", "env", "build", "dist", "tests", "test"})
_COMMANDS: Final = re.compile(r"(?i)procfile|.*dockerfile.*|.*containerfile.*|.*\.(service|sh|ya?ml|toml|conf|ini)")
_UVICORN: Final = re.compile(r"--timeout-graceful-shutdown[\s=\"',\[\]]+(\d+)")
_GUNICORN: Final = re.compile(r"--graceful-timeout[\s=\"',\[\]]+(\d+)")
_COMPOSE: Final = re.compile(r"^\s*stop_grace_period:\s*[\"']?([\dhmsu.]+)")
_SYSTEMD: Final = re.compile(r"^\s*TimeoutStopSec\s*=\s*(\S.*?)\s*$")
_KUBERNETES: Final = re.compile(r"^\s*terminationGracePeriodSeconds:\s*[\"']?(\d+)")
_NAMED: Final = re.compile(r"\b([A-Za-z_][\w.]*):([A-Za-z_]\w*)(?:\(\))?(?=[\s\"',\]\\]|$)")
_SERVERS: Final = re.compile(r"\b(uvicorn|gunicorn|hypercorn|fastapi)\b")
_INFRASTRUCTURE: Final = re.compile(
    r"image:\s*[\"']?\S*"
    r"(postgres|redis|rabbitmq|mysql|mariadb|mongo|nginx|traefik|caddy|kafka|grafana|prometheus|minio)"
)
_UNITS: Final = {"h": 3600.0, "hr": 3600.0, "m": 60.0, "min": 60.0, "s": 1.0, "sec": 1.0, "ms": 0.001, "us": 1e-6}


@dataclass(frozen=True, slots=True)
class Grace:
    """So many seconds, and where that is said and by whom."""

    file: Path
    line: int
    column: int
    seconds: float
    setting: str


def graces(folder: Path, target: Target) -> list[Grace]:
    """Every grace that is set for the target somewhere in a project's folder."""
    found: list[Grace] = []
    for file in _files(folder):
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        if file.suffix == ".py":
            found.extend(_in_code(file, text, target))
        else:
            found.extend(_in_lines(file, text, target))
    return found


def _files(folder: Path) -> Iterator[Path]:
    seen = 0
    for place, folders, names in os.walk(folder):
        here = Path(place)
        depth = len(here.relative_to(folder).parts)
        folders[:] = sorted(
            name for name in folders
            if depth < _DEEPEST and not name.startswith(".") and name not in _NOT_OURS
            and not (here / name / "pyvenv.cfg").exists()
        )  # fmt: skip
        for name in sorted(names):
            file = here / name
            if not (name.endswith(".py") or _COMMANDS.fullmatch(name)):
                continue
            seen += 1
            if seen > _MOST_FILES:
                return
            if file.is_file() and file.stat().st_size <= _MOST_BYTES:
                yield file


# -- code


def _in_code(file: Path, text: str, target: Target) -> Iterator[Grace]:
    if "graceful" not in text:
        return
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            value = syntax.keyword(node, "timeout_graceful_shutdown")
            seconds = syntax.number(value)
            is_server = syntax.dotted(node.func).rpartition(".")[2] in {"run", "Config"}
            if value is not None and seconds is not None and is_server and _is_for(_application(node), target):
                yield Grace(file, value.lineno, value.col_offset + 1, seconds, "timeout_graceful_shutdown")
    if file.name.startswith("gunicorn") or file.name.endswith("gunicorn.py"):
        for statement in tree.body:
            if isinstance(statement, ast.Assign) and syntax.dotted(statement.targets[0]) == "graceful_timeout":
                seconds = syntax.number(statement.value)
                if seconds is not None:
                    yield Grace(file, statement.lineno, 1, seconds, "graceful_timeout")


def _application(call: ast.Call) -> str:
    given = syntax.argument(call, 0, "app")
    return given.value if isinstance(given, ast.Constant) and isinstance(given.value, str) else ""


def _is_for(named: str, target: Target) -> bool:
    """Whether a server that names an application in its command may be the one of the target."""
    module = named.partition(":")[0]
    return not module or module.rpartition(".")[2] == target.module.rpartition(".")[2]


# -- commands and configuration


def _in_lines(file: Path, text: str, target: Target) -> Iterator[Grace]:
    lines = text.splitlines()
    for index, line in enumerate(lines):
        if line.lstrip().startswith("#") or line.lstrip().startswith("//"):
            continue
        for pattern, setting in ((_UVICORN, "--timeout-graceful-shutdown"), (_GUNICORN, "--graceful-timeout")):
            found = pattern.search(line) or _split_over_lines(pattern, lines, index)
            if found is not None and _is_for(_named(lines, index), target):
                yield Grace(file, index + 1, line.find(setting) + 1, float(found[1]), setting)
        yield from _of_manager(file, lines, index, target)


def _split_over_lines(pattern: re.Pattern[str], lines: list[str], index: int) -> re.Match[str] | None:
    """A YAML list has the option in one line and its value in the next."""
    option = lines[index].strip().strip("-\"', ")
    if index + 1 >= len(lines) or option not in {"timeout-graceful-shutdown", "graceful-timeout"}:
        return None
    return pattern.search(f"--{option} {lines[index + 1].strip().strip('-').strip()}")


def _named(lines: list[str], index: int) -> str:
    """``shop:app`` of the command an option belongs to, also where it goes over several lines."""
    for line in (lines[index], *reversed(lines[max(0, index - 8) : index]), *lines[index + 1 : index + 5]):
        if _SERVERS.search(line) or line is lines[index]:
            for found in _NAMED.finditer(line):
                if found[1] not in {"http", "https"}:
                    return f"{found[1]}:{found[2]}"
    return ""


def _of_manager(file: Path, lines: list[str], index: int, target: Target) -> Iterator[Grace]:
    line = lines[index]
    is_yaml = file.suffix in {".yml", ".yaml"}
    seconds: float | None = None
    setting = ""
    if is_yaml and (found := _COMPOSE.match(line)):
        seconds, setting = span(found[1]), "stop_grace_period"
    elif is_yaml and (found := _KUBERNETES.match(line)):
        seconds, setting = float(found[1]), "terminationGracePeriodSeconds"
    elif file.suffix == ".service" and (found := _SYSTEMD.match(line)):
        seconds, setting = span(found[1]), "TimeoutStopSec"
    if seconds is None:
        return
    block = lines if file.suffix == ".service" else _block(lines, index)
    text = "\n".join(block)
    commands = [one for one in block if _SERVERS.search(one)]
    named = [f"{found[1]}:{found[2]}" for one in commands for found in _NAMED.finditer(one)]
    if _INFRASTRUCTURE.search(text) or (named and not any(_is_for(one, target) for one in named)):
        return
    if file.suffix == ".service" and not commands:
        return
    yield Grace(file, index + 1, len(line) - len(line.lstrip()) + 1, seconds, setting)


def _block(lines: list[str], index: int) -> list[str]:
    """The lines around that are indented at least as much: one service, or one pod."""
    depth = len(lines[index]) - len(lines[index].lstrip())
    first = last = index
    while first > 0 and _belongs(lines[first - 1], depth):
        first -= 1
    while last + 1 < len(lines) and _belongs(lines[last + 1], depth):
        last += 1
    return lines[first : last + 1]


def _belongs(line: str, depth: int) -> bool:
    return not line.strip() or (len(line) - len(line.lstrip()) >= depth and line.strip() != "---")


def span(text: str) -> float | None:
    """Seconds of ``90``, ``1m30s``, ``2min 5s``; None for ``infinity`` and what nobody can read."""
    text = text.strip().strip("\"'")
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([a-z]+)", text)
    if not parts or any(unit not in _UNITS for _, unit in parts):
        return None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
