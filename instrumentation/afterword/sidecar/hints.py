"""What a person should know who looks at an empty page: each said once, in the log."""

import logging
import os
import time
from pathlib import Path
from typing import Final

from afterword.books.scan import Scan

_LOGGER: Final = logging.getLogger("afterword.sidecar")
#: Seconds an application has to begin before an empty directory is worth a word.
_PATIENCE: Final = 60.0


class Hints:
    """Looks at scans and says what is probably wrong."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._began = time.monotonic()
        self._said: set[str] = set()

    def look_at(self, scan: Scan) -> None:
        """Say what this scan suggests, unless it was said before."""
        uid = os.geteuid()
        nothing = not scan.ledgers and not scan.totals.services
        if nothing and not scan.listing.unknown and time.monotonic() - self._began > _PATIENCE:
            self._say(
                f"no ledger in {self._directory} yet: does the application run as the same user (uid {uid})"
                " with the same AFTERWORD_DIR?"
            )
        if scan.listing.unknown:
            self._say(
                f"ledgers in {self._directory} cannot be opened by uid {uid}: run the sidecar as the user"
                " of the application (or give it more file descriptors)"
            )

    def _say(self, hint: str) -> None:
        if hint not in self._said:
            self._said.add(hint)
            _LOGGER.warning("%s", hint)
