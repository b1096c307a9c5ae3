"""What must not alarm anybody: each case holds every alert silent at every moment."""

from typing import Final

from afterword import contract as c
from afterword import words
from afterword.alerts.promql import UP
from tests.alert_cases import (
    ALIVE,
    FAILED,
    KILLED,
    LIMITS,
    NOTHING_OPEN,
    OLD,
    SIBLING,
    UPS,
    WORKER,
    Case,
    counted,
    of,
    outcomes,
    silent,
)

SHUTDOWN: Final = {"reason": words.CANCELLED_SHUTDOWN}
REQUESTED: Final = {"reason": words.CANCELLED_REQUESTED}


def exits(clean: str = "7x400", killed: str = "3x400", failed: str = "0x400", born: str = OLD) -> dict[str, str]:
    """How processes ended, all causes from 0."""
    return {
        **counted(c.PROCESS_EXITS, {"cause": words.EXIT_CLEAN}, clean, born),
        **counted(c.PROCESS_EXITS, {"cause": words.EXIT_KILLED}, killed, born),
        **counted(c.PROCESS_EXITS, {"cause": words.EXIT_FAILED}, failed, born),
    }


def route(with_: str, without: str = "0x400", scheduled: str | None = None, born: str = OLD) -> dict[str, str]:
    """A route's responses with and without a task, and those that scheduled its one task."""
    return {
        of(c.ROUTE_RESPONSES, scheduled="true"): with_,
        of(c.ROUTE_RESPONSES, scheduled="false"): without,
        **counted(c.ROUTE_SCHEDULED, None, scheduled or with_, born),
        of(c.ROUTE_MISSED): "0x400",
    }


#: A lifespan worker of six processes' age, as old as the test, progressing; loops that turn, pools with room.
RUNNING_WELL: Final = {
    of(c.WORKERS_ENDED, WORKER): "0x400",
    of(c.WORKERS_STALLED, WORKER): "0x400",
    of(c.WORKER_PROGRESS, WORKER): "0+15x400",
    of(c.OLDEST_RUNNING, WORKER): "1x400",
    of(c.OLDEST_WAITING, WORKER): "0x400",
    of(c.DEADLINE, WORKER): "300x400",
    of(c.START_DEADLINE, WORKER): "60x400",
    of(c.USUAL, WORKER): "5x400",
    of(c.INTERVAL, WORKER): "30x400",
    of(c.LAST_SUCCESS, WORKER): "0+15x400",
    **counted(c.FINISHED, FAILED, "0x400", **WORKER),
    **counted(c.SWALLOWED, None, "4x400", **WORKER),
    of(c.STOPPING): "0x400",
    of(c.LOOP_LAG): "0.2x400",
    of(c.POOL_LIMIT): "160x400",
    of(c.POOL_BUSY): "38x400",
    of(c.POOL_WAITING): "0x400",
    **exits(),
    **counted(c.INTERNAL_ERRORS, None, "2x400"),
    **counted(c.OVERFLOW, None, "900x400", bound="slots"),
    of(c.SIDECAR_DIRECTORY): "1x400",
    of(c.SIDECAR_UNKNOWN): "0x400",
    of(c.SIDECAR_SCAN): "0+15x400",
}
HEALTHY: Final = {**ALIVE, **LIMITS, **RUNNING_WELL}

