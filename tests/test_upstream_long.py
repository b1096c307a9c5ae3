"""Starlette's and FastAPI's own tests pass unchanged with every application instrumented."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
#: The command's own: no index, so nothing was compared.
NOT_MADE = 2


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("suite", ["starlette", "fastapi"])
def test_the_suites_of_the_frameworks_come_out_the_same(suite):
    """Every file near our hooks, bare and under afterword: no test may end otherwise, and no error be ours."""
    command = [sys.executable, "-m", "tests.upstream", "--only", suite]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3500, check=False)
    if done.returncode == NOT_MADE:
        pytest.skip(done.stdout + done.stderr)
    assert done.returncode == 0, done.stdout + done.stderr
