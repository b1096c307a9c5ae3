"""One pass of a suite: pytest in the suite's own folder, with the recorder and perhaps with every app instrumented."""

import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.upstream.outcomes import Outcomes, read
from tests.upstream.surroundings import Surroundings

_PLUGINS: Final = Path(__file__).parent / "plugins"
_LIMIT: Final = 1800  # seconds


@dataclass(frozen=True)
class Pass:
    """How the tests are run. ``raising``: an error of our own fails the test in which it happens."""

    name: str
    instrumented: bool = False
    raising: bool = False


BARE: Final = Pass("bare")
BARE_AGAIN: Final = Pass("bare, once more")
WATCHED: Final = (
    Pass("under afterword, its errors raised", True, True),
    Pass("under afterword, as in production", True),
)


def run(surroundings: Surroundings, how: Pass, tests: Sequence[str]) -> Outcomes:
    """Every test's outcome; with what afterword booked meanwhile."""
    record = surroundings.home / f"{how.name.replace(', ', ' ').replace(' ', '-')}.jsonl"
    record.unlink(missing_ok=True)
    directory = _directory() if how.instrumented else None
    command = [str(surroundings.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "upstream_recorder"]
    if how.instrumented:
        command += ["-p", "upstream_instrumented"]
    log = record.with_suffix(".log")
    try:
        with log.open("wb") as output:
            subprocess.run(
                [*command, *tests], cwd=surroundings.source, env=_environment(record, how, directory), timeout=_LIMIT,
                stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip
        return read(record, log, directory)
    finally:
        if directory is not None:
            shutil.rmtree(directory, ignore_errors=True)


def _directory() -> Path:
    """For the ledgers, where an application would keep them."""
    shared = Path("/dev/shm")
    made = (shared if shared.is_dir() else Path(tempfile.gettempdir())) / f"afterword-test-{secrets.token_hex(6)}"
    made.mkdir(mode=0o700)
    return made


def _environment(record: Path, how: Pass, directory: Path | None) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AFTERWORD_", "PYTHON", "OTEL_", "PYTEST_"))}
    kept |= {"PYTHONPATH": str(_PLUGINS), "UPSTREAM_RECORD": str(record)}
    if directory is not None:
        kept["AFTERWORD_DIR"] = str(directory)
    if how.raising:
        kept["AFTERWORD_RAISE"] = "1"
    return kept
