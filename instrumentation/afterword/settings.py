"""Settings: each as a keyword, an AFTERWORD_* variable and a line of afterword.toml, in that order."""

import difflib
import os
import re
import reprlib
import tempfile
import tomllib
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from afterword.contract import DEFAULT_DEADLINE, DEFAULT_START_DEADLINE

PREFIX: Final = "AFTERWORD_"
CONFIG_FILE: Final = "afterword.toml"

#: Tables of the file that are read elsewhere.
_OTHER_TABLES: Final = frozenset({"alerts"})

#: Slots a ledger may have: 64 bytes each.
MIN_SLOTS, MAX_SLOTS = 64, 524_288
_YEAR: Final = 366 * 86400
#: Variables that are read elsewhere and are no settings of an application.
_OTHER_VARIABLES: Final = frozenset({f"{PREFIX}CONFIG", f"{PREFIX}RAISE"})
#: What Kubernetes puts into every container when a Service is called afterword, or afterword-something.
_SERVICE_LINK: Final = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
_SHOWN: Final = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = 80


class Address(NamedTuple):
    """Where the sidecar listens; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


#: What a run's span is to the request that scheduled it: its child, linked to it, or there is none.
TRACE: Final = ("parent", "link", "off")
DEFAULT_LISTEN: Final = Address("127.0.0.1", 9796)


@dataclass(frozen=True, slots=True)
class Settings:
    """What an application or a sidecar runs with. Durations in seconds, already divided by ``time_scale``."""

    directory: Path
    service: str | None
    deadline: float
    start_deadline: float
    time_scale: float
    slots: int
    metrics: str | None
    listen: Address
    trace: str
    otlp_endpoint: str | None
    disabled: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its name in Python and in afterword.toml, how to read it, what is allowed."""

    name: str
    read: Callable[[Any], Any]
    allowed: str
    default: Callable[[], Any]

    @property
    def variable(self) -> str:
        """The environment variable of the same name."""
        return PREFIX + self.name.upper()


def default_directory() -> Path:
    """``/dev/shm/afterword-UID`` where there is a /dev/shm, else the temporary directory's."""
    base = Path("/dev/shm")  # noqa: S108 - a directory of our own below it, mode 0700, is checked before use
    if not base.is_dir():
        try:
            base = Path(tempfile.gettempdir())
        except OSError:  # no temporary directory can be written: whoever uses the path is told why
            base = Path("/tmp")  # noqa: S108 - as above
    return base / f"afterword-{getattr(os, 'geteuid', int)()}"


def _number(value: Any, low: float, high: float) -> float:
    number = float(value)
    if isinstance(value, bool) or not low <= number <= high:
        raise ValueError
    return number


def _seconds(value: Any) -> float:
    return _number(value, 1e-9, _YEAR)


def _scale(value: Any) -> float:
    return _number(value, 0.001, 100_000)


def _slots(value: Any) -> int:
    number = _number(value, MIN_SLOTS, MAX_SLOTS)
    if not number.is_integer():
        raise ValueError
    return int(number)


def _flag(value: Any) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    return words[str(value).strip().lower()]


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def _path(value: Any) -> Path:
    path = Path(os.fspath(value))
    if not path.is_absolute() or "\0" in str(path):
        raise ValueError
    return path


def _address(value: Any) -> Address:
    """``HOST:PORT``; IPv6 in brackets, an empty host is loopback."""
    host, colon, port = _text(value).rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > 65535 or re.search(r"[\s/\[\]]", host):
        raise ValueError
    return Address(host or DEFAULT_LISTEN.host, int(port))


def _route(value: Any) -> str:
    route = _text(value)
    if not route.startswith("/"):
        raise ValueError
    return route


def _trace(value: Any) -> str:
    word = _text(value).lower()
    if word not in TRACE:
        raise ValueError
    return word


def url(value: Any) -> str:
    """An absolute address over HTTP; ValueError for anything else."""
    found = urllib.parse.urlsplit(_text(value))
    if found.scheme not in ("http", "https") or not found.hostname or found.port == 0:  # it raises on what is no number
        raise ValueError
    return found.geturl()


A_URL: Final = "a URL that begins with http:// or https://"
SETTINGS: Final = (
    Setting("dir", _path, "an absolute path", default_directory),
    Setting("service", _text, "a name that is not empty", lambda: None),
    Setting("deadline", _seconds, "seconds, more than 0 and at most a year", lambda: DEFAULT_DEADLINE),
    Setting("start_deadline", _seconds, "seconds, more than 0 and at most a year", lambda: DEFAULT_START_DEADLINE),
    Setting("time_scale", _scale, "a number from 0.001 to 100000", lambda: 1.0),
    Setting("slots", _slots, f"a whole number from {MIN_SLOTS} to {MAX_SLOTS}", lambda: 4096),
    Setting("metrics", _route, "a path that begins with /", lambda: None),
    Setting("listen", _address, "HOST:PORT with a port from 0 to 65535", lambda: DEFAULT_LISTEN),
    Setting("trace", _trace, "parent, link or off", lambda: TRACE[0]),
    Setting("otlp_endpoint", url, A_URL, lambda: None),
    Setting("disabled", _flag, "1 or 0", lambda: False),
)
_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}


