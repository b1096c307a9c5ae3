"""What each alert claims: silence first, then its number, word for word."""

from collections.abc import Mapping, Sequence
from typing import Final

from afterword import contract as c
from afterword import words
from afterword.alerts.promql import UP
from tests.alert_cases import (
    FAILED,
    KILLED,
    OLD,
    SIBLING,
    UNSTARTED,
    Case,
    dropped,
    failed,
    late,
    lost,
    of,
    only,
    overdue,
    service_gone,
    sidecar_down,
    silent,
)

HOST_B: Final = "host-b:9796"
UPS: Final = {of(UP): "1x400"}
ALIVE: Final = {**UPS, of(c.PROCESSES): "4x400"}
LIMITS: Final = {of(c.DEADLINE): "300x400", of(c.START_DEADLINE): "60x400"}
NOTHING_OPEN: Final = {of(c.OLDEST_RUNNING): "0x400", of(c.OLDEST_WAITING): "0x400"}


def counted(metric: c.Metric, labels: Mapping[str, str], total: str, born: str = OLD, **more: str) -> dict[str, str]:
    """A counter with its birth."""
    return {of(metric, labels, **more): total, of(metric.created, labels, **more): born}


def outcomes(succeeded: str, failures: str = "0x400", born: str = OLD) -> dict[str, str]:
    """All endings of a known task, from 0."""
    return {
        **counted(c.FINISHED, {"outcome": words.SUCCEEDED}, succeeded, born),
        **counted(c.FINISHED, FAILED, failures, born),
        **counted(c.FINISHED, {"outcome": words.CANCELLED}, "0x400", born),
    }


