"""What all commands share: how they refuse, where they write, the settings they read."""

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NoReturn

from afterword import settings as settings_

WRONG: Final = 2
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
        raise UsageError(f"{message} (try: {self.prog} --help)")


def command(commands: Any, name: str, purpose: str) -> argparse.ArgumentParser:
    """Add one command to the parser's."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}."
    )
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
        pass  # whoever reads has enough: `afterword alerts | head`
    except OSError as error:
        where = "stdout" if output is None else f"--output {output}"
        raise UsageError(f"{where}: {error.strerror}") from error
