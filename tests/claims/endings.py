"""Claims of the alerts on how runs ended."""

from collections.abc import Mapping
from typing import Final

from afterword import contract as c
from afterword import words
from afterword.alerts.promql import UP
from tests.alert_cases import (
    ALIVE,
    FAILED,
    HOST_B,
    KILLED,
    NAMED,
    SERVICE,
    SERVICE_LINK,
    SIBLING,
    TASK,
    TASK_LINK,
    WORKER,
    Case,
    Firing,
    counted,
    of,
    only,
    outcomes,
)

UNSTARTED: Final = {"reason": words.LOST_SHUTDOWN, "phase": words.WAITING}
COLLECTED: Final = {"reason": words.LOST_COLLECTED, "phase": words.RUNNING}
MAILBOX: Final = {**SERVICE, **WORKER}
MAILBOX_LINK: Final = f"{SERVICE_LINK}&var-task=shop.poll_mailbox"


def lost(count: int, labels: Mapping[str, str] = KILLED, task: Mapping[str, str] = TASK) -> Firing:
    """AfterwordTaskLost with its number."""
    waiting = labels["phase"] == words.WAITING
    end = "None of their code ran." if waiting else "How far each of them got is not known."
    how = f"that were {labels['phase']} when their process ended (reason: {labels['reason']}). {end}"
    if labels == COLLECTED:
        how = (
            "in the middle of which the garbage collector came: nothing held them but the event loop's weak reference."
        )
    return Firing(
        {**task, **labels, "severity": "critical"},
        "Background work was lost: it will never be finished.",
        f"{count} lost in the last 15m: runs of {task['task']} ({task['kind']}) in service shop {how}",
        f"{SERVICE_LINK}&var-task={task['task']}",
    )


def failed(count: int, exceptions: str = "", task: Mapping[str, str] = TASK) -> Firing:
    """AfterwordTaskFailed with its number and the classes that moved."""
    return Firing(
        {**task, "severity": "warning"},
        "Background work failed after its response had been sent.",
        f"{count} failed in the last 15m: runs of {task['task']} ({task['kind']}) in service shop.{exceptions}",
        f"{SERVICE_LINK}&var-task={task['task']}",
    )


def swallowed(count: int) -> Firing:
    """AfterwordTaskSwallowedError of a task."""
    return Firing(
        {**TASK, "severity": "warning"},
        "Background work met an error and ended as if nothing had happened.",
        f"{count} swallowed in the last 15m: {NAMED} that ended well although an error was logged or recorded in them.",
        TASK_LINK,
    )


def keeps_failing(count: int) -> Firing:
    """AfterwordTaskSwallowedError of a worker."""
    return Firing(
        {**MAILBOX, "severity": "warning"},
        "Background work met an error and ended as if nothing had happened.",
        f"{count} errors in the last 15m: the worker shop.poll_mailbox in service shop keeps failing inside its own "
        "try/except, and goes on.",
        MAILBOX_LINK,
    )


def cancelled(count: int, reason: str, why: str) -> Firing:
    """AfterwordTaskCancelled with its number and reason."""
    return Firing(
        {**TASK, "reason": reason, "severity": "warning"},
        "Background work was cancelled before it was done.",
        f"{count} cancelled in the last 15m: {NAMED}, because {why} (reason: {reason}).",
        TASK_LINK,
    )


