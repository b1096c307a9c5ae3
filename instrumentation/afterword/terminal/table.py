"""A table in the room there is: columns that matter less are left out, long names are cut, each row is one line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from afterword.terminal.cells import Line, Part, clip, pad, width

_GAP: Final = 2


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Args:
        title: What stands above it.
        right: Whether it holds numbers.
        rank: The larger, the earlier it is left out; 0 stays.
        least: What a long text may be cut to, in columns of the terminal; 0: it is never cut.
        keep_end: Cut at the beginning: a dotted name is known by its end.
    """

    title: str
    right: bool = False
    rank: int = 0
    least: int = 0
    keep_end: bool = False


def lines(columns: Sequence[Column], rows: Sequence[Sequence[Part]], room: int | None) -> list[Line]:
    """The titles and each row, in ``room`` columns of the terminal; None: as wide as they are."""
    natural = [max([width(column.title), *(width(row[at][0]) for row in rows)]) for at, column in enumerate(columns)]
    kept = list(range(len(columns)))
    while room is not None and _least(columns, natural, kept) > room:
        last = max(kept, key=lambda at: columns[at].rank)
        if not columns[last].rank:
            break
        kept.remove(last)
    widths = _shrunk(columns, natural, kept, room)
    titles: list[Part] = [(column.title, "title") for column in columns]
    return [_line(columns, row, kept, widths) for row in (titles, *rows)]


def _least(columns: Sequence[Column], natural: list[int], kept: list[int]) -> int:
    """The room that the columns need when all that can be cut is cut."""
    needed = sum(min(natural[at], columns[at].least or natural[at]) for at in kept)
    return needed + _GAP * (len(kept) - 1)


def _shrunk(columns: Sequence[Column], natural: list[int], kept: list[int], room: int | None) -> list[int]:
    """The widths of the columns, the widest of those that can be cut made smaller until they fit."""
    widths = list(natural)
    if room is None:
        return widths
    over = sum(widths[at] for at in kept) + _GAP * (len(kept) - 1) - room
    while over > 0:
        wide = [at for at in kept if columns[at].least and widths[at] > columns[at].least]
        if not wide:
            break
        widths[max(wide, key=lambda at: widths[at])] -= 1
        over -= 1
    return widths


def _line(columns: Sequence[Column], row: Sequence[Part], kept: list[int], widths: list[int]) -> Line:
    line: Line = []
    for at in kept:
        text, style = row[at]
        cut = clip(text, widths[at], keep_end=columns[at].keep_end)
        line += [(pad(cut, widths[at], right=columns[at].right), style), (" " * _GAP, "")]
    return line[:-1]
