"""Numbers, durations and times as a person reads them."""

import time
from typing import Final

NONE: Final = "-"
#: From so many seconds on, two units at a time: how long the larger is, its letter, the smaller, its letter.
_UNITS: Final = ((2 * 86400, 86400, "d", 3600, "h"), (2 * 3600, 3600, "h", 60, "m"), (120, 60, "m", 1, "s"))


def duration(seconds: float | None) -> str:
    """Seconds in at most six characters: ``12ms``, ``3.4s``, ``56s``, ``7m08s``, ``9h10m``, ``3d04h``."""
    if seconds is None:
        return NONE
    if seconds < 0.1:
        return f"{max(0, round(seconds * 1000))}ms"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    for least, large, letter, small, second in _UNITS:
        if whole >= least:
            return f"{whole // large}{letter}{whole % large // small:02}{second}"
    return f"{whole}s"


def count(number: int) -> str:
    """A number in at most six characters: ``99999``, ``123k``, ``12.3M``."""
    if number < 100_000:
        return str(number)
    if number < 10_000_000:
        return f"{number // 1000}k"
    return f"{number / 1e6:.1f}M" if number < 1_000_000_000 else f"{number / 1e9:.1f}G"


def rate(per_second: float | None) -> str:
    """A rate; of two looks there must be two."""
    if per_second is None:
        return NONE
    if per_second == 0 or per_second >= 99.95:
        return count(round(per_second))
    return f"{per_second:.1f}" if per_second >= 0.95 else f"{per_second:.2f}"


def several(number: int, what: str) -> str:
    """``1 task``, ``2 tasks``; the plural ends in s, or in es after one."""
    if number == 1:
        return f"1 {what}"
    return f"{number} {what}{'es' if what.endswith('s') else 's'}"


def moment(at: float | None) -> str:
    """A time on this machine's clock and in its zone, to the second."""
    return NONE if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def bar(fraction: float, size: int) -> str:
    """How much of its limit a run has used up."""
    full = min(size, max(0, int(fraction * size)))
    return "█" * full + "░" * (size - full)