def dropped(count: int, reason: str = words.SIBLING_FAILED) -> Firing:
    """AfterwordTaskDropped with its number."""
    return Firing(
        {**TASK, "reason": reason, "severity": "warning"},
        "Background work was handed over and will never start.",
        f"{count} dropped in the last 15m: {NAMED} that were handed over and will never start (reason: {reason}).",
        TASK_LINK,
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
    Case(
        "a worker goes with its process: nobody waits for its end, but the tasks beside it are lost",
        {
            **ALIVE,
            **counted(c.LOST, KILLED, "_x8 4x300", "_x8 110x300", **WORKER),
            **counted(c.LOST, KILLED, "_x8 2x300", "_x8 110x300"),
        },
        only("AfterwordTaskLost", ("2m", [lost(2)]), ("10m", [lost(2)])),
    ),
    Case(
        "the garbage collector takes a run, and a worker, while the process lives",
        {
            **ALIVE,
            **counted(c.LOST, COLLECTED, "_x8 3x300", "_x8 110x300"),
            **counted(c.LOST, COLLECTED, "_x8 1x300", "_x8 110x300", **WORKER),
        },
        only("AfterwordTaskLost", ("1m45s", ()), ("2m", [lost(3, COLLECTED), lost(1, COLLECTED, MAILBOX)])),
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
    Case(
        "a worker fails and is started again at once: nothing else would tell",
        {
            **ALIVE,
            **counted(c.FINISHED, FAILED, "0x8 1x300", **WORKER),
            of(c.WORKERS_ENDED, WORKER): "0x400",
            of(c.ERRORS, WORKER, exception="KeyError"): "_x9 1x300",
        },
        only("AfterwordTaskFailed", ("2m", ()), ("2m15s", [failed(1, " Exceptions: KeyError.", MAILBOX)])),
    ),
    Case(
        "a worker fails and stays ended: AfterwordWorkerEnded tells",
        {
            **ALIVE,
            **counted(c.FINISHED, FAILED, "0x8 1x300", **WORKER),
            of(c.WORKERS_ENDED, WORKER): "0x8 1x300",
        },
        only("AfterwordTaskFailed", ("2m15s", ()), ("5m", ()), ("20m", ())),
    ),
)

TASK_SWALLOWED: Final = (
    Case(
        "a known task logs an error and ends well; the runs around it do not",
        {**ALIVE, **outcomes("0+10x300"), **counted(c.SWALLOWED, None, "0x40 3x300")},
        only(
            "AfterwordTaskSwallowedError",
            ("10m", ()),
            ("10m15s", [swallowed(3)]),
            ("25m", [swallowed(3)]),
            ("31m", ()),
        ),
    ),
    Case(
        "the first run ever swallows its error: the total is born with it",
        {**ALIVE, **counted(c.SWALLOWED, None, "_x8 1x300", "_x8 110x300")},
        only("AfterwordTaskSwallowedError", ("1m45s", ()), ("2m", [swallowed(1)])),
    ),
    Case(
        "a worker that logs an error in every iteration",
        {**ALIVE, **counted(c.SWALLOWED, None, "0x8 1+1x300", "0x400", **WORKER)},
        only("AfterwordTaskSwallowedError", ("2m", ()), ("4m", [keeps_failing(8)]), ("20m", [keeps_failing(60)])),
    ),
)

TASK_CANCELLED: Final = (
    Case(
        "a deploy cuts three runs; a request is cancelled, what runs await, and a run that nobody waits for",
        {
            **ALIVE,
            **counted(c.CANCELLED, {"reason": words.CANCELLED_SHUTDOWN}, "_x8 3x300", "_x8 110x300"),
            **counted(c.CANCELLED, {"reason": words.CANCELLED_REQUEST}, "40x8 41x300"),
            **counted(c.CANCELLED, {"reason": words.CANCELLED_INNER}, "0x8 2x300"),
            **counted(c.CANCELLED, {"reason": words.CANCELLED_ORPHANED}, "7x8 8x300"),
        },
        only(
            "AfterwordTaskCancelled",
            ("1m45s", ()),
            (
                "2m15s",
                [
                    cancelled(3, "shutdown", "their process stopped and did not wait for them"),
                    cancelled(1, "request", "the request they belong to was cancelled"),
                    cancelled(2, "inner", "something they awaited was cancelled"),
                    cancelled(1, "orphaned", "somebody called cancel() when whoever spawned them had ended"),
                ],
            ),
            ("23m", ()),
        ),
    ),
    Case(
        "who spawned it and calls cancel() wants the end, and a worker ends like that with its process",
        {
            **ALIVE,
            **counted(c.CANCELLED, {"reason": words.CANCELLED_REQUESTED}, "_x8 9+1x300", "_x8 110x300"),
            **counted(c.CANCELLED, {"reason": words.CANCELLED_SHUTDOWN}, "_x8 4x300", "_x8 110x300", **WORKER),
        },
        only("AfterwordTaskCancelled", ("2m", ()), ("10m", ())),
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
