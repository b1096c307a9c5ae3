"""Processes killed at random moments: the books balance, nothing acknowledged is forgotten, nothing counted twice."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_traces import WAYS

ROOT = Path(__file__).parents[1]


def torture(module: str, kills: int, *options: str) -> dict[str, int]:
    """Run one of the tortures in a process of its own and read its sums."""
    command = [sys.executable, "-m", f"tests.torture.{module}", "--kills", str(kills), *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=3000, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    sums: dict[str, int] = json.loads(done.stdout)
    return sums


@pytest.mark.framework
@pytest.mark.parametrize("kills", [300, pytest.param(3000, marks=[pytest.mark.long, pytest.mark.timeout(3000)])])
def test_books_balance_after_an_application_is_killed_anywhere(kills):
    """Sync, async and mixed load; a reader of the living file never sees a counter go back."""
    sums = torture("applications", kills)
    assert sums["kills"] == kills
    assert [sums.get(name, 0) for name in ("unbalanced", "forgotten", "invented", "backwards")] == [0, 0, 0, 0]
    assert sums["lost"] > kills
    assert sums["polls"] > kills


@pytest.mark.timeout(300)
@pytest.mark.parametrize("by", WAYS)
@pytest.mark.parametrize("kills", [10, pytest.param(500, marks=[pytest.mark.long, pytest.mark.timeout(3000)])])
def test_every_open_span_of_a_killed_worker_arrives_once_and_closed(kills, by):
    """In the trace the client began, wherever in the life of its runs the worker is killed and whoever traces it."""
    sums = torture("spans", kills, "--by", by)
    assert sums["kills"] == kills
    wrong = ("missing", "twice", "open", "other_trace", "other_parent", "orphans")
    assert {name: sums[name] for name in wrong} == dict.fromkeys(wrong, 0)
    assert sums["lost"] > kills


@pytest.mark.parametrize("kills", [250, pytest.param(5000, marks=[pytest.mark.long, pytest.mark.timeout(3000)])])
def test_each_lost_run_is_booked_once_wherever_the_bookkeeper_is_killed(kills):
    """At random moments and at each of its system calls in turn: the totals a reader sees never change."""
    sums = torture("bookkeepers", kills)
    assert sums["kills"] == kills
    assert [sums.get(name, 0) for name in ("wrong", "left_over")] == [0, 0]
    assert sums["lost"] > 0
