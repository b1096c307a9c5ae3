"""The founding article's names for our books, recorded so that its alerts and ours can be compared side by side.

Source: "FastAPI BackgroundTasks Not Working" (fixdevs), Fix 7: `background_task_started_total`,
`background_task_succeeded_total`, `background_task_failed_total` and the histogram `background_task_duration_seconds`,
each with the label ``task``. Its instance labels are kept, for its alert subtracts per instance.
"""

from typing import Final

from afterword import contract, words
from afterword.alerts import promql
from afterword.alerts.promql import NO_WORKER
from afterword.alerts.rule import Recording
from afterword.alerts.site import Site

_KEY: Final = ("job", "instance", "task")


def recordings(site: Site) -> tuple[Recording, ...]:
    """Empty, unless the team asked for them."""
    if not site.config.compatibility:
        return ()
    finished = {
        outcome: promql.select(contract.FINISHED.sample, {"outcome": outcome}, differ=NO_WORKER)
        for outcome in (words.SUCCEEDED, words.FAILED)
    }
    histogram = promql.select(contract.RUN.bucket, differ=NO_WORKER)
    expressions = {
        "started_total": promql.by("sum", _KEY, promql.select(contract.STARTED.sample, differ=NO_WORKER)),
        "succeeded_total": promql.by("sum", _KEY, finished[words.SUCCEEDED]),
        "failed_total": promql.by("sum", _KEY, finished[words.FAILED]),
        "duration_seconds_bucket": promql.by("sum", (*_KEY, "le"), histogram),
    }
    return tuple(Recording(f"background_task_{name}", expr, compatible=True) for name, expr in expressions.items())
