"""What belongs to the whole process: its owner, the guard, and whether the hooks are switched on."""

import atexit
import contextlib
import os
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any, Final

from afterword.ledger import layout
from afterword.ledger.owner import Owner
from afterword.ledger.saying import say

if TYPE_CHECKING:
    from collections.abc import Callable

#: After this many of our own errors the hooks stand aside for good.
_PATIENCE: Final = 10
#: Mistakes of the user's that are told; all are counted.
_COMPLAINTS: Final = 100


class Process:
    """The one state that all hooks share. ``owner`` is None until an application is instrumented."""

    def __init__(self) -> None:
        self.owner: Owner | None = None
        self.active = False
        self.raising = False
        #: What the hooks looked up once per function; empty while they stand aside.
        self.origins: Final[dict[Any, Any]] = {}
        self.known: Final[dict[Any, Any]] = {}
        #: Called when the hooks stand aside, and in a forked child: what they keep of this process is let go.
        self.at_standing_aside: Final[list[Callable[[], None]]] = []
        #: Called at exit, before the ledger is closed.
        self.at_exit: Final[list[Callable[[], None]]] = []
        #: The process was asked to stop: what is cancelled now is cancelled by that.
        self.stopping = False
        #: The loop that was looked at last.
        self.loop: Any = None
        #: Lifespans that go on now, and how many of them, and how many servers, were asked to stop.
        self.lifespans = self.leaving = self.servers_leaving = 0
        #: Whether a lifespan began: who ends without having completed it ended by itself.
        self.serving = False
        self._errors = 0
        self._registered = False
        self._complained: set[str] = set()

    def begin(self, owner: Owner, *, raising: bool) -> None:
        """Switch the hooks on; the ledger is made when it is first needed."""
        self.known.clear()
        self.origins.clear()
        self.owner, self.raising, self.active, self._errors = owner, raising, True, 0
        self._forget_lifespans()
        self._complained.clear()
        if not self._registered:
            self._registered = True
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=self._after_fork)
            atexit.register(self._at_exit)

    def end(self) -> None:
        """Switch the hooks off and close the ledger as a clean exit would."""
        owner = self.owner
        self._stand_aside()
        self.owner = None
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
                if self.owner is not None:
                    self.owner.leave_note("internal_errors")
                say(f"switched off after {_PATIENCE} internal errors.")

    def complain(self, about: str, sentence: str) -> None:
        """The user's own mistake, met while their work runs: counted each time, told once for each ``about``."""
        with contextlib.suppress(Exception):
            if self.owner is not None:
                self.owner.count_internal_error()
            if about not in self._complained and len(self._complained) < _COMPLAINTS:
                self._complained.add(about)
                say(sentence)

    @property
    def time_scale(self) -> float:
        """How much faster than real time default durations run."""
        return self.owner.settings.time_scale if self.owner is not None else 1.0

    # -- lifespans

    def start(self) -> None:
        """A lifespan begins."""
        self.lifespans += 1
        self.serving = True
        self.stopping = False
        if self.owner is not None:
            self.owner.set_word(layout.W_STOPPING, 0)

    def all_leave(self) -> bool:
        """Whether every lifespan of the process, or the server of every one, was asked to stop."""
        return max(self.leaving, self.servers_leaving) >= self.lifespans

    def stop(self) -> None:
        """The process was asked to stop; also known from outside, where a server that never ends can be seen."""
        if not self.stopping and self.owner is not None:
            self.stopping = True
            self.owner.set_word(layout.W_STOPPING, time.monotonic_ns())

    def finish(self, *, completed: bool, leaving: bool) -> None:
        """A lifespan is over. One beside the main thread, as that of a test client, does not end the process."""
        self.lifespans = max(0, self.lifespans - 1)
        self.leaving = max(0, self.leaving - leaving)
        if completed and not self.lifespans:
            self.serving = False
            if self.owner is not None and threading.current_thread() is not threading.main_thread():
                self.owner.set_word(layout.W_STOPPING, 0)

    # -- the end

    def _stand_aside(self) -> None:
        self.active = False
        self.known.clear()
        self.origins.clear()
        for let_go in self.at_standing_aside:
            let_go()

    def _forget_lifespans(self) -> None:
        self.stopping = self.serving = False
        self.lifespans = self.leaving = self.servers_leaving = 0

    def _after_fork(self) -> None:
        """Closes and assignments only: a forked child may hold any lock of its parent's threads."""
        self._forget_lifespans()
        if self.owner is not None:
            self.owner.forget_parent()
        for let_go in self.at_standing_aside:
            let_go()

    def _at_exit(self) -> None:
        owner = self.owner
        if owner is None:
            return
        for finish in self.at_exit:
            with contextlib.suppress(Exception):
                finish()
        if self.serving and not self.stopping:
            owner.mark(layout.STATE_FAILED)
        elif owner.state != layout.STATE_FAILED:  # else it could not start, and its server has ended in order
            owner.mark(layout.STATE_CLOSED)


PROCESS: Final = Process()
