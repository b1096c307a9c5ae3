"""Claims of the alerts on processes: loop, threads, stopping, dying."""

from collections.abc import Mapping
from typing import Final

from afterword import contract as c
from afterword import words
from tests.alert_cases import ALIVE, HOST_B, SERVICE, SERVICE_LINK, UPS, Case, Firing, of, only
from tests.claims.silence import exits


def loop_blocked(age: str, task: str = "shop.send_email") -> Firing:
    """AfterwordEventLoopBlocked by a task of ours, or by code that is none."""
    on_it = task or "code that is none of our tasks (a request handler, for instance)"
    return Firing(
        {**SERVICE, **({"task": task} if task else {}), "severity": "critical"},
        "An event loop is blocked: its process answers nothing and runs nothing.",
        f"An event loop of service shop did not turn for {age}. On it is {on_it}. "
        "Everything else of that process waits.",
        SERVICE_LINK,
    )


def exhausted(waiting: int, busy: int, limit: int) -> Firing:
    """AfterwordThreadPoolExhausted with its three numbers."""
    return Firing(
        {**SERVICE, "severity": "warning"},
        "Every thread of a pool is taken, and more work waits for one.",
        f"{waiting} calls wait for a thread in service shop: {busy} of its {limit} threads are taken. "
        "Tasks and endpoints written with def wait behind them.",
        SERVICE_LINK,
    )


def hangs(age: str, running: str = "") -> Firing:
    """AfterwordShutdownHangs with its age, and what runs."""
    return Firing(
        {**SERVICE, "severity": "warning"},
        "A process was asked to stop and does not end.",
        f"A process of service shop was asked to stop {age} ago and is still there; "
        f"whoever runs out of patience with it will kill it.{running}",
        SERVICE_LINK,
    )


def service_gone(service: str = "shop") -> Firing:
    """AfterwordServiceGone."""
    return Firing(
        {"job": "afterword", "service": service, "severity": "critical"},
        "A service that was seen before has no living process.",
        f"{service} has 0 living processes in job afterword, for 3m or longer. "
        "What it still owed when it ended is in the books as lost.",
        SERVICE_LINK.replace("shop", service),
    )


def died(count: int, cause: str = words.EXIT_KILLED) -> Firing:
    """AfterwordProcessDied with its number and cause."""
    how = {
        words.EXIT_KILLED: "were killed from outside (out of memory, a supervisor's limit) or crashed",
        words.EXIT_FAILED: "ended with an error of their own",
    }
    return Firing(
        {**SERVICE, "cause": cause, "severity": "warning"},
        "A process did not end in order.",
        f"{count} died in the last 15m: processes of service shop that {how[cause]} (cause: {cause}).",
        SERVICE_LINK,
    )


def crash_loop(count: int) -> Firing:
    """AfterwordProcessCrashLoop with its number."""
    return Firing(
        {**SERVICE, "severity": "critical"},
        "Processes of a service die again and again.",
        f"{count} died in the last 15m: processes of service shop, at different times. "
        "What each of them owed is in the books as lost.",
        SERVICE_LINK,
    )


def pools(busy: str, waiting: str, limit: str = "160x400") -> Mapping[str, str]:
    """The thread pools of four processes."""
    return {**ALIVE, of(c.POOL_LIMIT): limit, of(c.POOL_BUSY): busy, of(c.POOL_WAITING): waiting}


LOOP_BLOCKED: Final = (
    Case(
        "a task computes on the loop for a minute and a half; the gauge is gone with it",
        {**ALIVE, of(c.LOOP_BLOCKED): "_x8 4+15x6 stale"},
        only(
            "AfterwordEventLoopBlocked",
            ("2m", ()),
            ("2m15s", [loop_blocked("19s")]),
            ("3m30s", [loop_blocked("1m 34s")]),
            ("8m", [loop_blocked("1m 34s")]),
            ("10m", ()),
        ),
    ),
    Case(
        "a request handler is on it, in one scrape only",
        {**ALIVE, of(c.LOOP_BLOCKED, task=""): "_x8 12 stale"},
        only("AfterwordEventLoopBlocked", ("1m45s", ()), ("2m", [loop_blocked("12s", "")]), ("9m", ())),
    ),
    Case(
        "nine seconds are a busy machine",
        {**ALIVE, of(c.LOOP_BLOCKED): "_x8 9 stale _x4 9 stale"},
        only("AfterwordEventLoopBlocked", ("2m", ()), ("3m30s", ()), ("5m", ())),
    ),
)

