"""One measured figure beside its target, and what it is worth."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Figure:
    """``value`` in ``unit``; ``target`` and ``gate`` are upper bounds in the same unit, None where there is none."""

    name: str
    value: float
    unit: str
    target: float | None = None
    gate: float | None = None
    detail: str = ""

    @property
    def verdict(self) -> str:
        """``holds``, ``within the gate``, ``missed``; empty for a figure that is only told."""
        if self.target is None:
            return ""
        if self.value <= self.target:
            return "holds"
        return "within the gate" if self.gate is not None and self.value <= self.gate else "missed"

    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        return (self.name, self._number(self.value), self._number(self.target), self._number(self.gate),
                self.verdict, self.detail)  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """Everything, with the verdict."""
        return asdict(self) | {"verdict": self.verdict}

    def _number(self, value: float | None) -> str:
        if value is None:
            return ""
        return f"{value:.{3 if abs(value) < 10 else 1}f} {self.unit}"
