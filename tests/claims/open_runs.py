"""Claims of the alerts on runs that have no end yet, or do not come at all."""

from typing import Final

from afterword import contract as c
from afterword import words
from tests.alert_cases import (
    ALIVE,
    FAILED,
    HOST_B,
    LIMITS,
    NAMED,
    TASK,
    TASK_LINK,
    WORKER,
    Case,
    Firing,
    counted,
    of,
    only,
)


def overdue(count: int, age: str, deadline: str, stuck: str = "") -> Firing:
    """AfterwordTaskOverdue with how many and how old."""
    return Firing(
        {**TASK, "severity": "warning"},
        "Background work has been running longer than its deadline.",
        f"{count} overdue now: {NAMED}. The oldest has been running for {age}; its deadline is {deadline}.{stuck}",
        TASK_LINK,
    )


def late(count: int, age: str, deadline: str) -> Firing:
    """AfterwordTaskLate with how many and how old."""
    return Firing(
        {**TASK, "severity": "warning"},
        "Background work has been waiting too long to start.",
        f"{count} late now: {NAMED} that have not started. The oldest has been waiting for {age}; "
        f"its start deadline is {deadline}.",
        TASK_LINK,
    )


def slow(age: str, usual: str, deadline: str = "5m 0s") -> Firing:
    """AfterwordTaskSlow with its age, its habit and its deadline."""
    return Firing(
        {**TASK, "severity": "warning"},
        "Background work takes much longer than it usually does.",
        f"A run of shop.send_email (background) in service shop has been running for {age}; "
        f"few ever took longer than {usual}, and its deadline is {deadline}.",
        TASK_LINK,
    )


def missed(age: str, interval: str) -> Firing:
    """AfterwordTaskMissedSchedule; it knows no kind."""
    return Firing(
        {**{label: TASK[label] for label in ("job", "service", "task")}, "severity": "warning"},
        "Background work that has to succeed regularly did not.",
        f"shop.send_email in service shop has not succeeded for {age}; it is declared to succeed every {interval}.",
        TASK_LINK,
    )


TASK_OVERDUE: Final = (
    Case(
        "one run stuck among heavy traffic on two hosts",
        {
            **ALIVE,
            **LIMITS,
            of(c.DEADLINE, instance=HOST_B): "300x400",
            of(c.OLDEST_RUNNING): "60x400",
            of(c.OLDEST_RUNNING, instance=HOST_B): "1+15x400",
            of(c.OVERDUE): "0x24 2x400",
            of(c.OVERDUE, instance=HOST_B): "0x400",
        },
        only(
            "AfterwordTaskOverdue",
            ("6m", ()),
            ("7m", ()),
            ("7m15s", [overdue(2, "6m 15s", "5m 0s")]),
            ("20m", [overdue(2, "19m 0s", "5m 0s")]),
        ),
    ),
    Case(
        "a task with a long deadline of its own is in time",
        {**ALIVE, of(c.DEADLINE): "3600x400", of(c.OLDEST_RUNNING): "60x400", of(c.OVERDUE): "0x400"},
        only("AfterwordTaskOverdue", ("7m15s", ()), ("20m", ())),
    ),
    Case(
        "half a minute beyond the deadline is not yet an alert",
        {**ALIVE, **LIMITS, of(c.OLDEST_RUNNING): "60x26 0x300", of(c.OVERDUE): "0x24 1x2 0x300"},
        only("AfterwordTaskOverdue", ("6m30s", ()), ("7m", ()), ("8m", ())),
    ),
    Case(
        "over when the run ends",
        {**ALIVE, **LIMITS, of(c.OLDEST_RUNNING): "60x40 0x300", of(c.OVERDUE): "0x24 1x16 0x300"},
        only("AfterwordTaskOverdue", ("10m", [overdue(1, "9m 0s", "5m 0s")]), ("11m30s", ())),
    ),
    Case(
        "an overdue run tells where it is stuck",
        {
            **ALIVE,
            **LIMITS,
            of(c.OLDEST_RUNNING): "60x400",
            of(c.OVERDUE): "0x24 2x400",
            of(c.STUCK, at="shop.py:41 in send_email"): "_x26 1x400",
            of(c.STUCK, at="smtplib.py:391 in getreply"): "_x26 1x400",
        },
        only(
            "AfterwordTaskOverdue",
            ("7m", ()),
            (
                "8m",
                [overdue(2, "7m 0s", "5m 0s", " Stuck at: shop.py:41 in send_email; smtplib.py:391 in getreply.")],
            ),
        ),
    ),
    Case(
        "a worker is as old as its process",
        {**ALIVE, of(c.DEADLINE, WORKER): "300x400", of(c.OLDEST_RUNNING, WORKER): "60x400"},
        only("AfterwordTaskOverdue", ("7m15s", ()), ("20m", ())),
    ),
)

