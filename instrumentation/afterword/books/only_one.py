"""The lock that lets one bookkeeper at a time fold in a directory, over all processes and threads."""

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_LOCK_NAME: Final = ".bookkeeper.lock"
#: A POSIX lock belongs to the process, so threads of one process need this one beside it.
_ONE_AT_A_TIME: Final = threading.Lock()


@contextlib.contextmanager
def only_bookkeeper(directory: Path) -> Iterator[bool]:
    """True inside if nobody else folds in this directory. A forked child does not inherit the lock.

    Raises:
        OSError: the lock cannot be had here.
    """
    with _ONE_AT_A_TIME:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(directory / _LOCK_NAME, flags, 0o600)
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield True
        except BlockingIOError:
            yield False
        finally:
            os.close(fd)
