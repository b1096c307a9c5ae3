"""Notices a death when it happens: the kernel closes the dead process's ledger, and says so.

With inotify nothing polls: CLOSE_WRITE arrives when the last mapping of a ledger is gone, and the
lock follows at once. Where there is no inotify, or no directory yet, it looks once a second.
"""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from afterword.ledger.file import SUFFIX

_LOGGER: Final = logging.getLogger("afterword.sidecar")
_POLL_SECONDS: Final = 1.0
_SWEEP_SECONDS: Final = 30.0
#: The lock is dropped right after the event; these are the milliseconds we would wait for it.
_LOCK_FOLLOWS_WITHIN: Final = 100


class DeathWatch:
    """Calls ``on_death`` in a thread of its own after a ledger's last mapping is gone, and every 30 seconds."""

    def __init__(self, directory: Path, on_death: Callable[[], object], is_dead: Callable[[str], bool]) -> None:
        self._directory = directory
        self._on_death = on_death
        self._is_dead = is_dead
        self._stop = threading.Event()
        self._told: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="afterword-watch", daemon=True)

    def start(self) -> None:
        """Begin to watch; the directory may still be missing."""
        self._thread.start()

    def stop(self) -> None:
        """Stop within the time of one wait; the thread holds up no exit."""
        self._stop.set()

    def _run(self) -> None:
        module = _inotify()
        if module is None:
            self._tell("there is no inotify here: a death is noticed within a second, and at every scrape")
        while not self._stop.is_set():
            try:
                if module is not None:
                    self._listen(module)
            except FileNotFoundError:
                pass  # the directory is missing: every scrape says so
            except Exception as error:  # noqa: BLE001 - the watch must outlive anything
                self._tell(f"{self._directory} cannot be watched ({error}): it is looked at every second instead")
            self._poll()

    def _poll(self) -> None:
        """Look once, and wait: also what remains when nothing can be watched."""
        try:
            self._on_death()
        except Exception as error:  # noqa: BLE001 - as above; a scrape finds every death anyway
            self._tell(f"{self._directory} cannot be looked at ({type(error).__name__}: {error})")
        self._stop.wait(_POLL_SECONDS)

    def _listen(self, module: ModuleType) -> None:
        """Wait for deaths until the path leads to another directory, or to none."""
        flags = module.flags
        with module.INotify() as inotify:
            inotify.add_watch(self._directory, flags.CLOSE_WRITE | flags.DELETE_SELF | flags.MOVE_SELF | flags.ONLYDIR)
            watched = self._identity()
            self._on_death()
            while not self._stop.is_set():
                events = inotify.read(timeout=int(_SWEEP_SECONDS * 1000))
                if self._identity() != watched:
                    return
                if not events or any(event.mask & flags.Q_OVERFLOW for event in events):
                    self._on_death()
                self._book(events)

    def _book(self, events: list[Any]) -> None:
        closed = [event.name for event in events if event.name.endswith(SUFFIX)]
        if closed:
            self._wait_for_locks(closed)
            self._on_death()

    def _wait_for_locks(self, names: list[str]) -> None:
        for _ in range(_LOCK_FOLLOWS_WITHIN):
            if all(self._is_dead(name) for name in names):
                return
            time.sleep(0.001)

    def _identity(self) -> tuple[int, int]:
        """Which directory the path leads to: one made again, or mounted over, sends no event."""
        found = self._directory.stat()
        return found.st_dev, found.st_ino

    def _tell(self, sentence: str) -> None:
        if sentence not in self._told and len(self._told) < 100:
            self._told.add(sentence)
            _LOGGER.warning("%s", sentence)


def _inotify() -> ModuleType | None:
    try:
        import inotify_simple  # type: ignore[import-untyped]  # it carries no types
    except (ImportError, OSError, AttributeError):
        return None
    module: ModuleType = inotify_simple
    return module