SILENCE: Final = (
    Case(
        "busy: ten runs a second, three always open, none older than a few seconds",
        {
            **ALIVE,
            **LIMITS,
            **outcomes("0+150x400"),
            of(c.SCHEDULED): "3+150x400",
            of(c.STARTED): "3+150x400",
            of(c.RUNNING_RUNS): "3x400",
            of(c.OLDEST_RUNNING): "1+15x400",
            of(c.OLDEST_WAITING): "0x400",
        },
        silent("5m", "30m", "90m"),
    ),
    Case(
        "bursty: a thousand runs at once, the last one starts after 50 s and runs 4 min",
        {
            **ALIVE,
            **LIMITS,
            **outcomes("0x20 600x12 1000x300"),
            of(c.OLDEST_WAITING): "0x20 300x3 0x400",
            of(c.OLDEST_RUNNING): "0x20 315x15 0x400",
            of(c.LATE): "0x400",
            of(c.OVERDUE): "0x400",
        },
        silent("5m30s", "6m", "8m", "9m", "30m"),
    ),
    Case(
        "busy, deadlines of 5 s, scraped every two minutes: at each scrape the oldest run was 2 s old",
        {
            **ALIVE,
            of(c.DEADLINE): "5x400",
            of(c.START_DEADLINE): "5x400",
            of(c.OLDEST_RUNNING): "_x8 " + " _x7 ".join(str(scrape * 120 - 2) for scrape in range(1, 30)),
            of(c.OLDEST_WAITING): "_x8 " + " _x7 ".join(str(scrape * 120 - 2) for scrape in range(1, 30)),
        },
        silent("10m", "11m45s", "13m30s", "15m45s"),
    ),
    Case(
        "idle, quiet at night: old failures, losses and drops, and nothing since",
        {
            **ALIVE,
            **LIMITS,
            **NOTHING_OPEN,
            **outcomes("70000x400", "12x400"),
            **counted(c.LOST, KILLED, "20x400"),
            **counted(c.DROPPED, SIBLING, "4x400"),
        },
        silent("15s", "15m", "16m", "90m"),
    ),
    Case(
        "low traffic: one run in ten minutes, and it succeeds",
        {**ALIVE, **LIMITS, **outcomes("0x40 1x40 2x40 3x200", born="0x400"), of(c.OLDEST_RUNNING): "0x39 585 0x300"},
        silent("10m", "10m30s", "20m", "40m"),
    ),
    Case(
        "draining and restarting: runs end, no process for 2 min 45 s, then four again",
        {
            **UPS,
            **LIMITS,
            **outcomes("0+10x20 200x11 200+10x300"),
            of(c.PROCESSES): "4x20 2 1 0x10 4x300",
            of(c.OLDEST_RUNNING): "1+15x20 300x2 0x10 480+15x300",
        },
        silent("5m30s", "7m", "8m", "9m", "30m"),
    ),
    Case(
        "the sidecar restarts: a minute without scrapes, the same totals and births after it",
        {
            of(UP): "1x20 0x3 1x300",
            of(c.PROCESSES): "4x20 stale _x2 4x300",
            **counted(c.LOST, KILLED, "20x20 stale _x2 20x300", "-90000x20 stale _x2 -90000x300"),
            **counted(c.FINISHED, FAILED, "12x20 stale _x2 12x300", "-90000x20 stale _x2 -90000x300"),
        },
        silent("5m15s", "6m", "7m", "20m", "30m"),
    ),
    Case(
        "twenty minutes without scrapes, and nothing happened in them",
        {
            **ALIVE,
            **counted(c.LOST, KILLED, "20x239 _x80 20x300", "-90000x239 _x80 -90000x300"),
            **counted(c.DROPPED, SIBLING, "4x239 _x80 4x300", "-90000x239 _x80 -90000x300"),
            **counted(c.FINISHED, FAILED, "12x239 _x80 12x300", "-90000x239 _x80 -90000x300"),
        },
        silent("80m", "80m15s", "81m", "100m"),
    ),
    Case(
        "the directory is new: totals start again below what they were",
        {
            **ALIVE,
            **outcomes("70000x40 0+10x300", "12x40 0x300", "-90000x40 600x300"),
            **counted(c.LOST, KILLED, "20x40 stale", "-90000x40 stale"),
        },
        silent("10m", "10m15s", "20m", "26m", "40m"),
    ),
    Case(
        "a new Prometheus meets old totals",
        {
            **ALIVE,
            **counted(c.LOST, KILLED, "_x20 20x300", "_x20 -90000x300"),
            **counted(c.FINISHED, FAILED, "_x20 12x300", "_x20 -90000x300"),
            **counted(c.DROPPED, SIBLING, "_x20 4x300", "_x20 -90000x300"),
        },
        silent("5m", "5m15s", "6m", "21m", "60m"),
    ),
    Case("no data: a sidecar that answers and has seen no service", UPS, silent("1m", "30m")),
)

