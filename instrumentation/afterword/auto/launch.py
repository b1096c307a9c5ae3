"""Becoming the command of `afterword run`: the same process, with ``site/`` first on PYTHONPATH."""

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn

_VARIABLE: Final = "PYTHONPATH"
#: Holds nothing but our sitecustomize, so nothing of the command's is shadowed.
SITE: Final = str(Path(__file__).parent / "site")


def become(command: Sequence[str]) -> NoReturn:
    """Run ``command`` in the place of this process.

    Raises:
        OSError: It is not found, or cannot be executed.
    """
    # Python ignores these, and what is ignored stays so in the command.
    numbers = [getattr(signal, name) for name in ("SIGPIPE", "SIGXFSZ") if hasattr(signal, name)]
    before = {number: signal.signal(number, signal.SIG_DFL) for number in numbers}
    try:
        os.execvpe(command[0], list(command), environment(os.environ))  # noqa: S606 - it is what the user typed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def environment(given: Mapping[str, str]) -> dict[str, str]:
    """``given``, with our directory once and first on PYTHONPATH."""
    had = given.get(_VARIABLE)
    rest = [entry for entry in had.split(os.pathsep) if entry != SITE] if had else []  # an empty entry means something
    return {**given, _VARIABLE: os.pathsep.join([SITE, *rest])}
