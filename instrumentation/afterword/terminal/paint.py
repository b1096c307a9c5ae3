"""Lines in colour, where rich is there and the terminal wants it: NO_COLOR, FORCE_COLOR and TERM are rich's to read.

Names are never markup: every part becomes a `Text`.
"""

import shutil
import sys
from typing import TYPE_CHECKING, Final

from afterword.terminal.cells import Line, encodable, plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

STYLES: Final = {
    "": "",
    "title": "bold",
    "dim": "dim",
    "selected": "reverse",
    "ok": "green",
    "degraded": "yellow",
    "bad": "bold red",
    "blind": "bold magenta",
}


def on_terminal() -> bool:
    """Whether somebody looks at stdout."""
    return sys.stdout is not None and sys.stdout.isatty()


def columns() -> int | None:
    """The width of the terminal; None where there is none, and lines are as long as they are."""
    return shutil.get_terminal_size().columns if on_terminal() else None


def console() -> "Console":
    """The console of stdout.

    Raises:
        ImportError: rich is not installed.
    """
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


def rendered(lines: list[Line]) -> str:
    """The lines as stdout wants them: in colour on a terminal or when it is forced, else as plain text."""
    encoding = getattr(sys.stdout, "encoding", None)
    try:
        shown = console()
    except ImportError:
        return encodable(plain(lines), encoding)
    if not shown.is_terminal:
        return encodable(plain(lines), encoding)
    with shown.capture() as captured:
        for line in lines:
            shown.print(text(line, encoding))
    return captured.get()


def text(line: Line, encoding: str | None) -> "Text":
    """One line for rich; whatever does not fit is cut, not wrapped."""
    from rich.text import Text

    made = Text(no_wrap=True, overflow="crop")
    for part, style in line:
        made.append(encodable(part, encoding), STYLES[style])
    return made
