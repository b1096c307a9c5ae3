"""The environment of every test: our own errors are raised, and no setting leaks in from outside."""

import os
from typing import Final

#: 1: where a real component is missing, fail instead of skipping. Not a variable of the product, so it goes away.
REQUIRE_REAL: Final = os.environ.pop("AFTERWORD_REQUIRE_REAL", "") == "1"


def clean() -> None:
    """Forget what the surroundings set; child processes inherit the result."""
    for name in [name for name in os.environ if name.startswith("AFTERWORD_")]:
        del os.environ[name]
    os.environ.pop("OTEL_SERVICE_NAME", None)
    os.environ["AFTERWORD_RAISE"] = "1"
