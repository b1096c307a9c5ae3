"""The runbooks that are installed with the package, or lie beside it in a checkout."""

import functools
import re
import site
import sys
from pathlib import Path

import afterword

_NAME = re.compile(r"Afterword[A-Za-z]+")


@functools.lru_cache(maxsize=64)
def runbook_of(alert: str) -> str:
    """The runbook of an alert as Markdown; an empty text where there is none."""
    if not _NAME.fullmatch(alert):
        return ""
    for folder in _folders():
        try:
            return (folder / f"{alert}.md").read_text(encoding="utf-8")
        except OSError:
            continue
    return ""


def _folders() -> list[Path]:
    checkout = Path(afterword.__file__).parents[2] / "alerts" / "runbooks"
    prefixes = [sys.prefix, site.getuserbase()]
    return [checkout, *(Path(prefix, "share", "afterword", "alerts", "runbooks") for prefix in prefixes)]
