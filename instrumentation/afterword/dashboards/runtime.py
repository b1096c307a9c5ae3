"""The runtime: whether processes live, loops turn, pools have room and routes hand over."""

from typing import Final

from grafana_foundation_sdk.models import dashboard as m

from afterword import contract, words
from afterword.alerts import links
from afterword.alerts.clock import duration
from afterword.alerts.site import Site
from afterword.dashboards import parts, queries
from afterword.dashboards.exits import by_cause
from afterword.dashboards.frame import framed
from afterword.dashboards.going import said
from afterword.dashboards.layout import Place, Row
from afterword.dashboards.panels import bars, levels, rates, times, verdict
from afterword.dashboards.parts import Query

UID: Final = links.RUNTIME_UID

RED, ORANGE, BLUE = "red", "orange", "blue"


def dashboard(site: Site) -> m.Dashboard:
    """The whole dashboard, classic format, with the thresholds of ``site``."""
    return framed(
        "Runtime",
        UID,
        "The processes of the services: how they live, stop and die, their event loops, thread pools and routes.",
        (_verdict(site), _processes(), _loop(site), _pool(), _routes()),
    )


def _verdict(site: Site) -> Row:
    killed, failed = (
        f"sum({queries.happened(contract.PROCESS_EXITS, cause=cause)})"
        for cause in (words.EXIT_KILLED, words.EXIT_FAILED)
    )
    known = contract.PROCESSES
    panels = (
        verdict(
            "Processes",
            "Living processes that keep a ledger, now. Alert: AfterwordServiceGone.",
            queries.total(contract.PROCESSES),
            good=parts.CRITICAL,
            bad="semi-dark-blue",
            zero="all gone",
        ),
        verdict(
            "Killed",
            "Processes that ended without closing their ledger, in the chosen time range: killed, crashed, os._exit. "
            "Alerts: AfterwordProcessDied, AfterwordProcessCrashLoop.",
            queries.or_zero(killed, known),
            bad=parts.WARNING,
        ),
        verdict(
            "Failed to start or stop",
            "Processes that could not start, or ended while they served, in the chosen time range.",
            queries.or_zero(failed, known),
            bad=parts.WARNING,
        ),
        verdict(
            "Stopping",
            "Services with a process that was asked to stop and has not ended, now. "
            f"Beyond {duration(site.threshold('AfterwordShutdownHangs'))}: AfterwordShutdownHangs.",
            queries.or_zero(f"count({queries.of(contract.STOPPING)} > 0)", known),
            bad=parts.WARNING,
        ),
        verdict(
            "Blocked loops",
            "Event loops that do not turn, now, of whatever length. "
            f"Beyond {duration(site.threshold('AfterwordEventLoopBlocked'))}: AfterwordEventLoopBlocked.",
            queries.or_zero(f"count({queries.of_service(contract.LOOP_BLOCKED)})", known),
            bad=parts.WARNING,
        ),
        verdict(
            "Calls waiting for a thread",
            f"Now, over all pools. With a full pool for {site.lasting('AfterwordThreadPoolExhausted')}: "
            "AfterwordThreadPoolExhausted.",
            queries.or_zero(queries.total(contract.POOL_WAITING), known),
            bad=parts.WARNING,
        ),
    )
    title = (
        "Verdict: do the processes live, and can they work? Killed and failed in the chosen time range, the rest now"
    )
    return Row(
        1,
        title,
        [Place(11 + n, panel, 4, 4) for n, panel in enumerate(panels)],
        "A process that lives can still be unable to work: a loop that does not turn, a pool without a free thread. "
        f"Grey is *nothing known*: {said(links.TELEMETRY_UID)}.",
    )


def _processes() -> Row:
    alive = levels(
        "Living processes",
        "By service. A deploy shows as a step; a line that ends is a service whose sidecar no longer knows it.",
        [Query(f"sum by (service) ({queries.of(contract.PROCESSES)})", "{{service}}")],
    )
    ended = by_cause(
        f"{parts.EACH_BAR} Clean: in order. Killed: without a word. Failed: it could not start, or left while it "
        "served. Unknown: with its machine."
    )
    return Row(
        2,
        "Processes: how many live, and how do they end?",
        [Place(21, alive, 12, 8), Place(22, ended, 12, 8)],
        "A deploy shows as a step and green bars. Red bars at different times are a crash loop; what each of those "
        f"processes owed is on {said(links.LOSSES_UID)}.",
    )


