"""``afterword run``: a command with its applications instrumented."""

import argparse
import shutil
from typing import Any, Final

from afterword.cli.command import UsageError, command

#: As a shell has it: a command that cannot be executed, and one that is not there.
_NOT_EXECUTABLE: Final = 126
_NOT_FOUND: Final = 127


def add(commands: Any) -> None:
    """Add the command."""
    run = command(commands, "run", "run a command with its FastAPI and Starlette applications instrumented")
    run.usage, run.epilog = "%(prog)s [-h] [--] COMMAND ...", "Example: afterword run -- uvicorn shop:app --workers 2"
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND ...",
                     help="as without afterword; settings come from AFTERWORD_* and afterword.toml")  # fmt: skip
    run.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not any(command[:1]):
        raise UsageError("a command is needed, for instance: afterword run -- uvicorn shop:app")
    from afterword.auto.launch import become

    try:
        become(command)
    except OSError as error:
        raise _not_run(command[0], error) from error


def _not_run(command: str, error: OSError) -> UsageError:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        return UsageError(f"{command}: {error.strerror}", _NOT_EXECUTABLE)
    if shutil.which(command) is not None:
        return UsageError(f"{command}: the interpreter in its first line does not exist", _NOT_EXECUTABLE)
    return UsageError(f"{command}: command not found", _NOT_FOUND)
