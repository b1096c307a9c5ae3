"""The command line. Exit status: 0 done, 2 for a wrong word or setting, told in one sentence."""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Final

from afterword import __version__
from afterword.cli import completion, doctor, lost, run, sidecar, top, written
from afterword.cli.command import Parser, UsageError

_INTERRUPTED: Final = 130
#: Each adds its command to the parser, in the order of the help.
_COMMANDS: Final = (
    run.add, sidecar.add, top.add, lost.add, doctor.add, written.add_alerts, written.add_dashboards, completion.add,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    try:
        options, unknown = parser().parse_known_args(arguments)
        if unknown:
            options.parser.refuse(unknown)  # the command's own: argparse would name the help of all commands
        command: Callable[[argparse.Namespace], int | None] = options.run
        return command(options) or 0
    except UsageError as error:
        print(f"afterword: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return _INTERRUPTED


def parser() -> argparse.ArgumentParser:
    """All commands."""
    made = Parser(prog="afterword", description="Every task gets a final word.")
    made.add_argument("--version", action="version", version=f"afterword {__version__}")
    commands = made.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in _COMMANDS:
        add(commands)
    return made
