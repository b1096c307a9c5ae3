"""What a person has to know is said on stderr, once, where no logging need be set up."""

import contextlib
import sys


def say(sentence: str) -> None:
    """One line on stderr; a process without a usable stderr stays silent."""
    with contextlib.suppress(Exception):
        sys.stderr.write(f"afterword: {sentence}\n")
        sys.stderr.flush()
