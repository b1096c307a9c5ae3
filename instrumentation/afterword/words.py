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
    "lifespan_skipped",
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
    LIFESPAN_SKIPPED,
) = DROP_REASONS

#: Why a run was cancelled: its process stops; ``cancel()`` while whoever spawned it is still there; its request was;
#: what it awaited was; ``cancel()`` after whoever spawned it had ended.
CANCEL_REASONS: Final = ("shutdown", "requested", "request", "inner", "orphaned")
CANCELLED_SHUTDOWN, CANCELLED_REQUESTED, CANCELLED_REQUEST, CANCELLED_INNER, CANCELLED_ORPHANED = CANCEL_REASONS

LOST_REASONS: Final = ("killed", "shutdown", "reboot", "collected")
LOST_KILLED, LOST_SHUTDOWN, LOST_REBOOT, LOST_COLLECTED = LOST_REASONS

#: The endings, and the one error, that are kept run by run.
BAD_ENDINGS: Final = ("lost", "dropped", "failed", "cancelled", "swallowed")
LOST, DROPPED, _, _, SWALLOWED = BAD_ENDINGS

PHASES: Final = ("waiting", "running")
WAITING, RUNNING = PHASES

EXIT_CAUSES: Final = ("clean", "killed", "unknown", "failed")
EXIT_CLEAN, EXIT_KILLED, EXIT_UNKNOWN, EXIT_FAILED = EXIT_CAUSES

#: Endings that carry no exception of the user's, told in its place: a result that nobody will run, ``effects=``
#: that were not reported, ``success=`` that said no, a worker that returned while its process goes on.
NEVER_AWAITED_RESULT: Final = "NeverAwaited"
EFFECTS_MISSING: Final = "EffectsMissing"
NOT_SUCCESSFUL: Final = "NotSuccessful"
RETURNED: Final = "Returned"

IMPORTANCES: Final = ("must_run", "best_effort")
MUST_RUN, BEST_EFFORT = IMPORTANCES

#: Where work is booked whose own name, or own exception class, no longer fits.
OTHER: Final = "__other__"