TASK_LATE: Final = (
    Case(
        "runs wait for a thread beyond their start deadline",
        {
            **ALIVE,
            **LIMITS,
            of(c.OLDEST_WAITING): "0x4 60x300",
            of(c.LATE): "0x8 38x300",
            of(c.OLDEST_RUNNING): "0x400",
        },
        only("AfterwordTaskLate", ("2m", ()), ("3m", ()), ("3m15s", [late(38, "2m 15s", "1m 0s")])),
    ),
    Case(
        "a declared start deadline counts instead",
        {**ALIVE, of(c.START_DEADLINE): "900x400", of(c.OLDEST_WAITING): "60x300", of(c.LATE): "0x300"},
        only("AfterwordTaskLate", ("10m", ()), ("15m", ())),
    ),
)

TASK_SLOW: Final = (
    Case(
        "a task of milliseconds runs for a minute, long before its deadline; then it is overdue instead",
        {
            **ALIVE,
            **LIMITS,
            of(c.OLDEST_RUNNING): "0x3 60x400",
            of(c.USUAL): "0.25x400",
            of(c.OVERDUE): "0x24 1x400",
        },
        only(
            "AfterwordTaskSlow",
            ("2m", ()),
            ("2m30s", ()),
            ("2m45s", [slow("1m 45s", "250ms")]),
            ("6m", [slow("5m 0s", "250ms")]),
            ("7m15s", ()),
            ("15m", ()),
        ),
    ),
    Case(
        "ten times the habit counts where that is more than a minute",
        {**ALIVE, **LIMITS, of(c.OLDEST_RUNNING): "60x400", of(c.USUAL): "15x400"},
        only("AfterwordTaskSlow", ("3m30s", ()), ("4m", ()), ("4m15s", [slow("3m 15s", "15s")])),
    ),
    Case(
        "no habit is known yet: only the deadline counts",
        {**ALIVE, **LIMITS, of(c.OLDEST_RUNNING): "60x400", of(c.USUAL): "0x400"},
        only("AfterwordTaskSlow", ("3m", ()), ("5m45s", ())),
    ),
    Case(
        "slow on one of two hosts, whose habits differ: the slower habit counts",
        {
            **ALIVE,
            **LIMITS,
            of(c.OLDEST_RUNNING): "60x400",
            of(c.USUAL): "0.05x400",
            of(c.USUAL, instance=HOST_B): "15x400",
        },
        only("AfterwordTaskSlow", ("3m", ()), ("5m", [slow("4m 0s", "15s")])),
    ),
    Case(
        "a worker that ended a few times before is no slow run",
        {
            **ALIVE,
            of(c.DEADLINE, WORKER): "9000x400",
            of(c.OLDEST_RUNNING, WORKER): "60x400",
            of(c.USUAL, WORKER): "1x400",
        },
        only("AfterwordTaskSlow", ("5m", ()), ("10m", ())),
    ),
)


def growing(now: int, before: int, least: int) -> Firing:
    """AfterwordBacklogGrowing with what waits now, what waited before, and the least in between."""
    return Firing(
        {**TASK, "severity": "warning"},
        "More and more background work is waiting to start.",
        f"{now} waiting on average over the last 5m: {NAMED}. 10m earlier there were {before}, and for 15m the number "
        f"never fell to less than {least}.",
        TASK_LINK,
    )


