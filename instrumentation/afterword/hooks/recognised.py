"""Spans that others make, recognised by who made them and what they call them.

For a run those are of FastAPI since 0.142, and of OpenTelemetry's instrumentation of it since 0.66b0: each is given the
task's name, and is the run's span from then on.
"""

from typing import Any, Final

#: By instrumentation scope, how the span of a background task is called.
_NAMES: Final = {
    "fastapi": "fastapi.background_task",
    "opentelemetry.instrumentation.fastapi": "BackgroundTask ",
}


def is_of_a_run(span: Any) -> bool:
    """Whether somebody else made this span for a background task, and it is still called so."""
    scope = getattr(span, "instrumentation_scope", None)
    begins = _NAMES.get(getattr(scope, "name", ""))
    return begins is not None and str(getattr(span, "name", "")).startswith(begins)


def is_an_operation(span: Any) -> bool:
    """Whether FastAPI made this span for its own work on a request: dependencies, the endpoint, the response."""
    scope = getattr(span, "instrumentation_scope", None)
    return (
        scope is not None
        and scope.name == "fastapi"
        and getattr(span, "parent", None) is not None
        and str(getattr(span, "name", "")).startswith("fastapi.")
    )
