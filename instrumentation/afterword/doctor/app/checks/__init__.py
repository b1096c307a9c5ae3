"""The checks: importing this puts all of them on the list."""

from afterword.doctor.app.checks import (
    awaiting,
    blocking,
    early_return,
    endless,
    forgotten,
    grace,
    kept,
    lifespans,
    middleware,
    passing,
    responses,
    sessions,
    signatures,
    sleeping,
    swallowing,
    timeouts,
    unreadable,
)

__all__ = [
    "awaiting", "blocking", "early_return", "endless", "forgotten", "grace", "kept", "lifespans", "middleware",
    "passing", "responses", "sessions", "signatures", "sleeping", "swallowing", "timeouts", "unreadable",
]  # fmt: skip
