"""Finds and runs the real promtool; the tests of the rules are worth nothing without it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool; without one, skip, or fail where ``AFTERWORD_REQUIRE_REAL=1`` asks for the real thing."""
    found = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if found is None:
        complaint = "promtool is not installed (Debian and Ubuntu: apt-get install prometheus)"
        if os.environ.get("AFTERWORD_REQUIRE_REAL") == "1":
            pytest.fail(complaint)
        pytest.skip(complaint)
    return subprocess.run([found, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)
