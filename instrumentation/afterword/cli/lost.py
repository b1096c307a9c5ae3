"""``afterword lost``: the bad endings that are kept one by one, the newest last."""

import argparse
import re
import sys
import time
from typing import TYPE_CHECKING, Any, Final, cast

from afterword import words
from afterword.cli import command as command_
from afterword.cli.command import UsageError, command, write

if TYPE_CHECKING:
    from afterword.terminal.endings import Wanted
    from afterword.view.model import Ending

#: On a terminal; a script gets all.
_LIMIT: Final = 100


def add(commands: Any) -> None:
    """Add the command."""
    lost = command(commands, "lost", "list the runs that were lost or dropped, the newest last")
    lost.epilog = (
        "Exit status: 0 nothing was found, 1 something was, 2 there is no answer. "
        "Example: afterword lost --since 10m || page-somebody"
    )
    lost.add_argument("--dir", help="the ledger directory (AFTERWORD_DIR; default: as the application's)")
    lost.add_argument("--since", metavar="TIME", help="ended then or later: 90s, 15m, 2h, 3d (ago), an ISO time "
                      "or Unix seconds")  # fmt: skip
    lost.add_argument("--until", metavar="TIME", help="ended then or before")
    lost.add_argument("--service", metavar="NAME", help="only of this service")
    lost.add_argument("--task", metavar="NAME", help="only of this task")
    lost.add_argument("--kind", choices=words.KINDS, help="only of this kind: %(choices)s", metavar="KIND")
    which = lost.add_mutually_exclusive_group()
    which.add_argument("--ending", metavar="ENDING,...",
                       help="lost, dropped, failed, cancelled, swallowed (default: lost,dropped)")  # fmt: skip
    which.add_argument("--all", action="store_true", help="every bad ending")
    # Else `--since -1h` is an option that nobody knows, and --since has no value.
    lost._negative_number_matcher = re.compile(r"-\d.*")
    lost.add_argument("--limit", metavar="N", help=f"the newest N (default: {_LIMIT} on a terminal, elsewhere all)")
    lost.add_argument("--json", action="store_true", help="print one JSON array")
    lost.set_defaults(run=_lost)


def _lost(options: argparse.Namespace) -> int:
    wanted = _wanted(options)
    directory = command_.settings(dir=options.dir).directory
    from afterword.terminal import endings, paint, reading, records

    try:
        view = reading.open_view(directory)
        look = view.look()
        reading.check_written(look.status)
        reading.check_names(look.tasks, directory, wanted.service, wanted.task)
    except reading.CannotAnswerError as error:
        raise UsageError(str(error)) from error
    found, problem = endings.find(view, wanted), look.status.sidecar.history.problem
    if problem and not found.items:
        pass  # "nothing" would be an answer
    elif options.json:
        write(records.line(found.items), None)
    else:
        counted = endings.counted(look.tasks, wanted)
        write(paint.rendered(endings.lines(found, wanted, look.status, counted, paint.columns())), None)
    if problem:
        raise UsageError(f"the history cannot be read, so what it holds is not told: {problem}; see afterword doctor")
    return int(bool(found.items))


def _wanted(options: argparse.Namespace) -> "Wanted":
    from afterword.terminal.endings import Wanted

    now = time.time()
    since, until = _time("--since", options.since, now), _time("--until", options.until, now)
    if since is not None and since > now:
        raise UsageError(f"--since is {options.since!r}; allowed: a time that has passed")
    if since is not None and until is not None and since > until:
        raise UsageError(f"--since is {options.since!r}, later than --until; allowed: a time before it")
    return Wanted(
        endings=_endings(options),
        service=options.service,
        task=options.task,
        kind=options.kind,
        since=since,
        until=until,
        limit=_limit(options.limit, on_terminal=sys.stdout is not None and sys.stdout.isatty() and not options.json),
    )


def _time(option: str, value: str | None, now: float) -> float | None:
    from afterword.terminal import moments

    try:
        return None if value is None else moments.read(value, now)
    except ValueError:
        if value is not None and value[:1] in ("-", "+") and moments.is_ago(value[1:]):
            raise UsageError(f"{option} is {value!r}; a time ago has no sign: {option} {value[1:]}") from None
        raise UsageError(f"{option} is {value!r}; allowed: {moments.ALLOWED}") from None


def _endings(options: argparse.Namespace) -> "tuple[Ending, ...]":
    from afterword.terminal.endings import ALL, VANISHED

    if options.all:
        return ALL
    if options.ending is None:
        return VANISHED
    named = tuple(word.strip() for word in options.ending.split(","))
    if not set(named) <= set(ALL):
        raise UsageError(f"--ending is {options.ending!r}; allowed: {', '.join(ALL)}, with commas between them")
    return cast("tuple[Ending, ...]", named)


def _limit(value: str | None, *, on_terminal: bool) -> int | None:
    if value is None:
        return _LIMIT if on_terminal else None
    if not (value.isascii() and value.isdecimal() and 1 <= int(value[:10]) <= 1_000_000):
        raise UsageError(f"--limit is {value!r}; allowed: a whole number from 1 to 1000000")
    return int(value)
