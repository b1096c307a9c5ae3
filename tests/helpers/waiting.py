"""Waiting for a condition, with a limit, instead of sleeping."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_INTERVAL = 0.005  # seconds


def until(condition: Callable[[], T], seconds: float = 10.0) -> T:
    """The first true answer of ``condition``; fails when there is none within ``seconds``."""
    end = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not true within {seconds:g} s, the last answer was {answer!r}")
        time.sleep(_INTERVAL)
    return answer


def pool_threads_ended() -> None:
    """AnyIO tells its pool to end with the loop and joins nobody: until then a thread holds what its call raised."""
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "AnyIO worker thread"])
