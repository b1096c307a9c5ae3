"""What belongs to the whole process: its owner, the guard, and whether the hooks are switched on."""

import atexit
import contextlib
import os
import traceback
from typing import Any, Final

from afterword.ledger.owner import Owner, say

#: After this many of our own errors the hooks stand aside for good.
_PATIENCE: Final = 10


class Process:
    """The one state that all hooks share. ``owner`` is None until an application is instrumented."""

    def __init__(self) -> None:
        self.owner: Owner | None = None
        self.active = False
        self.raising = False
        #: What the hooks looked up once per function; empty while they stand aside.
        self.known: Final[dict[Any, Any]] = {}
        self._errors = 0
        self._registered = False

    def begin(self, owner: Owner, *, raising: bool) -> None:
        """Switch the hooks on; the ledger is made when it is first needed."""
        self.known.clear()
        self.owner, self.raising, self.active, self._errors = owner, raising, True, 0
        if not self._registered:
            self._registered = True
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=self._after_fork)
            atexit.register(self._at_exit)

    def end(self) -> None:
        """Switch the hooks off and close the ledger as a clean exit would."""
        owner, self.owner = self.owner, None
        self._stand_aside()
        if owner is not None:
            owner.close()

    def note(self, error: Exception) -> None:
        """One of our own errors: counted, told once, never raised into the application."""
        if self.raising:
            raise error
        self._errors += 1
        with contextlib.suppress(Exception):
            if self.owner is not None:
                self.owner.count_internal_error()
            if self._errors == 1:
                say("internal error, the application is not affected:\n" + "".join(traceback.format_exception(error)))
            if self._errors >= _PATIENCE and self.active:
                self._stand_aside()
                say(f"switched off after {_PATIENCE} internal errors.")

    def _stand_aside(self) -> None:
        self.active = False
        self.known.clear()
        if self.owner is not None:
            self.owner.leave_note("internal_errors")

    def _after_fork(self) -> None:
        """Closes and assignments only: a forked child may hold any lock of its parent's threads."""
        if self.owner is not None:
            self.owner.forget_parent()

    def _at_exit(self) -> None:
        if self.owner is not None:
            self.owner.mark(closed=True)


PROCESS: Final = Process()
