"""Claims of the alerts on afterword itself."""

from typing import Final

from afterword import contract as c
from afterword.alerts.promql import UP
from tests.alert_cases import ALIVE, HOST_B, LINK, SERVICE, TARGET, Case, Firing, counted, of, only


def sidecar_down(instance: str | None) -> Firing:
    """AfterwordSidecarDown, for one target or for no target at all."""
    found = (
        f"{instance} of job afterword has not answered for 2m or longer (up is 0). "
        "The other alerts of afterword cannot fire for what it watches."
    )
    none = (
        'Prometheus has 0 targets with job=~"afterword.*": either no sidecar is scraped, '
        "or under another job name (see --job)."
    )
    return Firing(
        {**({"job": "afterword", "instance": instance} if instance else {}), "severity": "critical"},
        "Nothing is known about background work: the sidecar cannot be scraped.",
        found if instance else none,
        LINK if instance else "/d/DASHBOARD?var-job=",
    )


def degraded(problem: str, text: str, **labels: str) -> Firing:
    """AfterwordLedgerDegraded, by what is wrong."""
    return Firing(
        {"job": "afterword", **labels, "problem": problem, "severity": "warning"},
        "Not all background work is accounted for.",
        f"In job afterword {text}.",
        LINK,
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

SHOP: Final = {"service": SERVICE["service"]}
HOST: Final = {"instance": TARGET["instance"]}
SLOTS: Final = degraded(
    "overflow",
    "a bound was hit 300 times in the last 15m in service shop (slots): totals stay right, detail is missing",
    **SHOP,
    reason="slots",
)
ROUTES: Final = degraded(
    "overflow",
    "a bound was hit 2 times in the last 15m in service shop (routes): totals stay right, detail is missing",
    **SHOP,
    reason="routes",
)
OWN_ERRORS: Final = degraded(
    "internal_errors",
    "afterword met 4 errors of its own in the last 15m in service shop: what they touched may not be booked",
    **SHOP,
)
UNREADABLE: Final = degraded(
    "unreadable",
    "1 files in the directory of host-a:9796 are left aside (corrupt): what they hold is not counted",
    **HOST,
    reason="corrupt",
)
UNKNOWN: Final = degraded(
    "unknown",
    "2 ledgers in the directory of host-a:9796 cannot be opened: whether their processes live is not known",
    **HOST,
)
UNACCOUNTED: Final = degraded(
    "unaccounted",
    "3 processes beside host-a:9796 run without a ledger (no_space): nothing of what they owe is counted",
    **HOST,
    reason="no_space",
)
DIRECTORY: Final = degraded(
    "directory",
    "the directory of host-a:9796 cannot be used (afterword_sidecar_directory_usable is 0): "
    "new processes run without a ledger",
    **HOST,
)

LEDGER_DEGRADED: Final = (
    Case(
        "bounds are hit, one for the first time; afterword meets errors of its own",
        {
            **ALIVE,
            **counted(c.OVERFLOW, None, "100x20 400x300", bound="slots"),
            **counted(c.OVERFLOW, None, "_x21 2x300", "_x21 310x300", bound="routes"),
            **counted(c.INTERNAL_ERRORS, None, "0x20 4x300"),
        },
        only(
            "AfterwordLedgerDegraded",
            ("5m15s", ()),
            ("7m", ()),
            ("7m15s", [SLOTS, ROUTES, OWN_ERRORS]),
            ("19m", [SLOTS, ROUTES, OWN_ERRORS]),
            ("26m", ()),
        ),
    ),
    Case(
        "files that cannot be trusted or opened, processes without a ledger, a directory that cannot be used",
        {
            **ALIVE,
            of(c.SIDECAR_UNREADABLE, reason="corrupt"): "_x20 1x300",
            of(c.SIDECAR_UNKNOWN): "0x19 2x300",
            of(c.SIDECAR_UNACCOUNTED, reason="no_space"): "_x20 3x300",
            of(c.SIDECAR_DIRECTORY): "1x19 0x300",
            of(c.SIDECAR_DIRECTORY, instance=HOST_B): "1x400",
        },
        only(
            "AfterwordLedgerDegraded",
            ("5m", ()),
            ("6m45s", ()),
            ("7m", [UNREADABLE, UNKNOWN, UNACCOUNTED, DIRECTORY]),
        ),
    ),
    Case(
        "a bookkeeper that answers and does not read",
        {**ALIVE, of(c.SIDECAR_SCAN): "0+15x20 300x300"},
        only(
            "AfterwordLedgerDegraded",
            ("6m", ()),
            ("8m", ()),
            (
                "8m15s",
                [
                    degraded(
                        "scan",
                        "host-a:9796 last read its ledgers 3m 15s before it was asked: its numbers are that old",
                        **HOST,
                    )
                ],
            ),
        ),
    ),
    Case(
        "a ledger that cannot be opened for a moment, and scrapes two minutes apart",
        {
            **ALIVE,
            of(c.SIDECAR_UNKNOWN): "0x19 1x3 0x300",
            of(c.SIDECAR_SCAN): "_x8 " + " _x7 ".join(str(scrape * 120) for scrape in range(1, 30)),
        },
        only("AfterwordLedgerDegraded", ("5m45s", ()), ("7m", ()), ("9m45s", ()), ("15m45s", ())),
    ),
)
