"""What ``--since`` and ``--until`` take: a time ago, a time of day with its date, or Unix seconds."""

import re
from datetime import datetime
from typing import Final

ALLOWED: Final = (
    "a time ago (90s, 15m, 2h, 3d), an ISO time (2026-07-01T14:00, this machine's zone unless it names one) "
    "or Unix seconds"
)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_PIECE: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdw])", re.ASCII)
_AGO: Final = re.compile(rf"(?:{_PIECE.pattern})+", re.ASCII)
#: Unix seconds since 1973: what is shorter is a duration whose unit was forgotten, or a date without dashes.
_UNIX: Final = re.compile(r"\d{9,11}(?:\.\d+)?", re.ASCII)


def read(value: str, now: float) -> float:
    """The time in Unix seconds.

    Raises:
        ValueError: it is none, or lies before 1970.
    """
    text = value.strip()
    found = _read(text, now)
    if found < 0:
        raise ValueError
    return found


def is_ago(text: str) -> bool:
    """Whether it is a time ago, as ``1h30m`` is one."""
    return _AGO.fullmatch(text.strip()) is not None


def _read(text: str, now: float) -> float:
    if is_ago(text):
        return now - sum(float(number) * _SECONDS[unit] for number, unit in _PIECE.findall(text))
    if _UNIX.fullmatch(text):
        return float(text)
    if text.isdecimal():
        raise ValueError
    try:
        return datetime.fromisoformat(text).timestamp()
    except (OverflowError, OSError) as error:  # the year 1, in a zone behind this one
        raise ValueError from error
