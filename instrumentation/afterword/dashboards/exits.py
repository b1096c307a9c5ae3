"""How processes ended: the one panel that Runtime and Losses both have."""

from typing import Any, Final

from afterword import contract, words
from afterword.dashboards import parts, queries
from afterword.dashboards.panels import bars
from afterword.dashboards.parts import Query

_COLORS: Final = {
    words.EXIT_CLEAN: "green", words.EXIT_KILLED: "red", words.EXIT_FAILED: "orange", words.EXIT_UNKNOWN: parts.GREY,
}  # fmt: skip


def by_cause(description: str) -> Any:
    """Bars of processes that ended, by cause."""
    ended = {cause: f"sum({queries.per_step(contract.PROCESS_EXITS, cause=cause)})" for cause in _COLORS}
    return bars(
        "Processes that ended, by cause",
        description,
        [Query(queries.or_zero(expr, contract.PROCESSES), cause, _COLORS[cause]) for cause, expr in ended.items()],
        legend=parts.beside(["sum"]),
    )
