"""What a log record that is written inside of a run can say about that."""

from typing import Any

from afterword.hooks.handed_over import describe
from afterword.hooks.process import PROCESS
from afterword.hooks.running import RUNNING
from afterword.hooks.telling import ids_of
from afterword.hooks.tracer import TRACING


def fields() -> tuple[str, str, str, str]:
    """Task, run id, trace id and span id of the code that runs now; empty texts for what there is none of."""
    run: Any = RUNNING.get()
    account = getattr(run, "afterword_account", None)
    task = name = ""
    if PROCESS.active and account is not None and not run.afterword_ended:
        task, number = account.name, getattr(run, "afterword_number", 0) or getattr(run, "run", 0)
        name = describe(number)[0] if type(number) is int and number else ""
    if not TRACING.on:
        return task, name, "", ""
    return task, name, *ids_of(TRACING.api.get_current_span().get_span_context())
