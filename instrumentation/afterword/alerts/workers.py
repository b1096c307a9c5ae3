"""Alerts on workers: what runs as long as its process, and must not end or stand still before it."""

from afterword import contract, words
from afterword.alerts import texts, thresholds
from afterword.alerts.endings import recent_errors
from afterword.alerts.promql import TASK_KEY, by
from afterword.alerts.rule import Alert
from afterword.alerts.site import Site
from afterword.alerts.texts import COUNT, DURATION


def alerts(site: Site) -> tuple[Alert, ...]:
    """A worker that is gone, and one that is there and does nothing."""
    return _ended(site), _stalled(site)


def _ended(site: Site) -> Alert:
    ever = f"count by (exception) ({texts.of_alert(contract.ERRORS)} > 0)"
    recent = recent_errors(site)
    return site.alert(
        "AfterwordWorkerEnded",
        f"{by('sum', TASK_KEY, contract.WORKERS_ENDED.sample)} > {site.limit('AfterwordWorkerEnded')}",
        key=TASK_KEY,
        keep=thresholds.STATE_KEEP_FIRING,
        summary="A worker ended while its process goes on.",
        description=(
            f"{COUNT} ended now: the worker {{{{ $labels.task }}}} in service {{{{ $labels.service }}}}. "
            "Nothing does its work until its process is started again."
            + texts.listed(
                "It ended with",
                f"{recent} or ({ever} unless on () {recent})",
                "exception",
                note=f'{{{{ if eq (label "exception" $found) "{words.RETURNED}" }}}} (no exception){{{{ end }}}}',
            )
        ),
    )


def _stalled(site: Site) -> Alert:
    since = f"max(time() - ({texts.of_alert(contract.WORKER_PROGRESS)} > 0))"
    return site.alert(
        "AfterwordWorkerStalled",
        f"{by('sum', TASK_KEY, contract.WORKERS_STALLED.sample)} > {site.limit('AfterwordWorkerStalled')}",
        key=TASK_KEY,
        keep=thresholds.STATE_KEEP_FIRING,
        summary="A worker is alive but makes no progress.",
        description=(
            f"{COUNT} stalled now: the worker {{{{ $labels.task }}}} in service {{{{ $labels.service }}}}. "
            f"The longest standstill has lasted {texts.asked(since, DURATION)}."
        ),
    )