POOL_EXHAUSTED: Final = (
    Case(
        "all threads of all four processes are taken, more and more calls wait",
        pools("40x20 160x300", "0x20 2+2x300"),
        only(
            "AfterwordThreadPoolExhausted",
            ("5m", ()),
            ("7m", ()),
            ("7m15s", [exhausted(18, 160, 160)]),
        ),
    ),
    Case(
        "one of four processes has no thread left: its own calls wait",
        pools("3x20 43x300", "0x20 5x300"),
        only("AfterwordThreadPoolExhausted", ("7m", ()), ("8m", [exhausted(5, 43, 160)])),
    ),
    Case(
        "all taken, and nobody waits: a pool of the right size",
        pools("160x400", "0x400"),
        only("AfterwordThreadPoolExhausted", ("5m", ())),
    ),
    Case(
        "a burst fills it for a minute and a half",
        pools("40x20 160x6 40x300", "0x20 300x6 0x300"),
        only("AfterwordThreadPoolExhausted", ("6m45s", ()), ("7m30s", ()), ("8m", ())),
    ),
    Case(
        "no pool is known: nothing to be full",
        pools("0x400", "0x400", "0x400"),
        only("AfterwordThreadPoolExhausted", ("5m", ())),
    ),
)

SHUTDOWN_HANGS: Final = (
    Case(
        "asked to stop, and still there: the runs it waits for are named",
        {
            **ALIVE,
            of(c.STOPPING): "0x19 300x300",
            of(c.RUNNING_RUNS): "2x300",
            of(c.RUNNING_RUNS, task="shop.export"): "1x300",
            of(c.RUNNING_RUNS, task="shop.idle"): "0x300",
        },
        only(
            "AfterwordShutdownHangs",
            ("7m", ()),
            ("8m", ()),
            ("8m15s", [hangs("3m 15s", " Running in that service: shop.export shop.send_email.")]),
        ),
    ),
    Case(
        "it ends after two minutes and a half",
        {**ALIVE, of(c.STOPPING): "0x19 300x10 0x300"},
        only("AfterwordShutdownHangs", ("7m15s", ()), ("8m", ()), ("10m", ())),
    ),
)

SERVICE_GONE: Final = (
    Case(
        "no process for three minutes",
        {**UPS, of(c.PROCESSES): "4x20 0x300"},
        only("AfterwordServiceGone", ("8m", ()), ("8m15s", [service_gone()]), ("20m", [service_gone()])),
    ),
    Case(
        "one of two hosts is drained: the service lives",
        {**UPS, of(c.PROCESSES): "4x20 0x300", of(c.PROCESSES, instance=HOST_B): "4x400"},
        only("AfterwordServiceGone", ("8m15s", ()), ("20m", ())),
    ),
    Case(
        "one of two services is gone: only that one",
        {**UPS, of(c.PROCESSES): "4x400", of(c.PROCESSES, service="billing"): "2x20 0x300"},
        only("AfterwordServiceGone", ("10m", [service_gone("billing")])),
    ),
)

PROCESS_DIED: Final = (
    Case(
        "one is killed, two end with an error; clean exits and a reboot are not counted",
        {
            **ALIVE,
            **exits("7+1x400", "3x20 4x300", "0x20 2x300"),
            of(c.PROCESS_EXITS, cause=words.EXIT_UNKNOWN): "0x20 4x300",
        },
        only(
            "AfterwordProcessDied",
            ("5m", ()),
            ("5m15s", [died(1), died(2, words.EXIT_FAILED)]),
            ("19m", [died(1), died(2, words.EXIT_FAILED)]),
            ("26m", ()),
        ),
    ),
    Case(
        "a process that lives shorter than a scrape: the service is born with its death",
        {**ALIVE, **exits("_x8 0x300", "_x8 0x300", "_x8 1x300", born="_x8 110x300")},
        only("AfterwordProcessDied", ("1m45s", ()), ("2m", [died(1, words.EXIT_FAILED)])),
    ),
)

CRASH_LOOP: Final = (
    Case(
        "three deaths in ten minutes, of two causes",
        {**ALIVE, **exits(killed="3x20 4x20 5x300", failed="0x30 1x300")},
        only(
            "AfterwordProcessCrashLoop",
            ("5m15s", ()),
            ("10m", ()),
            ("10m30s", [crash_loop(3)]),
            ("19m", [crash_loop(3)]),
            ("26m", ()),
        ),
    ),
    Case(
        "never seen alive: it dies at its start, again and again",
        {**UPS, **exits("_x8 0x300", "_x8 0x300", "_x8 1+1x300", born="_x8 110x300")},
        only("AfterwordProcessCrashLoop", ("2m15s", ()), ("2m30s", [crash_loop(3)])),
    ),
    Case(
        "the four processes of one container are killed at once: bad, and no loop",
        {**ALIVE, **exits(killed="3x20 7x300")},
        only("AfterwordProcessCrashLoop", ("5m15s", ()), ("10m", ())),
    ),
    Case(
        "two hosts lose one each, twice an hour: no loop",
        {
            **ALIVE,
            **exits(killed="3x20 4x70 5x300"),
            of(c.PROCESS_EXITS, cause=words.EXIT_KILLED, instance=HOST_B): "8x20 9x70 10x300",
        },
        only("AfterwordProcessCrashLoop", ("6m", ()), ("24m", ())),
    ),
)
