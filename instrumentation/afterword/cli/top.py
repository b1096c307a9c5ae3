"""``afterword top``: the books, the open runs and the newest bad endings, live or once."""

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from afterword.cli import command as command_
from afterword.cli.command import UsageError, command, missing_extra, nobody_reads, write
from afterword.settings import values

if TYPE_CHECKING:
    from afterword.terminal.reading import Reader, Shown

_INTERVAL: Final = 2.0
_ALLOWED: Final = "seconds from 0.5 to 3600"


def add(commands: Any) -> None:
    """Add the command."""
    top = command(commands, "top", "show the books, the open runs and the newest bad endings, live")
    top.epilog = "With --once or --json: exit status 1 when the verdict is bad or blind, 0 when it is not."
    top.add_argument("--dir", help="the ledger directory (AFTERWORD_DIR; default: as the application's)")
    top.add_argument("--service", metavar="NAME", help="only this service")
    top.add_argument("--task", metavar="NAME", help="only this task")
    top.add_argument("--interval", metavar="SECONDS",
                     help=f"between two looks (default: {_INTERVAL:g}); with --once: look twice")  # fmt: skip
    top.add_argument("--once", action="store_true", help="print one screen; so it does where stdout is no terminal")
    top.add_argument("--json", action="store_true",
                     help="print one JSON document; with --interval: a line at each look")  # fmt: skip
    top.set_defaults(run=_top)


def _top(options: argparse.Namespace) -> int:
    interval = None if options.interval is None else _seconds(options.interval)
    directory = command_.settings(dir=options.dir).directory
    from afterword.terminal.reading import CannotAnswerError, Reader

    try:
        reader = Reader(directory, options.service, options.task, all_runs=options.json)
        reader.check()
    except CannotAnswerError as error:
        raise UsageError(str(error)) from error
    if options.json:
        return _json(reader, None if options.once else interval)
    if options.once or not _can_be_live():
        return _once(reader, interval)
    return _live(reader, interval or _INTERVAL)


def _seconds(value: str) -> float:
    try:
        return values.number(value, 0.5, 3600)
    except ValueError:
        raise UsageError(f"--interval is {value!r}; allowed: {_ALLOWED}") from None


def _can_be_live() -> bool:
    """Whether stdout is a terminal on which a cursor can be moved."""
    from afterword.terminal import paint

    return paint.on_terminal() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")


def _live(reader: "Reader", interval: float) -> int:
    try:
        from afterword.terminal import live, paint

        console = paint.console()
    except ImportError as error:
        raise missing_extra("cli", error, "top") from error
    live.run(reader, interval, console)
    return 0


def _once(reader: "Reader", interval: float | None) -> int:
    from afterword.terminal import paint, rates, screen

    shown, state = reader.look(), screen.State()
    if interval is not None:
        time.sleep(interval)
        before, shown = shown, reader.look()
        state.rates = rates.between(before.tasks, shown.tasks, shown.status.at - before.status.at)
    write(paint.rendered(screen.once(shown, state, paint.columns())), None)
    return _status(shown)


def _json(reader: "Reader", interval: float | None) -> int:
    """Print one document, or one at each look until nobody reads them."""
    from afterword.terminal import records

    while True:
        shown = reader.look()
        read = _said(records.line(records.of_screen(shown)))
        if interval is None or not read:
            return _status(shown)
        time.sleep(interval)


def _said(text: str) -> bool:
    """Write a line at once; whether somebody reads it."""
    try:
        print(text, end="", flush=True)
    except BrokenPipeError:
        nobody_reads()
        return False
    except OSError as error:
        raise UsageError(f"stdout: {error.strerror}") from error
    return sys.stdout is not None


def _status(shown: "Shown") -> int:
    return int(shown.status.verdict in ("bad", "blind"))
