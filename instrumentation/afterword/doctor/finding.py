"""What a check found: a level, one sentence, and what to do about it."""

from dataclasses import dataclass
from typing import Final, Literal

from afterword.ledger.layout import printable

Level = Literal["ok", "note", "warning", "problem"]
#: As it should be; worth knowing; something is missing or will go wrong; something does not work.
LEVELS: Final[tuple[Level, ...]] = ("ok", "note", "warning", "problem")
#: A text of somebody else's is cut to this many characters.
_LONGEST: Final = 600


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. ``found`` is a sentence without a full stop, ``do`` what helps: a line to type where there is one.

    Both may carry names that others chose, so control characters are shown and never sent to a terminal.
    """

    level: Level
    found: str
    do: str = ""
    #: The check that found it; set by whoever runs the check.
    check: str = ""

    def __post_init__(self) -> None:
        for name in ("found", "do"):
            object.__setattr__(self, name, tamed(getattr(self, name)))


def tamed(text: str) -> str:
    """One line of printable text of a bearable length."""
    shown = printable(" ".join(text.splitlines()))
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."


def ok(found: str) -> Finding:
    """It is as it should be."""
    return Finding("ok", found)


def note(found: str, do: str = "") -> Finding:
    """Worth knowing; nothing is wrong."""
    return Finding("note", found, do)


def warning(found: str, do: str = "") -> Finding:
    """Something is missing, or will go wrong."""
    return Finding("warning", found, do)


def problem(found: str, do: str = "") -> Finding:
    """Something does not work."""
    return Finding("problem", found, do)


def counted(n: int, thing: str, things: str = "") -> str:
    """``1 ledger``, ``2 ledgers``."""
    return f"{n} {thing if n == 1 else things or thing + 's'}"


def listed(names: "list[str]", most: int = 5) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
