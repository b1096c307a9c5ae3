"""What all commands share: how they refuse, where they write, the settings they read."""

import argparse
import contextlib
import difflib
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from afterword import settings as settings_

WRONG: Final = 2
#: As argparse says it, with quotes around the choices or without.
_NO_CHOICE: Final = re.compile(r"invalid choice: '([^']*)' \(choose from (.*)\)")
CONFIG_HELP: Final = "afterword.toml or another TOML file, with a table [alerts] (AFTERWORD_CONFIG)"


class UsageError(Exception):
    """Told on stderr in one sentence; exit status 2 unless it has its own."""

    def __init__(self, sentence: str, status: int = WRONG) -> None:
        super().__init__(sentence)
        self.status = status


class Parser(argparse.ArgumentParser):
    """Refuses in one sentence, and takes no abbreviations."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        """Raise what is told instead of the usage."""
        wrong = _NO_CHOICE.search(message)
        nearest = _nearest(wrong[1], re.findall(r"[\w-]+", wrong[2])) if wrong else ""
        raise UsageError(f"{message}{nearest} (try: {self.prog} --help)")

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Raise what is told of words that are no options of this command."""
        options = {option.lstrip("-"): option for action in self._actions for option in action.option_strings}
        first = next((word for word in unknown if word.startswith("-")), "").lstrip("-").partition("=")[0]
        self.error(f"unrecognized arguments: {' '.join(unknown)}{_nearest(first, options, options)}")


def _nearest(word: str, known: Iterable[str], spelled: Mapping[str, str] | None = None) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {(spelled or {}).get(near[0], near[0])}?" if near else ""


def command(commands: Any, name: str, purpose: str) -> argparse.ArgumentParser:
    """Add one command to the parser's."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}."
    )
    parser.set_defaults(parser=parser)
    return parser


def environment(config: str | None) -> Mapping[str, str]:
    """The environment, in which ``--config`` names the file."""
    if config is not None and not Path(config).exists():
        raise UsageError(f"--config {config}: no such file; allowed: a TOML file")
    return os.environ if config is None else {**os.environ, f"{settings_.PREFIX}CONFIG": config}


def settings(environment: Mapping[str, str] | None = None, **keywords: object) -> settings_.Settings:
    """The settings; ``keywords`` are options of the command line.

    Raises:
        UsageError: one of them cannot be used.
    """
    return settings_.load(keywords, refuse, environment, spelled=as_option)


def as_option(name: str) -> str:
    """How the command line spells a setting."""
    return "--" + name.replace("_", "-")


def refuse(sentence: str) -> NoReturn:
    """Raise it."""
    raise UsageError(sentence)


def missing_extra(extra: str, error: ImportError, what: str | None = None) -> UsageError:
    """What to install for the command ``what``, by default of the extra's name."""
    if (error.name or "").partition(".")[0] in sys.stdlib_module_names:
        return UsageError(
            f"`afterword {what or extra}` does not run on {sys.platform}: Python has no {error.name} there"
        )
    needs = error.name or "one more package"
    return UsageError(f"`afterword {what or extra}` needs {needs}: pip install 'afterword[{extra}]'")


def write(text: str, output: str | None) -> None:
    """Write to a file, or to stdout.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        if output is not None:
            Path(output).write_text(text, encoding="utf-8")
        elif sys.stdout is not None:
            sys.stdout.write(text)
            sys.stdout.flush()
    except BrokenPipeError:
        nobody_reads()  # whoever did has enough: `afterword alerts | head`
    except OSError as error:
        where = "stdout" if output is None else f"--output {output}"
        raise UsageError(f"{where}: {error.strerror}") from error


def nobody_reads() -> None:
    """Let what is still buffered go nowhere: flushed at exit it would be told as an error, with status 120."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