BACKLOG_GROWING: Final = (
    Case(
        "what is handed over comes in faster than it is done",
        {**ALIVE, **LIMITS, of(c.WAITING_RUNS): "0x40 0+4x500 2000x200"},
        only(
            "AfterwordBacklogGrowing",
            ("10m", ()),
            ("20m", ()),
            ("33m", [growing(322, 160, 124)]),
            ("120m", [growing(1713, 1552, 1516)]),
            ("190m", ()),
        ),
    ),
    Case(
        "it grows on one of two hosts",
        {**ALIVE, of(c.WAITING_RUNS): "20+2x200", of(c.WAITING_RUNS, instance=HOST_B): "3x200"},
        only("AfterwordBacklogGrowing", ("14m", ()), ("25m", [growing(202, 122, 103)])),
    ),
    Case(
        "a long queue that stays as long as it is",
        {**ALIVE, **LIMITS, of(c.WAITING_RUNS): "500x400"},
        only("AfterwordBacklogGrowing", ("30m", ()), ("60m", ())),
    ),
    Case(
        "bursts that are worked off, each bigger than the one before",
        {**ALIVE, **LIMITS, of(c.WAITING_RUNS): "0 100 50 0x17 0 200 100 0x17 0 400 200 0x17 0 800 400 0x17"},
        only("AfterwordBacklogGrowing", ("10m", ()), ("15m", ()), ("20m", ())),
    ),
    Case(
        "a new host with a queue of its own",
        {**ALIVE, of(c.WAITING_RUNS): "0x400", of(c.WAITING_RUNS, instance=HOST_B): "_x40 60x360"},
        only("AfterwordBacklogGrowing", ("15m", ()), ("20m", ()), ("40m", ())),
    ),
)

MISSED_SCHEDULE: Final = (
    Case(
        "every five minutes, and then no more; other runs of it fail",
        {
            **ALIVE,
            of(c.INTERVAL): "300x400",
            of(c.LAST_SUCCESS): "0x19 300x19 600x400",
            **counted(c.FINISHED, FAILED, "0x60 1x20 2x300"),
        },
        only(
            "AfterwordTaskMissedSchedule",
            ("10m", ()),
            ("20m", ()),
            ("21m", ()),
            ("21m15s", [missed("11m 15s", "5m 0s")]),
            ("30m", [missed("20m 0s", "5m 0s")]),
        ),
    ),
    Case(
        "never succeeded since it has been known",
        {
            **ALIVE,
            of(c.INTERVAL): "_x8 300x400",
            of(c.LAST_SUCCESS): "_x8 0x400",
            **counted(c.FINISHED, FAILED, "_x8 0x400", "_x8 120x400"),
        },
        only("AfterwordTaskMissedSchedule", ("12m", ()), ("13m", ()), ("13m15s", [missed("11m 15s", "5m 0s")])),
    ),
    Case(
        "one kind of it, or one host, succeeds: that is the schedule kept",
        {
            **ALIVE,
            of(c.INTERVAL): "300x400",
            of(c.LAST_SUCCESS): "0x400",
            of(c.INTERVAL, kind=words.ASYNCIO, instance=HOST_B): "300x400",
            of(c.LAST_SUCCESS, kind=words.ASYNCIO, instance=HOST_B): "0+15x400",
            **counted(c.FINISHED, FAILED, "0x400"),
        },
        only("AfterwordTaskMissedSchedule", ("12m", ()), ("20m", ())),
    ),
    Case(
        "a worker keeps its pace, and a task without one is nobody's clock",
        {
            **ALIVE,
            of(c.INTERVAL, WORKER): "30x400",
            of(c.LAST_SUCCESS, WORKER): "0+15x400",
            **counted(c.FINISHED, FAILED, "0x400", **WORKER),
            of(c.LAST_SUCCESS): "1x400",
            **counted(c.FINISHED, FAILED, "0x400"),
        },
        only("AfterwordTaskMissedSchedule", ("12m", ()), ("20m", ())),
    ),
)