TASK_LOST: Final = (
    Case(
        "born at 20 is 20 lost, for the window and the time it is kept",
        {**ALIVE, **counted(c.LOST, KILLED, "_x8 20x300", "_x8 110x300")},
        only(
            "AfterwordTaskLost",
            ("1m45s", ()),
            ("2m", [lost(20)]),
            ("16m45s", [lost(20)]),
            ("30m", [lost(20)]),
            ("33m", ()),
        ),
    ),
    Case(
        "a second loss soon after the birth: the full total",
        {**ALIVE, **counted(c.LOST, KILLED, "_x8 20x20 23x300", "_x8 110x300")},
        only("AfterwordTaskLost", ("7m", [lost(20)]), ("7m15s", [lost(23)]), ("15m", [lost(23)])),
    ),
    Case(
        "a second loss whose window outlives the birth's: only the second",
        {**ALIVE, **counted(c.LOST, KILLED, "_x8 20x40 25x300", "_x8 110x300")},
        only("AfterwordTaskLost", ("16m30s", [lost(25)]), ("18m", [lost(5)]), ("26m", [lost(5)])),
    ),
    Case(
        "an old series: the exact difference, at every distance",
        {**ALIVE, **counted(c.LOST, KILLED, "100x80 103x300")},
        only(
            "AfterwordTaskLost",
            ("20m", ()),
            ("20m15s", [lost(3)]),
            ("28m7s", [lost(3)]),
            ("35m", [lost(3)]),
            ("51m", ()),
        ),
    ),
    Case(
        "one kill, waiting and running runs: two alerts, because they are recovered differently",
        {
            **ALIVE,
            **counted(c.LOST, KILLED, "_x8 2x300", "_x8 110x300"),
            **counted(c.LOST, UNSTARTED, "_x8 7x300", "_x8 110x300"),
        },
        only("AfterwordTaskLost", ("3m", [lost(2), lost(7, UNSTARTED)])),
    ),
    Case(
        "two hosts: one alert with the sum",
        {
            **ALIVE,
            **counted(c.LOST, KILLED, "_x8 2x300", "_x8 110x300"),
            **counted(c.LOST, KILLED, "50x10 53x300", instance=HOST_B),
        },
        only("AfterwordTaskLost", ("2m", [lost(2)]), ("3m", [lost(5)])),
    ),
    Case(
        "the directory is new and the total starts again: what was lost since",
        {**ALIVE, **counted(c.LOST, KILLED, "100x80 _ 3x300", "-90000x80 _ 1205x300")},
        only("AfterwordTaskLost", ("20m15s", ()), ("20m30s", [lost(3)]), ("30m", [lost(3)])),
    ),
    Case(
        "lost while nothing was scraped for twenty minutes: found afterwards",
        {**ALIVE, **counted(c.LOST, KILLED, "20x80 stale _x79 23x300", "-90000x80 stale _x79 -90000x300")},
        only("AfterwordTaskLost", ("40m", ()), ("40m15s", [lost(3)]), ("50m", [lost(3)])),
    ),
    Case(
        "a new Prometheus that meets an old total still counts what comes next",
        {**ALIVE, **counted(c.LOST, KILLED, "_x8 20x20 22x300", "_x8 -90000x300")},
        only("AfterwordTaskLost", ("7m", ()), ("7m15s", [lost(2)])),
    ),
    Case(
        "the machine dies with its sidecar: the alert stays until it was seen",
        {of(UP): "1x12 0x300", **counted(c.LOST, KILLED, "_x8 20x4 stale", "_x8 110x4 stale")},
        only("AfterwordTaskLost", ("5m", [lost(20)]), ("17m", [lost(20)]), ("20m", ())),
    ),
    Case(
        "births stored as zero samples, as newer Prometheus can: the same number",
        {**ALIVE, of(c.LOST, KILLED): "_x7 0 20x20 23x300"},
        only("AfterwordTaskLost", ("2m", [lost(20)]), ("8m", [lost(23)]), ("40m", ())),
    ),
    Case(
        "large numbers are whole numbers",
        {**ALIVE, **counted(c.LOST, KILLED, "_x8 1228786x300", "_x8 110x300")},
        only("AfterwordTaskLost", ("2m", [lost(1228786)])),
    ),
)

TASK_FAILED: Final = (
    Case(
        "the first failure of a known task, with its exception",
        {
            **ALIVE,
            **outcomes("0+10x300", "0x8 1x300", born="0x400"),
            of(c.ERRORS, exception="KeyError"): "_x9 1x300",
        },
        only("AfterwordTaskFailed", ("2m", ()), ("2m15s", [failed(1, " Exceptions: KeyError.")]), ("25m", ())),
    ),
    Case(
        "a task that fails before it is scraped for the first time",
        {**ALIVE, **outcomes("_x8 0x300", "_x8 2x300", born="_x8 110x300")},
        only("AfterwordTaskFailed", ("1m45s", ()), ("2m", [failed(2)])),
    ),
    Case(
        "an old task: the exact number, and only the classes that moved",
        {
            **ALIVE,
            **outcomes("9000+10x300", "40x80 57x300"),
            of(c.ERRORS, exception="KeyError"): "30x400",
            of(c.ERRORS, exception="TimeoutError"): "10x80 22x300",
            of(c.ERRORS, exception="ConnectionError"): "_x81 5x300",
        },
        only(
            "AfterwordTaskFailed",
            ("20m", ()),
            ("21m", [failed(17, " Exceptions: ConnectionError TimeoutError.")]),
            ("45m", ()),
        ),
    ),
    Case(
        "a task that only ever fails",
        {**ALIVE, **outcomes("0x300", "0+1x300", born="0x400")},
        only("AfterwordTaskFailed", ("10m", [failed(40)]), ("40m", [failed(60)])),
    ),
)

