"""The shapes of `afterword.view.model` as JSON: their fields are its keys."""

import json
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from afterword.terminal.reading import Shown


def line(found: Mapping[str, Any] | list[Any]) -> str:
    """One document on one line, in ASCII: no name in it can move a terminal."""
    return json.dumps(found, default=_fields).replace("\x7f", "\\u007f") + "\n"


def of_screen(shown: "Shown") -> dict[str, Any]:
    """What ``afterword top --json`` prints."""
    return {name: getattr(shown, name) for name in ("status", "tasks", "runs", "workers", "processes")}


def _fields(shape: object) -> dict[str, Any]:
    if is_dataclass(shape) and not isinstance(shape, type):
        return asdict(shape)
    raise TypeError(shape)
