"""How each kind of value is read, from a keyword, a variable or a line of a file; ValueError if it cannot be."""

import os
import re
import tempfile
import urllib.parse
from pathlib import Path
from typing import Any, Final, NamedTuple

#: Slots a ledger may have: 64 bytes each.
MIN_SLOTS, MAX_SLOTS = 64, 524_288
#: Characters that a token has at least.
MIN_TOKEN: Final = 16
_YEAR: Final = 366 * 86400


class Address(NamedTuple):
    """Where the sidecar listens; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


#: What a run's span is to the request that scheduled it: its child, linked to it, or there is none.
TRACE: Final = ("parent", "link", "off")
DEFAULT_LISTEN: Final = Address("127.0.0.1", 9796)


def default_directory() -> Path:
    """``/dev/shm/afterword-UID`` where there is a /dev/shm, else the temporary directory's."""
    base = Path("/dev/shm")  # noqa: S108 - a directory of our own below it, mode 0700, is checked before use
    if not base.is_dir():
        try:
            base = Path(tempfile.gettempdir())
        except OSError:  # no temporary directory can be written: whoever uses the path is told why
            base = Path("/tmp")  # noqa: S108 - as above
    return base / f"afterword-{getattr(os, 'geteuid', int)()}"


def number(value: Any, low: float, high: float) -> float:
    """A number from ``low`` to ``high``."""
    found = float(value)
    if isinstance(value, bool) or not low <= found <= high:
        raise ValueError
    return found


def seconds(value: Any) -> float:
    """A duration of at most a year."""
    return number(value, 1e-9, _YEAR)


def scale(value: Any) -> float:
    """How much faster than real time."""
    return number(value, 0.001, 100_000)


def slots(value: Any) -> int:
    """A whole number of slots."""
    found = number(value, MIN_SLOTS, MAX_SLOTS)
    if not found.is_integer():
        raise ValueError
    return int(found)


def flag(value: Any) -> bool:
    """On or off."""
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    return words[str(value).strip().lower()]


def text(value: Any) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def path(value: Any) -> Path:
    """An absolute path."""
    found = Path(os.fspath(value))
    if not found.is_absolute() or "\0" in str(found):
        raise ValueError
    return found


def address(value: Any) -> Address:
    """``HOST:PORT``; IPv6 in brackets, an empty host is loopback."""
    host, colon, port = text(value).rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65535 or re.search(r"[\s/\[\]]", host):
        raise ValueError
    return Address(host or DEFAULT_LISTEN.host, int(port))


def route(value: Any) -> str:
    """A path of a URL."""
    found = text(value)
    if not found.startswith("/"):
        raise ValueError
    return found


def trace(value: Any) -> str:
    """One of `TRACE`."""
    word = text(value).lower()
    if word not in TRACE:
        raise ValueError
    return word


def url(value: Any) -> str:
    """An absolute address over HTTP; ValueError for anything else."""
    found = urllib.parse.urlsplit(text(value))
    if found.scheme not in ("http", "https") or not found.hostname or found.port == 0:  # it raises on what is no number
        raise ValueError
    return found.geturl()


def trace_url(value: Any) -> str:
    """The address at which a trace is seen, with a place for its id."""
    if "{trace_id}" not in text(value):
        raise ValueError
    return text(value) if url(value) else ""


A_TRACE_URL: Final = "a URL that begins with http:// or https:// and has {trace_id} in it"
A_URL: Final = "a URL that begins with http:// or https://"


def token(value: Any) -> str:
    """A secret that fits into a header, and is too long to be guessed."""
    found = text(value)
    if len(found) < MIN_TOKEN or not re.fullmatch(r"[!-~]+", found):
        raise ValueError
    return found


def hosts(value: Any) -> tuple[str, ...]:
    """Host names, in a list or with commas between them; in small letters, without a port."""
    names = value.split(",") if isinstance(value, str) else list(value)
    found = tuple(text(name).lower() for name in names)
    if not found or not all(re.fullmatch(r"[a-z0-9_.-]+|\[[0-9a-f:.]+\]", name) for name in found):
        raise ValueError
    return found
