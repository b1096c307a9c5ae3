"""The telemetry itself: whether the sidecars see everything, and what of the accounting is not exact."""

from typing import Final

from grafana_foundation_sdk.models import dashboard as m

from afterword import contract
from afterword.alerts import links, thresholds
from afterword.alerts.promql import SCRAPE_DURATION, SCRAPE_SAMPLES, UP, age, select
from afterword.alerts.site import Site
from afterword.dashboards import parts, queries
from afterword.dashboards.frame import framed
from afterword.dashboards.going import said
from afterword.dashboards.layout import Place, Row
from afterword.dashboards.panels import bars, levels, times, verdict
from afterword.dashboards.parts import Query
from afterword.dashboards.table import Column, rows

UID: Final = links.TELEMETRY_UID

RED: Final = "red"
_ALERT: Final = "Alert: AfterwordLedgerDegraded."


def dashboard(_: Site) -> m.Dashboard:
    """The whole dashboard, classic format."""
    return framed(
        "Telemetry",
        UID,
        "Can the other dashboards be believed? Sidecars, ledgers, bounds that were hit, and afterword's own errors.",
        (_verdict(), _sidecars(), _gaps(), _versions()),
    )


def _verdict() -> Row:
    known = contract.PROCESSES
    overflow = f"sum({queries.happened(contract.OVERFLOW)})"
    errors = f"sum({queries.happened(contract.INTERNAL_ERRORS)})"
    panels = (
        verdict(
            "Blind targets",
            "Sidecars that do not answer, or have not read their ledgers for long, now. Alert: AfterwordSidecarDown.",
            queries.blind_targets(),
            bad=parts.CRITICAL,
        ),
        verdict(
            "Ledgers",
            "Files read in the last scan, now: about one for each process.",
            queries.total(contract.SIDECAR_LEDGERS),
            good=parts.GREY,
            bad="semi-dark-blue",
        ),
        verdict(
            "Files left aside",
            f"Ledgers that cannot be trusted or opened, now. {_ALERT}",
            f"sum({queries.of(contract.SIDECAR_UNKNOWN)}) + (sum({queries.of(contract.SIDECAR_UNREADABLE)}) "
            f"or 0 * sum({queries.of(contract.SIDECAR_UNKNOWN)}))",
            bad=parts.WARNING,
        ),
        verdict(
            "Without a ledger",
            f"Living processes that nothing is counted of, now. {_ALERT}",
            f"(sum({queries.of(contract.SIDECAR_UNACCOUNTED)})) or 0 * sum({queries.of(contract.SIDECAR_UNKNOWN)})",
            bad=parts.WARNING,
        ),
        verdict(
            "Bounds hit",
            f"Totals stay right, detail is missing; in the chosen time range. {_ALERT}",
            queries.or_zero(overflow, known),
            bad=parts.WARNING,
        ),
        verdict(
            "Own errors",
            f"Errors of afterword that the application never saw, in the chosen time range. {_ALERT}",
            queries.or_zero(errors, known),
            bad=parts.WARNING,
        ),
    )
    return Row(
        1,
        "Verdict: can the other dashboards be believed?",
        [Place(11 + n, panel, 4, 4) for n, panel in enumerate(panels)],
        "All green: the numbers elsewhere are exact. A blind target is a hole in every one of them, and an empty panel "
        f"there is no health. Back to {said(links.OVERVIEW_UID)}.",
    )


def _sidecars() -> Row:
    scan = times(
        "Age of the last reading",
        f"How long ago each sidecar read its ledgers when it was scraped. Beyond {thresholds.SCAN_STALE:g} s: "
        "AfterwordLedgerDegraded.",
        [
            Query(f"clamp_min(max by (instance) ({age(queries.of(contract.SIDECAR_SCAN))}), 0.001)", "{{instance}}"),
            Query(
                f"0 * sum({queries.of(contract.SIDECAR_LEDGERS)}) + {thresholds.SCAN_STALE:g}",
                "alert",
                RED,
                dashed=True,
            ),
        ],
    )
    cost = times(
        "Time to read and to scrape",
        "Reading all ledgers, and the whole scrape as Prometheus sees it.",
        [
            Query(f"max by (instance) ({queries.of(contract.SIDECAR_SCAN_DURATION)})", "reading {{instance}}"),
            Query(f"max by (instance) ({_of_target(SCRAPE_DURATION)})", "scrape {{instance}}"),
        ],
    )
    answers = levels(
        "Sidecars that answer",
        "Targets of the chosen jobs that were scraped.",
        [Query(f"sum by (job) ({_of_target(UP)})", "{{job}}")],
    )
    size = levels(
        "Series of a scrape",
        "What each target costs Prometheus. Growth without new tasks or routes: look for names made of arguments.",
        [Query(f"max by (instance) ({_of_target(SCRAPE_SAMPLES)})", "{{instance}}")],
    )
    panels = (scan, cost, answers, size)
    return Row(
        2,
        "Sidecars: do they look, and at what cost?",
        [Place(21 + n, panel, 12, 8) for n, panel in enumerate(panels)],
        "A sidecar that answers but no longer reads is as blind as one that is gone. What it watches is in "
        "`AFTERWORD_DIR` of its machine; `/readyz` says why it cannot.",
    )


