"""Claims of the alerts on the error budget. Their group is evaluated once a minute."""

from collections.abc import Mapping
from typing import Final

from afterword import contract as c
from tests.alert_cases import ALIVE, FAILED, KILLED, SIBLING, TASK, TASK_LINK, WORKER, Case, Firing, counted, of, only


def work(scheduled: str, failed: str, labels: Mapping[str, str] | None = None) -> dict[str, str]:
    """What was handed over, and what of it failed."""
    return {**ALIVE, of(c.SCHEDULED, labels): scheduled, **counted(c.FINISHED, {**FAILED, **(labels or {})}, failed)}


def burn(percent: str, window: str) -> Firing:
    """AfterwordErrorBudgetBurn with the share that was not done."""
    return Firing(
        {**TASK, "severity": "critical", "window": window},
        "Much of the background work is not done: its error budget will not last the month.",
        _text(percent, window),
        TASK_LINK,
    )


def drain(percent: str, window: str) -> Firing:
    """AfterwordErrorBudgetDrain with the share that was not done."""
    return Firing(
        {**TASK, "severity": "warning", "window": window},
        "Background work keeps not being done: its error budget is running out.",
        _text(percent, window),
        TASK_LINK,
    )


def _text(percent: str, window: str) -> str:
    return (
        f"{percent} of the runs of shop.send_email (background) in service shop that were scheduled in the last "
        f"{window} failed, were dropped or lost; the objective allows 1% in 30 days."
    )


BURN: Final = (
    Case(
        "every run fails from the twentieth minute to the fortieth",
        work("0+4x400", "0x80 0+4x80 320x240"),
        only("AfterwordErrorBudgetBurn", ("20m", ()), ("24m", ()), ("30m", [burn("27.68%", "1h")]), ("82m", ())),
    ),
    Case(
        "the mail server is gone for good: the six hours tell as well, but once",
        work("0+4x400", "0+4x400"),
        only("AfterwordErrorBudgetBurn", ("90m", [burn("100%", "1h")])),
    ),
    Case(
        "a loss of five hundred runs whose series is born with it",
        {**work("0+4x400", "0x400"), **counted(c.LOST, KILLED, "_x80 500x300", "_x80 1200x300")},
        only("AfterwordErrorBudgetBurn", ("20m", ()), ("23m", [burn("100%", "1h")]), ("60m", ())),
    ),
    Case(
        "dropped runs count as well",
        {**work("0+4x400", "0x400"), **counted(c.DROPPED, SIBLING, "0+2x400")},
        only("AfterwordErrorBudgetBurn", ("30m", [burn("50%", "1h")])),
    ),
    Case(
        "one in two hundred fails: what the objective allows",
        work("0+200x400", "0+1x400"),
        only("AfterwordErrorBudgetBurn", ("30m", ()), ("90m", ())),
    ),
    Case(
        "too few to be more than chance: one in four minutes, and each fails",
        work("0x15 1x15 2x15 3x15 4x15 5x15 6x15 7x15 8x15 9x15", "0x15 1x15 2x15 3x15 4x15 5x15 6x15 7x15 8x15 9x15"),
        only("AfterwordErrorBudgetBurn", ("20m", ()), ("39m", ())),
    ),
    Case(
        "a worker that is started again and again is told by others",
        work("0+4x400", "0+4x400", WORKER),
        only("AfterwordErrorBudgetBurn", ("30m", ()), ("90m", ())),
    ),
)

DRAIN: Final = (
    Case(
        "one in twenty-five fails for hours: no reason to be woken, but for a ticket",
        work("0+100x800", "0+4x800"),
        [
            *only("AfterwordErrorBudgetDrain", ("30m", ()), ("180m", [drain("4%", "24h")])),
            *only("AfterwordErrorBudgetBurn", ("30m", ()), ("180m", ())),
        ],
    ),
    Case(
        "one in sixty fails: the budget of three days",
        work("0+60x800", "0+1x800"),
        only("AfterwordErrorBudgetDrain", ("180m", [drain("1.667%", "72h")])),
    ),
    Case(
        "one in two hundred fails",
        work("0+200x800", "0+1x800"),
        only("AfterwordErrorBudgetDrain", ("60m", ()), ("180m", ())),
    ),
)
