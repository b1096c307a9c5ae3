"""The terminal while a screen is on it: keys without return, the alternate screen, and given back whatever happens.

A signal that ends the process is held back while the terminal is taken or given back, so neither is ever half done:

    block ─▶ cbreak, alternate screen ─▶ unblock ─▶ look, draw, wait ─▶ Interrupted ─▶ block ─▶ as it was ─▶ the signal
"""

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_CAUGHT: Final = (*_ENDING, signal.SIGTSTP, signal.SIGCONT, signal.SIGWINCH)
_CHUNK: Final = 1024
#: What is read when whoever typed is gone: Ctrl-D.
_GONE: Final = b"\x04"


class Interrupted(BaseException):
    """A signal that ends the process has come."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._number = number

    def deliver(self) -> None:
        """Let the signal do what it does to a process that does not catch it."""
        if self._number == signal.SIGINT:
            raise KeyboardInterrupt
        signal.signal(self._number, signal.SIG_DFL)
        os.kill(os.getpid(), self._number)


class Terminal:
    """A terminal with a screen on it."""

    def __init__(self, live: "Live", woken: int, keys: int | None) -> None:
        self._live, self._woken, self._keys = live, woken, keys

    def draw(self, screen: "RenderableType") -> None:
        """Show a screen instead of the one before."""
        self._live.update(screen, refresh=True)

    def wait(self, seconds: float) -> bytes:
        """The keys that were pressed; empty when the time is over or a signal has come, a new size for instance."""
        fds = [self._woken] if self._keys is None else [self._woken, self._keys]
        ready = select.select(fds, [], [], max(0.0, seconds))[0]
        if self._woken in ready:
            os.read(self._woken, _CHUNK)
        return _read(self._keys) if self._keys is not None and self._keys in ready else b""


@contextlib.contextmanager
def opened(console: "Console", on_stop: Callable[[int], None]) -> Iterator[Terminal]:
    """A screen on the terminal of stdout, and keys where stdin is one.

    Args:
        console: Of stdout.
        on_stop: Called with SIGTSTP or SIGCONT, when the process is to stop or went on: begin anew.

    Raises:
        Interrupted: a signal ends the process; the terminal is as it was found.
    """
    keys = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
    signal.pthread_sigmask(signal.SIG_BLOCK, _CAUGHT)
    with contextlib.ExitStack() as stack:
        stack.callback(signal.pthread_sigmask, signal.SIG_UNBLOCK, _CAUGHT)
        woken = stack.enter_context(_wakeup())
        stack.enter_context(_handlers(on_stop))
        if keys is not None:
            stack.enter_context(_cbreak(keys))
        live = stack.enter_context(_screen(console))
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _CAUGHT)
            yield Terminal(live, woken, keys)
        finally:
            signal.pthread_sigmask(signal.SIG_BLOCK, _CAUGHT)


def stop_here() -> None:
    """Stop as Ctrl-Z stops a process, and come back when it goes on."""
    os.kill(os.getpid(), signal.SIGTSTP)


def _read(keys: int) -> bytes:
    try:
        return os.read(keys, _CHUNK) or _GONE
    except OSError:
        return _GONE


@contextlib.contextmanager
def _wakeup() -> Iterator[int]:
    """A descriptor that can be read as soon as a signal has come: `select` itself goes on waiting."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    try:
        yield reading
    finally:
        signal.set_wakeup_fd(before)
        os.close(reading)
        os.close(writing)


@contextlib.contextmanager
def _handlers(on_stop: Callable[[int], None]) -> Iterator[None]:
    """Our handlers, except for signals that whoever started us wants ignored."""
    interrupted = False

    def end(number: int, _: object) -> None:
        nonlocal interrupted
        if not interrupted:  # a second Ctrl-C does not interrupt the giving back
            interrupted = True
            raise Interrupted(number)

    def stop(number: int, _: object) -> None:
        on_stop(number)

    ours: dict[signal.Signals, Any] = dict.fromkeys(_ENDING, end)
    ours |= {signal.SIGTSTP: stop, signal.SIGCONT: stop, signal.SIGWINCH: lambda *_: None}
    before = {number: signal.getsignal(number) for number in ours}
    try:
        for number, handler in ours.items():
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, handler)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _cbreak(keys: int) -> Iterator[None]:
    """Keys come at once and are not shown; Ctrl-C and Ctrl-Z stay signals."""
    before = termios.tcgetattr(keys)
    try:
        tty.setcbreak(keys)
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal is gone
            termios.tcsetattr(keys, termios.TCSAFLUSH, before)


@contextlib.contextmanager
def _screen(console: "Console") -> "Iterator[Live]":
    from rich.live import Live

    live = Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False)
    live.start()
    try:
        yield live
    finally:
        with contextlib.suppress(OSError):  # as above
            live.stop()
