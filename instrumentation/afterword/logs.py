"""What puts the run on every log record that is written inside of one: task, run id, trace id, span id.

    handler.addFilter(afterword.logs.RunFilter())               # logging: "%(task)s %(run_id)s %(trace_id)s"
    structlog.configure(processors=[afterword.logs.add_run, ...])

Outside of a run, and without a trace, the fields are empty texts, so that a format can always name them.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Final

FIELDS: Final = ("task", "run_id", "trace_id", "span_id")
_NOWHERE: Final = dict.fromkeys(FIELDS, "")


class RunFilter(logging.Filter):
    """A filter for handlers and loggers that lets every record pass, with the attributes `FIELDS` on it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Put them on; those that somebody set before stay."""
        for name, value in current().items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


def add_run(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A processor for structlog: adds the `FIELDS` that are known; those that somebody set before stay."""
    for name, value in current().items():
        if value:
            event.setdefault(name, value)
    return event


def current() -> dict[str, str]:
    """The `FIELDS` of the run that is on, as texts; the trace is that of the span that is current. Never raises."""
    if "afterword.hooks.process" not in sys.modules:  # nothing is instrumented here, a sidecar for instance
        return dict(_NOWHERE)
    try:
        from afterword.hooks.inside_run import fields

        return dict(zip(FIELDS, fields(), strict=True))
    except Exception:  # noqa: BLE001 - a line of the user's log is worth more than our fields on it
        return dict(_NOWHERE)
