"""``afterword top`` while somebody looks: look, draw, wait for a key or for the next look."""

import signal
import time
from typing import TYPE_CHECKING, Final

from afterword.terminal import keys, paint, rates, screen, tty
from afterword.terminal.reading import Reader, Shown

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

#: A terminal that says nothing of its size.
_COLUMNS, _ROWS = 80, 24
_WHOLE_DAY: Final = 86400.0


def run(reader: Reader, interval: float, console: "Console") -> None:
    """Until somebody quits; ``interval`` in seconds.

    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    watch = _Watch(reader, interval, console)
    try:
        while True:
            with tty.opened(console, watch.stop) as terminal:
                watch.follow(terminal)
            if watch.quits:
                return
            if watch.stopped == signal.SIGTSTP:
                tty.stop_here()
    except tty.Interrupted as interrupted:
        interrupted.deliver()


class _Watch:
    """What is on the screen, and what the keys made of it."""

    def __init__(self, reader: Reader, interval: float, console: "Console") -> None:
        self._reader, self._interval, self._console = reader, interval, console
        self._state = screen.State()
        self._shown: Shown | None = None
        self._due = 0.0
        self.quits = False
        #: The signal that stopped the process, or told that it goes on.
        self.stopped: int | None = None

    def stop(self, number: int) -> None:
        """A signal wants the terminal given back for a while."""
        self.stopped = number

    def follow(self, terminal: tty.Terminal) -> None:
        """Until somebody quits or a signal wants the terminal given back."""
        self.stopped = None
        while not self.quits and self.stopped is None:
            shown = self._look()
            terminal.draw(self._screen(shown))
            pressed = terminal.wait(_WHOLE_DAY if self._state.paused else self._due - time.monotonic())
            for key in keys.named(pressed):
                keys.press(key, self._state, shown.tasks)
                self.quits |= key == "quit"

    def _look(self) -> Shown:
        """What there is now, or, before the time has come or while it is paused, what there was."""
        if self._shown is not None and (self._state.paused or time.monotonic() < self._due):
            return self._shown
        self._due = time.monotonic() + self._interval
        shown = self._reader.look()
        if self._shown is not None and shown.status.at > self._shown.status.at:
            seconds = shown.status.at - self._shown.status.at
            self._state.rates = rates.between(self._shown.tasks, shown.tasks, seconds)
        self._shown = shown
        return shown

    def _screen(self, shown: Shown) -> "RenderableType":
        from rich.console import Group

        columns, rows = self._console.size
        lines = screen.live(shown, self._state, columns or _COLUMNS, rows or _ROWS)
        return Group(*(paint.text(line, self._console.encoding) for line in lines))
