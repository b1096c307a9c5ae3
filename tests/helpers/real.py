"""Real components: found, or the test is skipped; where they are required, failed."""

import shutil

import pytest

from tests.helpers.environment import REQUIRE_REAL


def binary(*names: str) -> str:
    """The path of the first of ``names`` that is installed."""
    for name in names:
        found = shutil.which(name)
        if found is not None:
            return found
    complaint = f"{names[0]} is not installed (Debian and Ubuntu: apt-get install prometheus prometheus-alertmanager)"
    if REQUIRE_REAL:
        pytest.fail(complaint)
    pytest.skip(complaint)
