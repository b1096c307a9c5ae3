"""Durations as Prometheus writes them, on a clock that may run faster for demonstrations and tests."""

import math
import re
from dataclasses import dataclass
from typing import Final

_UNITS: Final = (("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
_READ: Final = {"w": 604_800_000, "d": 86_400_000, **dict(_UNITS)}
_PART: Final = re.compile(r"(\d+)(ms|[wdhms])")


@dataclass(frozen=True, slots=True)
class Clock:
    """Divides every duration of the rules by ``scale``: 30 makes fifteen minutes thirty seconds."""

    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"time scale must be a positive number, not {self.scale!r}")

    def duration(self, seconds: float, *, floor: float = 0.001) -> str:
        """``seconds`` on this clock as a Prometheus duration, to the millisecond and never below ``floor``."""
        return duration(max(seconds / self.scale, floor))

    def seconds(self, seconds: float, *, floor: float = 0.001) -> str:
        """``seconds`` on this clock as a number for an expression, to the millisecond and never below ``floor``."""
        return number(max(round(seconds / self.scale, 3), floor))


def number(value: float, digits: int = 3) -> str:
    """A number for an expression: so many digits after the point at most, and no exponent."""
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def duration(seconds: float) -> str:
    """A Prometheus duration: 900 is ``15m``, 90 is ``1m30s``, 0.9 is ``900ms``."""
    rest, parts = max(round(seconds * 1000), 1), []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def seconds_of(text: str) -> float | None:
    """A Prometheus duration in seconds; None for anything else. Units go from large to small, each once."""
    parts = _PART.findall(text)
    sizes = [_READ[unit] for _, unit in parts]
    if text == "0":
        return 0.0
    if not parts or "".join(count + unit for count, unit in parts) != text or sorted({*sizes}, reverse=True) != sizes:
        return None
    return sum(int(count) * size for (count, _), size in zip(parts, sizes, strict=True)) / 1000