def _loop(site: Site) -> Row:
    lag = times(
        "Event loop lag",
        "How late timers ran in the last second, the worst process of each service. Milliseconds are normal.",
        [Query(f"max by (service) ({queries.of(contract.LOOP_LAG)})", "{{service}}")],
    )
    known = queries.total(contract.PROCESSES)
    none = f'label_replace(0 * {known}, "task", "none", "", "")'
    blocked = levels(
        "Blocked event loops, by the task that is on them",
        "Since when a loop has not turned. While it does not, the process answers nobody. No name: none of the tasks, "
        "most often a request handler.",
        [
            Query(f"(max by (task) ({queries.of_service(contract.LOOP_BLOCKED)})) or on () {none}", "{{task}}"),
            Query(f"0 * {known} + {site.limit('AfterwordEventLoopBlocked')}", "alert", RED, dashed=True),
        ],
        unit=parts.SECONDS,
    )
    return Row(
        3,
        "Event loop: does it turn, and who holds it up?",
        [Place(31, lag, 12, 8), Place(32, blocked, 12, 8)],
        "Lag of seconds: something computes on the loop. The task with the highest block is the one to look at: "
        f"{said(links.TASK_UID)}. A nameless one is most often a request handler.",
    )


def _pool() -> Row:
    panel = levels(
        "Threads for sync code",
        "All pools together. Busy at the limit with calls waiting: sync tasks and sync endpoints stand in line.",
        [
            Query(queries.total(contract.POOL_BUSY), "busy", BLUE),
            Query(queries.total(contract.POOL_WAITING), "calls waiting", ORANGE),
            Query(queries.total(contract.POOL_LIMIT), "limit", RED, dashed=True),
        ],
    )
    return Row(
        4,
        "Thread pool: is there room?",
        [Place(41, panel, 24, 7)],
        "Busy at the limit for minutes: sync endpoints and sync tasks wait for each other. What the threads do is on "
        f"{said(links.TASK_UID)}, by the age of the oldest run.",
    )


def _routes() -> Row:
    responses = (
        f"sum by (method, route) (rate({queries.of(contract.ROUTE_RESPONSES, scheduled='true')}[$__rate_interval]))"
    )
    handed = rates(
        "Successful responses that handed over work",
        "Per second, by route: routes that ever did. One that falls to 0 while its traffic goes on: "
        "AfterwordRouteStoppedScheduling.",
        [Query(responses, "{{method}} {{route}}")],
        unit=parts.REQUESTS_PER_SECOND,
    )
    share = levels(
        "Share of successful responses that handed over work",
        "By route. What is usual for a route is its own affair; a step is not.",
        [Query(f"{responses} / sum by (method, route) (rate({queries.of(contract.ROUTE_RESPONSES)}[$__rate_interval]))",
               "{{method}} {{route}}")],
        unit=parts.SHARE,
    )  # fmt: skip
    missed = bars(
        "Responses that missed a declared task",
        "Of endpoints with @afterword.expects(task): successful responses without it. Alert: AfterwordRouteMissedTask.",
        [Query(_missed(), "{{what}}")],
    )
    places = [Place(51, handed, 12, 8), Place(52, share, 12, 8), Place(53, missed, 24, 7)]
    return Row(
        5,
        "Routes: do they still hand over?",
        places,
        "Traffic that goes on while the line falls to 0: an early return, a feature flag, a removed line. Compare with "
        f"the deploys above; the tasks themselves are on {said(links.TASK_UID)}.",
    )


def _missed() -> str:
    missed = queries.joined(queries.per_step_unborn(contract.ROUTE_MISSED), "route", "task")
    return queries.or_none(missed, "what", contract.PROCESSES)
