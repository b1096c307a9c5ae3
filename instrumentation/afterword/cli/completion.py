"""``afterword completion``: the shell completes commands and options."""

import argparse
from typing import Any, Final

from afterword.cli.command import command, missing_extra, write

_SHELLS: Final = ("bash", "zsh", "tcsh")
#: What a shell can complete an option's value with, by the option's place in the parsed arguments.
_FOLDERS: Final = ("dir",)
_FILES: Final = ("config", "output")
#: What `afterword run` starts, and its arguments.
_COMMAND: Final = {"bash": "_afterword_command", "zsh": "_default", "tcsh": "c"}
_BASH: Final = '_afterword_command() { compgen -c -f -- "$1"; }'


def add(commands: Any) -> None:
    """Add the command."""
    completion = command(commands, "completion", "print a completion script for a shell")
    completion.epilog = 'Example: eval "$(afterword completion bash)" in ~/.bashrc'
    completion.add_argument("shell", choices=_SHELLS, metavar="SHELL", help="bash, zsh or tcsh")
    completion.set_defaults(run=_completion)


def _completion(options: argparse.Namespace) -> None:
    try:
        import shtab
    except ImportError as error:
        raise missing_extra("cli", error, "completion") from error
    from afterword.cli import parser

    made = parser()
    for action in _actions(made):
        if action.dest in _FOLDERS:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.dest in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.dest == "command":
            action.complete = _COMMAND  # type: ignore[attr-defined]
    write(shtab.complete(made, options.shell, preamble=_BASH if options.shell == "bash" else ""), None)


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """The options of the parser and of its commands; argparse has no other way to them, shtab walks here too."""
    found = list(parser._actions)
    for action in parser._actions:
        if isinstance(action.choices, dict):
            found += [inner for made in action.choices.values() for inner in _actions(made)]
    return found