def _of_target(name: str) -> str:
    """A series that Prometheus itself sets on the targets of the chosen jobs."""
    return select(name, match=queries.JOB)


def _gaps() -> Row:
    bound = queries.joined(queries.per_step(contract.OVERFLOW), "service", "bound")
    errors = f"sum by (service) ({queries.per_step(contract.INTERNAL_ERRORS)})"
    fold = f"sum by (instance) ({queries.per_step_unborn(contract.SIDECAR_FOLD_ERRORS)})"
    aside = f"sum by (reason) ({queries.of(contract.SIDECAR_UNREADABLE)})"
    unaccounted = f"sum by (reason) ({queries.of(contract.SIDECAR_UNACCOUNTED)})"
    panels = (
        bars(
            "Bounds hit, by service",
            f"Slots: more runs open at once than the ledger has room for. Tasks, routes: more names. {parts.EACH_BAR}",
            [Query(queries.or_none(bound, "what", contract.PROCESSES), "{{what}}")],
        ),
        bars(
            "Errors inside afterword",
            f"The application never saw them; each is told once on its stderr. {parts.EACH_BAR}",
            [Query(queries.or_none(errors, "service", contract.PROCESSES), "{{service}}")],
        ),
        levels(
            "Files left aside and processes without a ledger",
            "By reason. A file that cannot be trusted costs nobody else anything, but what it holds is not counted.",
            [
                Query(queries.or_none(aside, "reason", contract.SIDECAR_UNKNOWN), "file: {{reason}}"),
                Query(queries.or_none(unaccounted, "reason", contract.SIDECAR_UNKNOWN), "process: {{reason}}"),
            ],
        ),
        bars(
            "Folding that failed",
            f"Ledgers of dead processes that could not be folded; they stay and are tried again. {parts.EACH_BAR}",
            [Query(queries.or_none(fold, "instance", contract.SIDECAR_LEDGERS),
                   "{{instance}}")],
        ),
    )  # fmt: skip
    given_up = f"sum by (reason) ({queries.per_step_unborn(contract.SPANS_DROPPED)})"
    taken = f"sum by (instance) ({queries.per_step_unborn(contract.SPANS_SENT)})"
    waiting = levels(
        "Spans that wait for the collector",
        "Dead processes whose spans of lost runs have not been sent yet. They wait for an hour.",
        [Query(f"sum by (instance) ({queries.of(contract.SPANS_WAITING)})", "{{instance}}")],
    )
    spans = bars(
        "Spans sent and given up",
        f"Of lost runs, and markers of overdue ones, where a sidecar sends any. {parts.EACH_BAR}",
        [
            Query(queries.or_none(taken, "instance", contract.SIDECAR_LEDGERS), "sent: {{instance}}"),
            Query(queries.or_none(given_up, "reason", contract.SIDECAR_LEDGERS), "given up: {{reason}}"),
        ],
    )
    return Row(
        3,
        "Gaps: what is not counted, or not in detail?",
        [Place(31 + n, panel, 12, 9) for n, panel in enumerate((*panels, waiting, spans))],
        "Totals stay right when a bound is hit: what is missing is which task, which route or how old. "
        "`AFTERWORD_SLOTS` makes more room; reasons are explained in the runbook of AfterwordLedgerDegraded.",
    )


def _versions() -> Row:
    key = "job, instance, version, python"
    columns = (
        Column("Job", label="job", width=160, numeric=False),
        Column("Sidecar", label="instance", numeric=False),
        Column("Version", label="version", width=140, numeric=False),
        Column("Python", label="python", width=120, numeric=False),
        Column("Running", f"sum by ({key}) ({queries.of(contract.SIDECAR_BUILD)})", width=100, unit=parts.COUNT,
               decimals=0),
        Column("Ledgers", f"sum by ({key}) ({queries.of(contract.SIDECAR_LEDGERS)} * on (job, instance) "
               f"group_left (version, python) {queries.of(contract.SIDECAR_BUILD)})", width=100, unit=parts.COUNT,
               decimals=0),
        Column("Directory", f"min by ({key}) ({queries.of(contract.SIDECAR_DIRECTORY)} * on (job, instance) "
               f"group_left (version, python) {queries.of(contract.SIDECAR_BUILD)})", width=130, numeric=False,
               mapping=parts.states((("not usable", RED), ("usable", "green")))),
    )  # fmt: skip
    panel = rows("Sidecars", "One line for each sidecar that answers.", columns, sort="Sidecar")
    return Row(
        4,
        "Which: who watches what, and in which version?",
        [Place(41, panel, 24, 7)],
        "Sidecar and applications may be of different versions; a ledger of a format it does not know is left aside, "
        "counted and told.",
    )
