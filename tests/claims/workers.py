"""Claims of the alerts on workers."""

from typing import Final

from afterword import contract as c
from afterword import words
from tests.alert_cases import ALIVE, HOST_B, WORKER, Case, Firing, of, only
from tests.claims.endings import MAILBOX, MAILBOX_LINK


def ended(count: int, how: str = "") -> Firing:
    """AfterwordWorkerEnded with its number, and what it ended with."""
    return Firing(
        {**MAILBOX, "severity": "critical"},
        "A worker ended while its process goes on.",
        f"{count} ended now: the worker shop.poll_mailbox in service shop. "
        f"Nothing does its work until its process is started again.{how}",
        MAILBOX_LINK,
    )


def stalled(count: int, age: str) -> Firing:
    """AfterwordWorkerStalled with its number, and since when."""
    return Firing(
        {**MAILBOX, "severity": "warning"},
        "A worker is alive but makes no progress.",
        f"{count} stalled now: the worker shop.poll_mailbox in service shop. The longest standstill has lasted {age}.",
        MAILBOX_LINK,
    )


WORKER_ENDED: Final = (
    Case(
        "it dies of an exception, for good: the class is told as long as the alert",
        {
            **ALIVE,
            of(c.WORKERS_ENDED, WORKER): "0x20 1x300",
            of(c.ERRORS, WORKER, exception="ConnectionError"): "_x21 1x300",
        },
        only(
            "AfterwordWorkerEnded",
            ("5m", ()),
            ("5m30s", ()),
            ("5m45s", [ended(1, " It ended with: ConnectionError.")]),
            ("30m", [ended(1, " It ended with: ConnectionError.")]),
        ),
    ),
    Case(
        "it returns in both of two processes; what an earlier one died of is no news",
        {
            **ALIVE,
            of(c.WORKERS_ENDED, WORKER): "0x80 1x300",
            of(c.WORKERS_ENDED, WORKER, instance=HOST_B): "0x80 1x300",
            of(c.ERRORS, WORKER, exception="KeyError"): "3x400",
            of(c.ERRORS, WORKER, exception=words.RETURNED): "0x80 1x300",
        },
        only("AfterwordWorkerEnded", ("21m", [ended(2, " It ended with: Returned (no exception).")])),
    ),
    Case(
        "it fails while its process stops, which takes 20 s; then both are gone",
        {**ALIVE, of(c.WORKERS_ENDED, WORKER): "0x20 1 1 0x300"},
        only("AfterwordWorkerEnded", ("5m15s", ()), ("5m30s", ()), ("6m", ()), ("10m", ())),
    ),
    Case(
        "it is started again: over",
        {**ALIVE, of(c.WORKERS_ENDED, WORKER): "0x20 1x20 0x300"},
        only("AfterwordWorkerEnded", ("10m", [ended(1)]), ("12m", ())),
    ),
)

WORKER_STALLED: Final = (
    Case(
        "no progress for longer than its limit",
        {
            **ALIVE,
            of(c.WORKERS_STALLED, WORKER): "0x20 1x300",
            of(c.WORKER_PROGRESS, WORKER): "0+15x10 150x400",
        },
        only(
            "AfterwordWorkerStalled",
            ("5m", ()),
            ("6m", ()),
            ("6m15s", [stalled(1, "3m 45s")]),
            ("20m", [stalled(1, "17m 30s")]),
        ),
    ),
    Case(
        "it goes on after half a minute",
        {
            **ALIVE,
            of(c.WORKERS_STALLED, WORKER): "0x20 1 1 0x300",
            of(c.WORKER_PROGRESS, WORKER): "0+15x10 150x12 350+15x400",
        },
        only("AfterwordWorkerStalled", ("5m30s", ()), ("6m", ()), ("7m", ())),
    ),
)
