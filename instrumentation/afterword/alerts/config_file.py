"""The table ``[alerts]`` of afterword.toml, and the line a mistake in it stands on."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from afterword.alerts.config import Config, ConfigError, read

_HEADER: Final = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")


def load(file: Mapping[str, Any], where: str) -> Config:
    """The configuration of the alerts in a settings file that was read already.

    Args:
        file: What the file says.
        where: Its path, for the sentence of the ConfigError that a mistake raises.
    """
    table = file.get("alerts", {})
    if not isinstance(table, dict):
        raise ConfigError(f"alerts in {where} is {table!r}; allowed: a table")
    try:
        return read(table)
    except ConfigError as error:
        line = line_of(Path(where), ("alerts", *error.at))
        raise ConfigError(f"{where}{'' if line is None else f' line {line}'}: {error}", *error.at) from None


def line_of(path: Path, keys: tuple[str, ...]) -> int | None:
    """The line that has the last of ``keys``, or the nearest one that leads to it; tomllib tells no positions."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    best, depth_of_best = None, 0
    table: tuple[str, ...] = ()
    for number, line in enumerate(lines, 1):
        header = _HEADER.match(line)
        if header is not None:
            table = _split(header[1])
            found = table
        else:
            found = (
                (*table, *_split(line.partition("=")[0])) if "=" in line and not line.lstrip().startswith("#") else ()
            )
        depth = len(found)
        if depth_of_best < depth <= len(keys) and found == keys[:depth]:
            best, depth_of_best = number, depth
    return best


def _split(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip().strip("\"'") for part in dotted.split(".") if part.strip())
