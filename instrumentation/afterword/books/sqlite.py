"""SQLite, where this Python has it: some are built without, and everything but the history works there too."""

from typing import Any, Final

try:
    import sqlite3 as _found
except ImportError:
    _found = None  # type: ignore[assignment]

sqlite3: Final[Any] = _found
#: What is said where there is none; empty where there is.
MISSING: Final = "" if sqlite3 is not None else "this Python has no sqlite3"
