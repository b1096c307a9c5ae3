"""Alerts on routes that answer as always and no longer schedule their work."""

from afterword import contract
from afterword.alerts import promql, texts, thresholds
from afterword.alerts.promql import ROUTE_KEY, Counter, by
from afterword.alerts.rule import Alert
from afterword.alerts.site import Site
from afterword.alerts.texts import COUNT, ROUTE, WHOLE

_KEY = (*ROUTE_KEY, "task")
_SCHEDULED, _RESPONSES = Counter(contract.ROUTE_SCHEDULED), Counter(contract.ROUTE_RESPONSES)
_MISSED = Counter(contract.ROUTE_MISSED, twin=contract.ROUTE_SCHEDULED)
_PER_ROUTE = f"on ({', '.join(ROUTE_KEY)}) group_left ()"


def alerts(site: Site) -> tuple[Alert, ...]:
    """Against a route's own past, and against what it declares."""
    return _stopped_scheduling(site), _missed_task(site)


def _stopped_scheduling(site: Site) -> Alert:
    silent = "\nor ".join(f"(\n{promql.indent(_silent(site, window))}\n)" for window in thresholds.ROUTE_WINDOWS)
    replaced = f"unless on ({', '.join(ROUTE_KEY)}) (\n{promql.indent(_replaced(site))}\n)"
    before = texts.asked(f"sum({texts.of_alert(contract.ROUTE_SCHEDULED, _KEY)})", WHOLE, _KEY)
    return site.alert(
        "AfterwordRouteStoppedScheduling",
        f"(\n{promql.indent(silent)}\n)\n{replaced}",
        key=_KEY,
        keep=thresholds.EVENT_KEEP_FIRING,
        summary="A route answers as always, but no longer schedules its background work.",
        description=(
            f"The last {COUNT} successful responses of {ROUTE} did not schedule {{{{ $labels.task }}}}; "
            f"{before} earlier ones did."
        ),
    )


def _silent(site: Site, seconds: float) -> str:
    """The responses of the window by route and task, where none scheduled it and chance cannot explain that.

    With p the share of the past responses that did, chance leaves n responses without one in (1 - p)^n of all
    windows. Counters never go back, so their values at the window's beginning are the past, also for a Prometheus
    that is minutes old; what is older than a day is taken off where it is known.
    """
    window = site.clock.duration(seconds)
    habit = f"{by('sum', _KEY, _past(site, _SCHEDULED, window))} >= {thresholds.ROUTE_HABIT_TIMES}"
    share = (
        f"({habit})\n/ {_PER_ROUTE} (1 + {by('sum', ROUTE_KEY, _past(site, _RESPONSES, window))})\n"
        f">= {thresholds.ROUTE_HABIT_SHARE:g}"
    )
    grown = f"{_RESPONSES.total} - {_RESPONSES.total} offset {window}"
    responses = f"({by('sum', ROUTE_KEY, grown)} >= {site.limit('AfterwordRouteStoppedScheduling')})"
    chance = f"(1 - (\n{promql.indent(share)}\n))\n^ {_PER_ROUTE} {responses}\n< {thresholds.ROUTE_CHANCE:g}"
    return (
        f"0 * (\n{promql.indent(chance)}\n) + {_PER_ROUTE} {responses}\nunless {by('sum', _KEY, _within(window))} > 0"
    )


def _past(site: Site, counter: Counter, window: str) -> str:
    """The total at the window's beginning, without what is older than a day."""
    total, past = counter.total, site.clock.duration(thresholds.ROUTE_PAST)
    return f"({total} offset {window} - {total} offset {past}) >= 0 or {total} offset {window}"


def _within(window: str) -> str:
    """How often within the window, also where the series is younger than that."""
    total = _SCHEDULED.total
    return f"{total} - ({total} offset {window} or 0 * {total})"


def _replaced(site: Site) -> str:
    """Tasks that a route began to schedule lately, after others: the silent one was moved, renamed or replaced."""
    window = site.clock.duration(max(thresholds.ROUTE_WINDOWS))
    born = by("min", _KEY, _SCHEDULED.created)
    first = by("min", ROUTE_KEY, _SCHEDULED.created)
    return (
        f"{by('sum', _KEY, _within(window))} > 0\n"
        f"and {born} - {_PER_ROUTE} {first} > {site.clock.seconds(min(thresholds.ROUTE_WINDOWS))}\n"
        f"and time() - {born} < {site.clock.seconds(thresholds.ROUTE_PAST)}"
    )


def _missed_task(site: Site) -> Alert:
    return site.alert(
        "AfterwordRouteMissedTask",
        site.more("AfterwordRouteMissedTask", site.happened(_MISSED, _KEY)),
        key=_KEY,
        keep=thresholds.EVENT_KEEP_FIRING,
        summary="A route did not schedule the background work that it declares.",
        description=(
            f"{COUNT} successful responses of {ROUTE} in the last {site.window} did not schedule "
            "{{ $labels.task }}, which the route declares with expects()."
        ),
    )
