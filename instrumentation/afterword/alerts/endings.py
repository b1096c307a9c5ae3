"""Alerts on how runs ended: lost, failed, swallowed, cancelled, dropped."""

from afterword import contract, words
from afterword.alerts import promql, texts, thresholds
from afterword.alerts.promql import NO_WORKER, TASK_KEY, Counter
from afterword.alerts.rule import Alert
from afterword.alerts.site import Site
from afterword.alerts.texts import COUNT, TASK


def alerts(site: Site) -> tuple[Alert, ...]:
    """Each ending that nobody is told of."""
    return _lost(site), _failed(site), _swallowed(site), _cancelled(site), _dropped(site)


def recent_errors(site: Site) -> str:
    """The exception classes of the task that fired whose count moved; these series carry no birth."""
    errors = texts.of_alert(contract.ERRORS)
    return f"count by (exception) ({errors} unless ({errors} == {errors} offset {site.window}))"


def _lost(site: Site) -> Alert:
    key = (*TASK_KEY, "reason", "phase")
    # A worker ends with its process; only one that the garbage collector took is lost.
    ended = promql.select(contract.LOST.sample, {"kind": words.WORKER}, differ={"reason": words.LOST_COLLECTED})
    collected = (
        "in the middle of which the garbage collector came: nothing held them but the event loop's weak reference."
    )
    gone = (
        "that were {{ $labels.phase }} when their process ended (reason: {{ $labels.reason }}). "
        f'{{{{ if eq $labels.phase "{words.WAITING}" }}}}None of their code ran.'
        "{{ else }}How far each of them got is not known.{{ end }}"
    )
    return site.alert(
        "AfterwordTaskLost",
        site.more("AfterwordTaskLost", site.happened(Counter(contract.LOST), key, unless=ended)),
        key=key,
        keep=thresholds.LOST_KEEP_FIRING,
        summary="Background work was lost: it will never be finished.",
        description=f"{COUNT} lost in the last {site.window}: runs of {TASK} "
        + texts.cases("reason", {words.LOST_COLLECTED: collected}, gone),
    )


def _failed(site: Site) -> Alert:
    # While a worker stays ended, AfterwordWorkerEnded tells; this is for the one that was started again.
    ended = f"{promql.by('sum', TASK_KEY, contract.WORKERS_ENDED.sample)} > 0"
    failed = site.happened(Counter(contract.FINISHED, {"outcome": words.FAILED}), TASK_KEY)
    return site.alert(
        "AfterwordTaskFailed",
        f"{site.more('AfterwordTaskFailed', failed)}\nunless {ended}",
        key=TASK_KEY,
        keep=thresholds.EVENT_KEEP_FIRING,
        summary="Background work failed after its response had been sent.",
        description=f"{COUNT} failed in the last {site.window}: runs of {TASK}."
        + texts.listed("Exceptions", recent_errors(site), "exception"),
    )


def _swallowed(site: Site) -> Alert:
    worker = (
        f"{COUNT} errors in the last {site.window}: the worker {{{{ $labels.task }}}} in service "
        "{{ $labels.service }} keeps failing inside its own try/except, and goes on."
    )
    task = (
        f"{COUNT} swallowed in the last {site.window}: runs of {TASK} that ended well although an error was logged or "
        "recorded in them."
    )
    return site.alert(
        "AfterwordTaskSwallowedError",
        site.more("AfterwordTaskSwallowedError", site.happened(Counter(contract.SWALLOWED), TASK_KEY)),
        key=TASK_KEY,
        keep=thresholds.EVENT_KEEP_FIRING,
        summary="Background work met an error and ended as if nothing had happened.",
        description=texts.cases("kind", {words.WORKER: worker}, task),
    )


def _cancelled(site: Site) -> Alert:
    key = (*TASK_KEY, "reason")
    why = {
        words.CANCELLED_SHUTDOWN: "their process stopped and did not wait for them",
        words.CANCELLED_REQUEST: "the request they belong to was cancelled",
        words.CANCELLED_ORPHANED: "somebody called cancel() when whoever spawned them had ended",
    }
    # Who spawned it and calls cancel() knows that it ends; a worker ends like that when its process stops.
    counter = Counter(contract.CANCELLED, differ={**NO_WORKER, "reason": words.CANCELLED_REQUESTED})
    return site.alert(
        "AfterwordTaskCancelled",
        site.more("AfterwordTaskCancelled", site.happened(counter, key)),
        key=key,
        keep=thresholds.EVENT_KEEP_FIRING,
        summary="Background work was cancelled before it was done.",
        description=f"{COUNT} cancelled in the last {site.window}: runs of {TASK}, because "
        + texts.cases("reason", why, "something they awaited was cancelled")
        + " (reason: {{ $labels.reason }}).",
    )


def _dropped(site: Site) -> Alert:
    key = (*TASK_KEY, "reason")
    return site.alert(
        "AfterwordTaskDropped",
        site.more("AfterwordTaskDropped", site.happened(Counter(contract.DROPPED), key)),
        key=key,
        keep=thresholds.EVENT_KEEP_FIRING,
        summary="Background work was handed over and will never start.",
        description=(
            f"{COUNT} dropped in the last {site.window}: runs of {TASK} that were handed over and will never start "
            "(reason: {{ $labels.reason }})."
        ),
    )
