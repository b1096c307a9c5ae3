"""Claims of the alerts on routes that answer and no longer schedule."""

from collections.abc import Mapping
from typing import Final

from afterword import contract as c
from tests.alert_cases import ALIVE, HOST_B, ROUTE, SERVICE_LINK, Case, Firing, counted, of, only, silent
from tests.claims.silence import route

SEND: Final = {**ROUTE, "task": "shop.send_email"}


def stopped(responses: int, before: int, labels: Mapping[str, str] = SEND) -> Firing:
    """AfterwordRouteStoppedScheduling with its responses, and how many scheduled it before."""
    return Firing(
        {**labels, "severity": "warning"},
        "A route answers as always, but no longer schedules its background work.",
        f"The last {responses} successful responses of POST /register in service shop did not schedule "
        f"{labels['task']}; {before} earlier ones did.",
        SERVICE_LINK,
    )


def missed(count: int) -> Firing:
    """AfterwordRouteMissedTask with its number."""
    return Firing(
        {**SEND, "severity": "warning"},
        "A route did not schedule the background work that it declares.",
        f"{count} successful responses of POST /register in service shop in the last 15m did not schedule "
        "shop.send_email, which the route declares with expects().",
        SERVICE_LINK,
    )


def links(**scheduled: str) -> dict[str, str]:
    """Several tasks of one route, all as old as the route."""
    series: dict[str, str] = {}
    for task, total in scheduled.items():
        series |= counted(c.ROUTE_SCHEDULED, None, total, task=f"shop.{task}")
    return series


STOPPED_SCHEDULING: Final = (
    Case(
        "it stops between two scrapes, traffic goes on",
        {**ALIVE, **route("0+3x40 120x300", "0x40 3+3x300")},
        only(
            "AfterwordRouteStoppedScheduling",
            ("10m", ()),
            ("13m", ()),
            ("13m30s", [stopped(36, 120)]),
            ("30m", [stopped(36, 120)]),
        ),
    ),
    Case(
        "it is repaired",
        {
            **ALIVE,
            **route("0+3x40 120x40 123+3x300", "0x40 3+3x40 123x300"),
        },
        only("AfterwordRouteStoppedScheduling", ("20m", [stopped(36, 120)]), ("26m", ()), ("30m", ())),
    ),
    Case(
        "little traffic: one response in three minutes shows after half an hour",
        {
            **ALIVE,
            **route(
                " ".join(f"{n}x11" for n in range(20)) + " 20x400",
                "0x239 " + " ".join(f"{n}x11" for n in range(1, 20)) + " 20x400",
            ),
        },
        only("AfterwordRouteStoppedScheduling", ("60m", ()), ("85m", ()), ("92m", [stopped(10, 20)])),
    ),
    Case(
        "a Prometheus that is five minutes old: the totals are the past",
        {**ALIVE, **route("_x20 70000x300", "_x20 3+3x300")},
        only("AfterwordRouteStoppedScheduling", ("8m", ()), ("8m30s", [stopped(36, 70000)])),
    ),
    Case(
        "after a restart of sidecar and application it stops: a minute without scrapes in between",
        {
            **ALIVE,
            of(c.ROUTE_RESPONSES, scheduled="true"): "0+3x40 stale _x3 120x300",
            of(c.ROUTE_RESPONSES, scheduled="false"): "0x40 stale _x3 3+3x300",
            **counted(c.ROUTE_SCHEDULED, None, "0+3x40 stale _x3 120x300", "-90000x40 stale _x3 -90000x300"),
        },
        only("AfterwordRouteStoppedScheduling", ("14m", ()), ("14m45s", [stopped(36, 120)])),
    ),
    Case(
        "one of three tasks is no longer scheduled; its route still schedules the others",
        {
            **ALIVE,
            of(c.ROUTE_RESPONSES, scheduled="true"): "0+3x400",
            of(c.ROUTE_RESPONSES, scheduled="false"): "0x400",
            **links(send_email="0+3x400", reserve="0+3x40 120x300", pack="0+3x400"),
        },
        only(
            "AfterwordRouteStoppedScheduling",
            ("13m", ()),
            ("13m45s", [stopped(36, 120, {**SEND, "task": "shop.reserve"})]),
        ),
    ),
    Case(
        "the task was moved to another module: the route schedules its new name since the deploy",
        {
            **ALIVE,
            of(c.ROUTE_RESPONSES, scheduled="true"): "0+3x400",
            of(c.ROUTE_RESPONSES, scheduled="false"): "0x400",
            **counted(c.ROUTE_SCHEDULED, None, "0+3x40 120x300"),
            **counted(c.ROUTE_SCHEDULED, None, "_x41 3+3x300", "_x41 615x300", task="shop.mail.send_email"),
        },
        silent("10m15s", "13m", "14m", "35m"),
    ),
    Case(
        "two hosts: one is new and schedules, the other gets no traffic",
        {
            **ALIVE,
            **route("0+3x40 120x300", "0x400"),
            of(c.ROUTE_RESPONSES, scheduled="true", instance=HOST_B): "_x41 3+3x300",
            of(c.ROUTE_RESPONSES, scheduled="false", instance=HOST_B): "_x41 0x300",
            **counted(c.ROUTE_SCHEDULED, None, "_x41 3+3x300", "_x41 615x300", instance=HOST_B),
        },
        silent("13m", "14m", "41m"),
    ),
    Case("traffic stops", {**ALIVE, **route("0+3x40 120x300")}, silent("13m", "14m", "41m")),
    Case(
        "every second response stops scheduling: what the route declares would tell, its past cannot",
        {**ALIVE, **route("0+4x40 160+2x300", "0x40 2+2x300")},
        silent("13m", "14m", "41m"),
    ),
    Case(
        "one response in twenty schedules it, and for an hour none did",
        {**ALIVE, **route("0+1x100 100x300", "0+19x100 1900+20x300")},
        silent("28m15s", "30m", "56m"),
    ),
    Case(
        "one in three schedules it: ten without one are chance, forty are not",
        {**ALIVE, **route("0+1x100 100x300", "0+2x100 200+1x300")},
        only("AfterwordRouteStoppedScheduling", ("28m", ()), ("35m", ()), ("56m", [stopped(120, 100)])),
    ),
    Case(
        "a new route: it scheduled four times, and no more",
        {**ALIVE, **route("_x8 1 2 3 4 4x300", "_x8 0x3 3+3x300", born="_x8 110x300")},
        silent("6m", "10m", "35m"),
    ),
)

MISSED_TASK: Final = (
    Case(
        "a declared task is missed now and then, by a route that schedules it otherwise",
        {
            **ALIVE,
            **route("0+3x400", "0x20 2x300"),
            of(c.ROUTE_MISSED): "0x20 2x300",
        },
        only("AfterwordRouteMissedTask", ("5m", ()), ("5m15s", [missed(2)]), ("19m", [missed(2)]), ("26m", ())),
    ),
    Case(
        "the first response ever misses it: born at 1",
        {**ALIVE, **counted(c.ROUTE_SCHEDULED, None, "_x8 0x300", "_x8 110x300"), of(c.ROUTE_MISSED): "_x8 1x300"},
        only("AfterwordRouteMissedTask", ("1m45s", ()), ("2m", [missed(1)])),
    ),
)
