"""FastAPI makes the span of a background task before it calls that, so we come in a step earlier.

The span is to hang where the task was handed over. `recognised` knows it again when the task begins.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from afterword.hooks import patches
from afterword.hooks.handed_over import attach_handed_over, detach


def install() -> None:
    """Be where a task was handed over when FastAPI makes its span."""
    module = sys.modules.get("fastapi.background")
    original = getattr(module, "_operation", None)
    if module is None or not callable(original):
        return

    def _operation(**what: Any) -> Any:
        return _where_handed_over(original(**what))

    patches.replace(module, "_operation", _operation)


@contextmanager
def _where_handed_over(operation: Any) -> Iterator[Any]:
    task = sys._getframe(2).f_locals.get("task")  # of the container's loop over its tasks
    token = attach_handed_over(getattr(task, "afterword_run", 0))
    try:
        with operation as made:
            yield made
    finally:
        detach(token)
