"""Nothing waits for ever: whatever asks the system or the network runs in a thread that is left behind."""

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class TookTooLongError(Exception):
    """It has not come back in time."""


def within(seconds: float, ask: Callable[[], T]) -> T:
    """What ``ask`` returns or raises, if it does so in time.

    A timeout of a socket is none for a name server, for a server that sends a byte now and then, or for the
    stat of a dead network mount: this one is.

    Raises:
        TookTooLongError: the thread is left behind; it does not keep the process from ending.
    """
    answers: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(ask())
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is waited for
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True, name="afterword doctor")
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not answers:
        raise TookTooLongError(f"no answer within {seconds:g} s")
    return answers[0]
