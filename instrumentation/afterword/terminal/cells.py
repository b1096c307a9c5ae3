"""Text as a terminal has it: harmless, as wide as it is, cut to its room; a line is parts with a style each."""

import unicodedata
from typing import Final

#: A text and the name of its style, one of `paint.STYLES`.
Part = tuple[str, str]
Line = list[Part]

#: What our own signs become where the terminal has no Unicode.
_ASCII: Final = str.maketrans({"…": "~", "█": "#", "░": ".", "─": "-"})
_NO_ROOM: Final = ("Mn", "Me")


def safe(text: str) -> str:
    """The text with whatever moves a cursor, colours, hides or turns around as an escape: names are the user's."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def width(text: str) -> int:
    """Columns of a terminal that a printable text takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


def clip(text: str, room: int, *, keep_end: bool = False) -> str:
    """The text in at most ``room`` columns; what is cut shows as an ellipsis."""
    if width(text) <= room:
        return text
    if room < 1:
        return ""
    kept, left = [], room - 1
    for character in reversed(text) if keep_end else text:
        left -= _columns(character)
        if left < 0:
            break
        kept.append(character)
    return f"…{''.join(reversed(kept))}" if keep_end else f"{''.join(kept)}…"


def pad(text: str, room: int, *, right: bool = False) -> str:
    """The text and the spaces that fill its room."""
    spaces = " " * (room - width(text))
    return spaces + text if right else text + spaces


def crop(line: Line, room: int) -> Line:
    """The line in at most ``room`` columns."""
    cropped: Line = []
    for text, style in line:
        part = clip(text, room)
        cropped.append((part, style))
        room -= width(part)
    return cropped


def plain(lines: list[Line]) -> str:
    """The lines without their styles."""
    return "".join("".join(text for text, _ in line).rstrip() + "\n" for line in lines)


def encodable(text: str, encoding: str | None) -> str:
    """The text in what a stream can take."""
    encoding = encoding or "utf-8"
    if encoding.lower().replace("-", "").startswith("utf"):
        return text
    return text.translate(_ASCII).encode(encoding, "backslashreplace").decode(encoding)


def _columns(character: str) -> int:
    if unicodedata.category(character) in _NO_ROOM:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