def load(
    keywords: Mapping[str, Any],
    complain: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
    spelled: Callable[[str], str] = str,
) -> Settings:
    """Gather the settings; each one that cannot be used is told to ``complain`` and gets its default.

    Args:
        keywords: Values given in code, by setting name; None means not given.
        complain: Called with one sentence per problem; the command line raises in it.
        environment: Instead of ``os.environ``.
        spelled: How a keyword is called in a sentence: the command line says ``--time-scale``.
    """
    environment = os.environ if environment is None else environment
    file, where = read_file(environment, complain)
    _refuse_unknown(environment, file, where, complain)
    values = {}
    given = set()
    for setting in SETTINGS:
        candidates = (
            (spelled(setting.name), keywords.get(setting.name)),
            (setting.variable, environment.get(setting.variable) or None),
            (f"{setting.name} in {where}", file.get(setting.name)),
        )
        found = _first_usable(setting, candidates, complain)
        values[setting.name] = setting.default() if found is None else found
        if found is not None:
            given.add(setting.name)
    scale = values["time_scale"]
    return Settings(
        directory=values["dir"],
        service=values["service"] or environment.get("OTEL_SERVICE_NAME") or None,
        deadline=values["deadline"] / (1 if "deadline" in given else scale),
        start_deadline=values["start_deadline"] / (1 if "start_deadline" in given else scale),
        time_scale=scale,
        slots=values["slots"],
        metrics=values["metrics"],
        listen=values["listen"],
        trace=values["trace"],
        otlp_endpoint=values["otlp_endpoint"],
        disabled=values["disabled"],
    )


def _first_usable(setting: Setting, candidates: Iterable[tuple[str, Any]], complain: Callable[[str], None]) -> Any:
    """The first value that is given, or None; one that cannot be used is told, and hides those behind it."""
    for where, value in candidates:
        if value is None:
            continue
        try:
            return setting.read(value)
        except Exception:  # noqa: BLE001 - a keyword may be any object of the application's
            complain(f"{where} is {_SHOWN.repr(value)}; allowed: {setting.allowed}")
            return None
    return None


def read_file(environment: Mapping[str, str], complain: Callable[[str], None]) -> tuple[dict[str, Any], str]:
    """The settings file and what to call it; without a usable one, no settings."""
    named = environment.get(f"{PREFIX}CONFIG")
    path = Path(named or CONFIG_FILE)
    try:
        if path.exists() and not path.is_file() and str(path) != os.devnull:
            complain(f"{path} is not a file; allowed: a TOML file")  # a pipe would be waited for
        else:
            return tomllib.loads(path.read_text(encoding="utf-8")), str(path)
    except FileNotFoundError:
        if named:
            complain(f"{PREFIX}CONFIG names {named!r}, which does not exist; allowed: a TOML file")
    except OSError as error:
        may_enter = os.access(".", os.X_OK, effective_ids=os.access in os.supports_effective_ids)
        if named or may_enter:  # in a folder that is closed to us there is no file of ours
            complain(f"{path} cannot be read: {error.strerror}; allowed: a TOML file")
    except UnicodeDecodeError:
        complain(f"{path} is not UTF-8 text; allowed: a TOML file")
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        complain(f"{path} is not TOML: {error}")
    return {}, str(path)


def _refuse_unknown(
    environment: Mapping[str, str], file: Mapping[str, Any], where: str, complain: Callable[[str], None]
) -> None:
    known = {setting.variable for setting in SETTINGS}
    in_kubernetes = "KUBERNETES_SERVICE_HOST" in environment
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name in known or name in _OTHER_VARIABLES:
            continue
        if not (in_kubernetes and _SERVICE_LINK.fullmatch(name)):
            complain(f"{name} is no setting; {_nearest(name, lambda setting: setting.variable)}")
    for name, value in file.items():
        if name not in _BY_NAME and name not in _OTHER_TABLES:
            shown = f"[{name}]" if isinstance(value, dict) else name
            complain(f"{shown} in {where} is no setting; {_nearest(name, lambda setting: setting.name)}")


def _nearest(name: str, spelled: Callable[[Setting], str]) -> str:
    close = difflib.get_close_matches(name.removeprefix(PREFIX).lower(), _BY_NAME, n=1, cutoff=0.5)
    if close:
        return f"did you mean {spelled(_BY_NAME[close[0]])}?"
    return f"allowed: {', '.join(sorted(map(spelled, SETTINGS)))}"
