"""Notices a death when it happens: the kernel closes the dead process's ledger, and says so.

With inotify nothing polls: CLOSE_WRITE arrives when the last mapping of a ledger is gone, and the
lock follows at once. Where there is no inotify the directory is looked at every second.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Final

from afterword.ledger.file import SUFFIX

_LOGGER: Final = logging.getLogger("afterword.sidecar")
_POLL_SECONDS: Final = 1.0
_SWEEP_SECONDS: Final = 30.0
#: The lock is dropped right after the event; these are the milliseconds we would wait for it.
_LOCK_FOLLOWS_WITHIN: Final = 100


class DeathWatch:
    """Calls ``on_death`` in a thread of its own after a ledger's last mapping is gone."""

    def __init__(self, directory: Path, on_death: Callable[[], object], is_dead: Callable[[str], bool]) -> None:
        self._directory = directory
        self._on_death = on_death
        self._is_dead = is_dead
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="afterword-watch", daemon=True)

    def start(self) -> None:
        """Begin to watch; the directory may still be missing."""
        self._thread.start()

    def stop(self) -> None:
        """Stop within the time of one wait."""
        self._stop.set()

    def _run(self) -> None:
        module = _inotify()
        while not self._stop.is_set():
            try:
                if module is None:
                    self._poll()
                else:
                    self._listen(module)
            except Exception as error:  # noqa: BLE001 - the watch must outlive anything; a scrape finds every death anyway
                _LOGGER.debug("watching %s: %s", self._directory, error)
                self._stop.wait(_POLL_SECONDS)

    def _poll(self) -> None:
        self._on_death()
        self._stop.wait(_POLL_SECONDS)

    def _listen(self, module: ModuleType) -> None:
        flags = module.flags
        with module.INotify() as inotify:
            inotify.add_watch(self._directory, flags.CLOSE_WRITE | flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR)
            self._on_death()
            while not self._stop.is_set():
                events = inotify.read(timeout=int(_SWEEP_SECONDS * 1000))
                if any(event.mask & (flags.DELETE_SELF | flags.MOVE_SELF | flags.IGNORED) for event in events):
                    return
                closed = [event.name for event in events if event.name.endswith(SUFFIX)]
                if closed or not events:
                    self._wait_for_locks(closed)
                    self._on_death()

    def _wait_for_locks(self, names: list[str]) -> None:
        for _ in range(_LOCK_FOLLOWS_WITHIN):
            if all(self._is_dead(name) for name in names):
                return
            time.sleep(0.001)


def _inotify() -> ModuleType | None:
    try:
        import inotify_simple  # type: ignore[import-untyped]  # it carries no types
    except (ImportError, OSError, AttributeError):
        return None
    module: ModuleType = inotify_simple
    return module
