"""Errors that are told instead of raised: log records of level ERROR and recorded exceptions, noted for the run."""

import functools
import logging
import sys
from typing import Any, Final

from afterword.hooks import patches
from afterword.hooks.code import called_by_user
from afterword.hooks.process import PROCESS
from afterword.hooks.running import RUNNING, note_error
from afterword.hooks.steps import without_this_frame

#: Loggers that tell of what is booked anyway.
_ECHOES: Final = frozenset({"asyncio", "uvicorn.error", "gunicorn.error", "hypercorn.error"})


def install() -> None:
    """Hook `logging.Logger.makeRecord`, which has returned before a filter or a handler sees the record."""
    original = logging.Logger.makeRecord

    @functools.wraps(original)
    def makeRecord(self: logging.Logger, *args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: N802 - its name
        try:
            record = original(self, *args, **kwargs)
        except BaseException as error:
            without_this_frame(error)
            raise
        if record.levelno >= logging.ERROR and record.name not in _ECHOES:
            _noted()
        return record

    patches.replace(logging.Logger, "makeRecord", makeRecord)


def install_spans() -> None:
    """Hook `Span.record_exception` of the OpenTelemetry SDK, if the application has loaded that."""
    trace = sys.modules.get("opentelemetry.sdk.trace")
    span = getattr(trace, "Span", None)
    if span is None or hasattr(span.record_exception, "afterword_original"):
        return
    original = span.record_exception

    @functools.wraps(original)
    def record_exception(self: Any, *args: Any, **kwargs: Any) -> Any:
        # A library records what it raises again: then it is the run that tells. The application tells the rest.
        if not kwargs.get("escaped") and RUNNING.get() is not None and called_by_user(sys._getframe(1)):
            _noted()
        return original(self, *args, **kwargs)

    record_exception.afterword_original = original  # type: ignore[attr-defined]  # tells it from another's
    patches.replace(span, "record_exception", record_exception)


def _noted() -> None:
    if RUNNING.get() is None:
        return
    try:
        note_error()
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        PROCESS.note(error)
