"""One thread that looks every second: keeps bad endings before a ledger forgets them, and samples."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

_LOGGER: Final = logging.getLogger("afterword.sidecar")
_TICK: Final = 1.0


class Ticker:
    """Calls ``every_tick`` each second and ``every_step`` each ``step`` seconds, whatever either of them raises."""

    def __init__(self, every_tick: Callable[[], object], every_step: Callable[[], object], step: float) -> None:
        self._calls = ((every_tick, _TICK), (every_step, step))
        self._end = threading.Event()
        self._told = False
        self._thread = threading.Thread(target=self._run, name="afterword-ticker", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the call that is on; nobody waits for it."""
        self._end.set()

    def _run(self) -> None:
        due = dict.fromkeys((call for call, _ in self._calls), time.monotonic())
        while not self._end.wait(_TICK):
            for call, pause in self._calls:
                if time.monotonic() >= due[call]:
                    due[call] = time.monotonic() + pause - _TICK / 2
                    self._call(call)

    def _call(self, call: Callable[[], object]) -> None:
        try:
            call()
        except Exception as error:  # noqa: BLE001 - the thread must outlive anything
            if not self._told:
                self._told = True
                _LOGGER.warning("the books cannot be looked at (%s: %s)", type(error).__name__, error)
