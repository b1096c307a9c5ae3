"""What keys do to the state of the screen."""

import re
from collections.abc import Sequence
from typing import Final

from afterword.terminal.rates import key_of
from afterword.terminal.screen import SORTS, State
from afterword.view.model import Task

_KEY: Final = re.compile(rb"\x1b(?:\[[0-9;]*[A-Za-z~]|O[A-Za-z])?|.", re.DOTALL)
_NAMES: Final = {
    b"\x1b[A": "up", b"\x1bOA": "up", b"k": "up", b"\x1b[B": "down", b"\x1bOB": "down", b"j": "down",
    b"\x1b[5~": "page up", b"\x1b[6~": "page down", b"g": "first", b"\x1b[H": "first", b"G": "last", b"\x1b[F": "last",
    b"s": "sort", b"p": "pause", b" ": "pause", b"?": "help", b"h": "help", b"q": "quit", b"Q": "quit",
    b"\x1b": "escape", b"\x04": "quit",
}  # fmt: skip
_MOVES: Final = {"up": -1, "down": 1, "page up": -10, "page down": 10, "first": -1_000_000, "last": 1_000_000}


def named(raw: bytes) -> list[str]:
    """The keys that were pressed, those without a meaning left out."""
    return [_NAMES[key] for key in _KEY.findall(raw) if key in _NAMES]


def press(key: str, state: State, tasks: Sequence[Task]) -> None:
    """Let one key change the state; ``tasks`` are those on the screen."""
    if key in _MOVES:
        _move(_MOVES[key], state, tasks)
    elif key == "sort":
        names = list(SORTS)
        state.sort = names[(names.index(state.sort) + 1) % len(names)]
    elif key == "pause":
        state.paused = not state.paused
    elif key == "help":
        state.help = not state.help
    elif key == "escape":
        state.help, state.selected = False, None


def _move(by: int, state: State, tasks: Sequence[Task]) -> None:
    ordered = [key_of(task) for task in state.order(tasks)]
    if not ordered:
        return
    if state.selected in ordered:
        at = ordered.index(state.selected) + by
    else:
        at = -1 if abs(by) > 1 and by > 0 else 0
        at = len(ordered) - 1 if at < 0 else at
    state.selected = ordered[max(0, min(at, len(ordered) - 1))]
