"""Where ledgers of tests lie."""

import contextlib
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def ledger_directory() -> Iterator[Path]:
    """A fresh directory for ledgers, in shared memory where there is some."""
    shared = Path("/dev/shm")
    base = shared if shared.is_dir() else Path(tempfile.gettempdir())
    made = base / f"afterword-test-{secrets.token_hex(6)}"
    made.mkdir(mode=0o700)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
