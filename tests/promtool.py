"""Runs the real promtool; the tests of the rules are worth nothing without it."""

import os
import subprocess
from pathlib import Path

from tests.helpers.real import binary


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool, or the one that ``PROMTOOL`` names."""
    found = os.environ.get("PROMTOOL") or binary("promtool")
    return subprocess.run([found, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)