SILENCE: Final = (
    Case(
        "busy: ten runs a second, three always open, none older than a few seconds",
        {
            **HEALTHY,
            **outcomes("0+150x400"),
            **route("0+150x400"),
            **counted(c.SWALLOWED, None, "0x400"),
            **counted(c.CANCELLED, REQUESTED, "0+1x400"),
            of(c.SCHEDULED): "3+150x400",
            of(c.STARTED): "3+150x400",
            of(c.RUNNING_RUNS): "3x400",
            of(c.OLDEST_RUNNING): "1+15x400",
            of(c.OLDEST_WAITING): "0x400",
            of(c.USUAL): "0.25x400",
            of(c.INTERVAL): "60x400",
            of(c.LAST_SUCCESS): "0+15x400",
            # Now and then every thread is taken, for less than a scrape; a loop is busy for seconds.
            of(c.POOL_BUSY): "38x5 160x2 38x9 160x4 38x400",
            of(c.POOL_WAITING): "0x5 12x2 0x9 3x4 0x400",
            of(c.LOOP_BLOCKED, task="shop.report"): "_x20 8 stale _x20 9 stale",
        },
        silent("1m45s", "2m", "5m", "5m15s", "20m", "35m"),
    ),
    Case(
        "bursty: a thousand runs at once, the last one starts after 50 s and runs 4 min, as it usually does",
        {
            **HEALTHY,
            **outcomes("0x20 600x12 1000x300"),
            **route("0x19 1000x300"),
            of(c.OLDEST_WAITING): "0x20 300x3 0x400",
            of(c.OLDEST_RUNNING): "0x20 315x15 0x400",
            of(c.USUAL): "300x400",
            of(c.LATE): "0x400",
            of(c.OVERDUE): "0x400",
            of(c.POOL_BUSY): "0x19 160x6 0x400",
            of(c.POOL_WAITING): "0x19 840 600 400 200 100 10 0x400",
        },
        silent("5m30s", "6m", "6m30s", "8m", "9m", "30m"),
    ),
    Case(
        "long by habit: a run of 25 min, and the next, within their declared deadline",
        {
            **HEALTHY,
            of(c.DEADLINE): "3600x400",
            of(c.USUAL): "3600x400",
            of(c.OLDEST_RUNNING): "1x100 1500x400",
            of(c.OVERDUE): "0x400",
            **outcomes("0x100 1x200"),
        },
        silent("10m", "25m"),
    ),
    Case(
        "busy, deadlines of 5 s, scraped every two minutes: at each scrape the oldest run was 2 s old",
        {
            **ALIVE,
            of(c.DEADLINE): "5x400",
            of(c.START_DEADLINE): "5x400",
            of(c.USUAL): "1x400",
            of(c.OLDEST_RUNNING): "_x8 " + " _x7 ".join(str(scrape * 120 - 2) for scrape in range(1, 30)),
            of(c.OLDEST_WAITING): "_x8 " + " _x7 ".join(str(scrape * 120 - 2) for scrape in range(1, 30)),
            of(c.INTERVAL): "30x400",
            of(c.LAST_SUCCESS): "_x8 " + " _x7 ".join(str(scrape * 120 - 2) for scrape in range(1, 30)),
            of(c.SIDECAR_SCAN): "_x8 " + " _x7 ".join(str(scrape * 120) for scrape in range(1, 30)),
        },
        silent("10m", "11m45s", "13m30s", "15m45s"),
    ),
    Case(
        "idle, quiet at night: old failures, losses, drops and misses of every kind, and nothing since",
        {
            **HEALTHY,
            **NOTHING_OPEN,
            **outcomes("70000x400", "12x400"),
            **route("9000x400", "30x400"),
            of(c.ROUTE_MISSED): "11x400",
            **counted(c.LOST, KILLED, "20x400"),
            **counted(c.DROPPED, SIBLING, "4x400"),
            **counted(c.CANCELLED, SHUTDOWN, "6x400"),
            **counted(c.SWALLOWED, None, "8x400"),
        },
        silent("15s", "15m", "16m", "35m"),
    ),
    Case(
        "low traffic: one run in ten minutes, and it succeeds",
        {
            **HEALTHY,
            **outcomes("0x40 1x40 2x40 3x200", born="0x400"),
            **route("0x40 1x40 2x40 3x200", born="0x400"),
            **counted(c.SWALLOWED, None, "0x400", "0x400"),
            of(c.OLDEST_RUNNING): "0x39 585 0x300",
            of(c.LAST_SUCCESS): "0x40 615x40 1230x40 1845x200",
        },
        silent("10m", "10m30s", "20m", "40m"),
    ),
    Case(
        "a clean deploy: runs end, workers are stopped, no process for 2 min 45 s, then four again",
        {
            **HEALTHY,
            **outcomes("0+10x20 200x11 200+10x300"),
            **route("0+10x20 200x11 200+10x300"),
            **counted(c.CANCELLED, SHUTDOWN, "_x22 4x300", "_x22 330x300", **WORKER),
            **counted(c.FINISHED, {"outcome": words.CANCELLED}, "0x21 4x300", **WORKER),
            **exits(clean="7x20 9 10 11x400"),
            of(c.PROCESSES): "4x20 2 1 0x10 4x300",
            of(c.OLDEST_RUNNING): "1+15x20 300x2 0x10 480+15x300",
            of(c.OLDEST_RUNNING, WORKER): "1x22 0x10 480x300",
            of(c.WORKER_PROGRESS, WORKER): "0+15x21 0x10 480+15x300",
            of(c.STOPPING): "0x19 295x3 0x400",
        },
        silent("5m", "5m30s", "7m", "8m", "9m", "30m"),
    ),
    Case(
        "a drain of three minutes: the process waits for its last run",
        {**HEALTHY, **NOTHING_OPEN, of(c.STOPPING): "0x19 300x12 0x400", of(c.RUNNING_RUNS): "1x32 0x400"},
        silent("7m", "8m", "9m"),
    ),
    Case(
        "first start: everything is known since a minute, and everything went well",
        {
            of(UP): "_x4 1x400",
            of(c.PROCESSES): "_x8 1x400",
            of(c.DEADLINE): "_x8 300x400",
            of(c.START_DEADLINE): "_x8 60x400",
            of(c.USUAL): "_x8 0x400",
            of(c.INTERVAL): "_x8 3600x400",
            of(c.LAST_SUCCESS): "_x8 0x3 165x400",
            of(c.OLDEST_RUNNING): "_x8 110x2 0x400",
            of(c.OLDEST_WAITING): "_x8 0x400",
            **outcomes("_x8 0x3 1+1x300", "_x8 0x300", born="_x8 110x300"),
            **route("_x8 3+1x300", "_x8 2x300", born="_x8 110x300"),
            of(c.ROUTE_MISSED): "_x8 0x300",
            **counted(c.SWALLOWED, None, "_x8 0x300", "_x8 110x300"),
            **exits("_x8 0x300", "_x8 0x300", "_x8 0x300", born="_x8 110x300"),
            **counted(c.INTERNAL_ERRORS, None, "_x8 0x300", "_x8 110x300"),
            of(c.WORKERS_ENDED, WORKER): "_x8 0x400",
            of(c.WORKERS_STALLED, WORKER): "_x8 0x400",
            of(c.WORKER_PROGRESS, WORKER): "_x8 110+15x400",
            of(c.SIDECAR_DIRECTORY): "_x4 0x3 1x400",
            of(c.SIDECAR_SCAN): "_x4 60+15x400",
        },
        silent("1m", "2m", "2m15s", "5m", "20m", "35m"),
    ),
    Case(
        "the sidecar restarts: a minute without scrapes, the same totals and births after it",
        {
            of(UP): "1x20 0x3 1x300",
            of(c.PROCESSES): "4x20 stale _x2 4x300",
            **{
                series: f"{total}x20 stale _x2 {total}x300"
                for series, total in {
                    **counted(c.LOST, KILLED, "20", "-90000"),
                    **counted(c.FINISHED, FAILED, "12", "-90000"),
                    **counted(c.SWALLOWED, None, "5", "-90000"),
                    **counted(c.CANCELLED, SHUTDOWN, "6", "-90000"),
                    **exits("9", "4", "1", "-90000"),
                    **counted(c.INTERNAL_ERRORS, None, "3", "-90000"),
                    **counted(c.OVERFLOW, None, "900", "-90000", bound="slots"),
                }.items()
            },
            **route("0+10x20 stale _x2 230+10x300", born="-90000x20 stale _x2 -90000x300"),
            of(c.ROUTE_MISSED): "2x20 stale _x2 2x300",
        },
        silent("5m15s", "6m", "7m", "8m", "20m", "30m"),
    ),
    Case(
        "twenty minutes without scrapes, and nothing happened in them",
        {
            **ALIVE,
            **{
                series: f"{total}x79 _x80 {total}x300"
                for series, total in {
                    **counted(c.LOST, KILLED, "20", "-90000"),
                    **counted(c.DROPPED, SIBLING, "4", "-90000"),
                    **counted(c.FINISHED, FAILED, "12", "-90000"),
                    **counted(c.SWALLOWED, None, "5", "-90000"),
                    **exits("9", "4", "1", "-90000"),
                }.items()
            },
            **route("9000x79 _x80 9000x300", born="-90000x79 _x80 -90000x300"),
        },
        silent("40m", "40m15s", "41m", "60m"),
    ),
    Case(
        "the directory is new: totals start again below what they were",
        {
            **ALIVE,
            **outcomes("70000x40 0+10x300", "12x40 0x300", "-90000x40 600x300"),
            **counted(c.LOST, KILLED, "20x40 stale", "-90000x40 stale"),
            **exits("9x40 0x300", "4x40 0x300", "1x40 0x300", "-90000x40 600x300"),
            **route("70000x40 0+10x300", "100x40 0x300", born="-90000x40 600x300"),
        },
        silent("10m", "10m15s", "14m", "20m", "26m", "40m"),
    ),
    Case(
        "a new Prometheus meets old totals",
        {
            **ALIVE,
            **{
                series: f"_x20 {total}x300"
                for series, total in {
                    **counted(c.LOST, KILLED, "20", "-90000"),
                    **counted(c.FINISHED, FAILED, "12", "-90000"),
                    **counted(c.DROPPED, SIBLING, "4", "-90000"),
                    **counted(c.SWALLOWED, None, "5", "-90000"),
                    **counted(c.CANCELLED, SHUTDOWN, "6", "-90000"),
                    **exits("9", "4", "1", "-90000"),
                    **counted(c.INTERNAL_ERRORS, None, "3", "-90000"),
                    **counted(c.OVERFLOW, None, "900", "-90000", bound="slots"),
                }.items()
            },
            **route("_x20 70000+20x300", "_x20 300+1x300", born="_x20 -90000x300"),
            of(c.ROUTE_MISSED): "_x20 2x300",
        },
        silent("5m", "5m15s", "6m", "8m15s", "21m", "38m"),
    ),
    Case("no data: a sidecar that answers and has seen no service", UPS, silent("1m", "30m")),
)
