"""Durations as Prometheus writes them, on a clock that may run faster for demonstrations and tests."""

import math
from dataclasses import dataclass

_UNITS = (("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))


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
        return f"{max(round(seconds / self.scale, 3), floor):.3f}".rstrip("0").rstrip(".")


def duration(seconds: float) -> str:
    """A Prometheus duration: 900 is ``15m``, 90 is ``1m30s``, 0.9 is ``900ms``."""
    rest, parts = max(round(seconds * 1000), 1), []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)