TASK_DROPPED: Final = (
    Case(
        "born at 4 is 4 dropped, by its reason",
        {
            **ALIVE,
            **counted(c.DROPPED, SIBLING, "_x8 4x300", "_x8 110x300"),
            **counted(c.DROPPED, {"reason": words.SHUTDOWN}, "6x300"),
        },
        only("AfterwordTaskDropped", ("1m45s", ()), ("2m", [dropped(4)]), ("23m", ())),
    ),
    Case(
        "two reasons are two alerts",
        {
            **ALIVE,
            **counted(c.DROPPED, SIBLING, "_x8 4x300", "_x8 110x300"),
            **counted(c.DROPPED, {"reason": words.SHUTDOWN}, "6x40 7x300"),
        },
        only("AfterwordTaskDropped", ("12m", [dropped(4), dropped(1, words.SHUTDOWN)])),
    ),
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
            ("30m", [overdue(2, "29m 0s", "5m 0s")]),
        ),
    ),
    Case(
        "a task with a long deadline of its own is in time",
        {**ALIVE, of(c.DEADLINE): "3600x400", of(c.OLDEST_RUNNING): "60x400", of(c.OVERDUE): "0x400"},
        only("AfterwordTaskOverdue", ("30m", ()), ("60m", ())),
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

SERVICE_GONE: Final = (
    Case(
        "no process for three minutes",
        {**UPS, of(c.PROCESSES): "4x20 0x300"},
        only("AfterwordServiceGone", ("8m", ()), ("8m15s", [service_gone()]), ("60m", [service_gone()])),
    ),
    Case(
        "one of two hosts is drained: the service lives",
        {**UPS, of(c.PROCESSES): "4x20 0x300", of(c.PROCESSES, instance=HOST_B): "4x400"},
        only("AfterwordServiceGone", ("10m", ()), ("60m", ())),
    ),
    Case(
        "one of two services is gone: only that one",
        {**UPS, of(c.PROCESSES): "4x400", of(c.PROCESSES, service="billing"): "2x20 0x300"},
        only("AfterwordServiceGone", ("10m", [service_gone("billing")])),
    ),
)

SIDECAR_DOWN: Final = (
    Case(
        "one of two sidecars does not answer",
        {of(UP): "1x20 0x300", of(UP, instance=HOST_B): "1x400"},
        only("AfterwordSidecarDown", ("7m", ()), ("7m15s", [sidecar_down("host-a:9796")])),
    ),
    Case(
        "no target at all, though other jobs are scraped",
        {of(UP, job="node"): "1x400"},
        only("AfterwordSidecarDown", ("1m45s", ()), ("2m", [sidecar_down(None)])),
    ),
    Case(
        "another job is down: not ours",
        {of(UP): "1x400", of(UP, job="node"): "0x400"},
        only("AfterwordSidecarDown", ("30m", ())),
    ),
)

FILES: Final[Mapping[str, Sequence[Case]]] = {
    "silence.test.yml": SILENCE,
    "AfterwordTaskLost.test.yml": TASK_LOST,
    "AfterwordTaskOverdue.test.yml": TASK_OVERDUE,
    "AfterwordTaskLate.test.yml": TASK_LATE,
    "AfterwordTaskFailed.test.yml": TASK_FAILED,
    "AfterwordTaskDropped.test.yml": TASK_DROPPED,
    "AfterwordServiceGone.test.yml": SERVICE_GONE,
    "AfterwordSidecarDown.test.yml": SIDECAR_DOWN,
}
