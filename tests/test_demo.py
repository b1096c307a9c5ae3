"""The demo is a test of its own: it fails by itself when a scenario is not detected or a number is not exact."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.real import binary

ROOT = Path(__file__).parents[1]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("scenarios", ["refused,killed", pytest.param(None, marks=pytest.mark.long)])
def test_the_demo_detects_what_it_breaks(scenarios, tmp_path):
    """Real mail server, two workers, SIGKILL, Prometheus: every alert fires and every number is exact."""
    binary("prometheus")
    report = tmp_path / "report.json"
    chosen = ["--only", scenarios] if scenarios else []
    command = [sys.executable, "-m", "demo_app", "--json", str(report), *chosen]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(report.read_text())
    assert "balanced" in done.stdout
