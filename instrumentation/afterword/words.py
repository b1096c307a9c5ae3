"""The words of afterword: the same in code, metrics, spans, alerts, pages and docs.

Each tuple is append-only: the position of a word is its number in the ledger file.
"""

from typing import Final

KINDS: Final = ("background", "response", "asyncio", "worker", "thread")
BACKGROUND, RESPONSE, ASYNCIO, WORKER, THREAD = KINDS

OUTCOMES: Final = ("succeeded", "failed", "cancelled")
SUCCEEDED, FAILED, CANCELLED = OUTCOMES

DROP_REASONS: Final = (
    "sibling_failed",
    "request_failed",
    "response_replaced",
    "added_too_late",
    "websocket",
    "never_awaited",
    "shutdown",
    "discarded",
)
(
    SIBLING_FAILED,
    REQUEST_FAILED,
    RESPONSE_REPLACED,
    ADDED_TOO_LATE,
    WEBSOCKET,
    NEVER_AWAITED,
    SHUTDOWN,
    DISCARDED,
) = DROP_REASONS

LOST_REASONS: Final = ("killed", "shutdown", "reboot")
LOST_KILLED, LOST_SHUTDOWN, LOST_REBOOT = LOST_REASONS

PHASES: Final = ("waiting", "running")
WAITING, RUNNING = PHASES

EXIT_CAUSES: Final = ("clean", "killed", "unknown")
EXIT_CLEAN, EXIT_KILLED, EXIT_UNKNOWN = EXIT_CAUSES

IMPORTANCES: Final = ("must_run", "best_effort")
MUST_RUN, BEST_EFFORT = IMPORTANCES

#: Where work is booked whose own name, or own exception class, no longer fits.
OTHER: Final = "__other__"
