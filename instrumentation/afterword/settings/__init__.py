"""Settings: each as a keyword, an AFTERWORD_* variable and a line of afterword.toml, in that order."""

import difflib
import os
import re
import reprlib
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from afterword.contract import DEFAULT_DEADLINE, DEFAULT_START_DEADLINE
from afterword.settings import values
from afterword.settings.values import DEFAULT_LISTEN, MAX_SLOTS, MIN_SLOTS, MIN_TOKEN, TRACE, Address, default_directory

__all__ = ["MAX_SLOTS", "SETTINGS", "Address", "Setting", "Settings", "default_directory", "load", "read_file"]

PREFIX: Final = "AFTERWORD_"
CONFIG_FILE: Final = "afterword.toml"

#: Tables of the file that are read elsewhere.
_OTHER_TABLES: Final = frozenset({"alerts"})

#: Variables that are read elsewhere and are no settings of an application.
_OTHER_VARIABLES: Final = frozenset({f"{PREFIX}CONFIG", f"{PREFIX}RAISE"})
#: What Kubernetes puts into every container when a Service is called afterword, or afterword-something.
_SERVICE_LINK: Final = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)"
)
_SHOWN: Final = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = 80


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
    metrics_listen: Address | None
    token: str | None = field(repr=False)
    allowed_hosts: tuple[str, ...]
    trace: str
    otlp_endpoint: str | None
    trace_url: str | None
    disabled: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its name in Python and in afterword.toml, how to read it, what is allowed."""

    name: str
    read: Callable[[Any], Any]
    allowed: str
    default: Callable[[], Any]
    #: Whether its value is never shown.
    secret: bool = False

    @property
    def variable(self) -> str:
        """The environment variable of the same name."""
        return PREFIX + self.name.upper()


SETTINGS: Final = (
    Setting("dir", values.path, "an absolute path", default_directory),
    Setting("service", values.text, "a name that is not empty", lambda: None),
    Setting("deadline", values.seconds, "seconds, more than 0 and at most a year", lambda: DEFAULT_DEADLINE),
    Setting(
        "start_deadline", values.seconds, "seconds, more than 0 and at most a year", lambda: DEFAULT_START_DEADLINE
    ),
    Setting("time_scale", values.scale, "a number from 0.001 to 100000", lambda: 1.0),
    Setting("slots", values.slots, f"a whole number from {MIN_SLOTS} to {MAX_SLOTS}", lambda: 4096),
    Setting("metrics", values.route, "a path that begins with /", lambda: None),
    Setting("listen", values.address, "HOST:PORT with a port from 0 to 65535", lambda: DEFAULT_LISTEN),
    Setting("metrics_listen", values.address, "HOST:PORT with a port from 0 to 65535", lambda: None),
    Setting(
        "token", values.token, f"at least {MIN_TOKEN} visible ASCII characters, no spaces", lambda: None, secret=True
    ),
    Setting("allowed_hosts", values.hosts, "host names with commas between them", lambda: ()),
    Setting("trace", values.trace, "parent, link or off", lambda: TRACE[0]),
    Setting("otlp_endpoint", values.url, values.A_URL, lambda: None),
    Setting("trace_url", values.trace_url, values.A_TRACE_URL, lambda: None),
    Setting("disabled", values.flag, "1 or 0", lambda: False),
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
    read = {}
    given = set()
    for setting in SETTINGS:
        candidates = (
            (spelled(setting.name), keywords.get(setting.name)),
            (setting.variable, environment.get(setting.variable) or None),
            (f"{setting.name} in {where}", file.get(setting.name)),
        )
        found = _first_usable(setting, candidates, complain)
        read[setting.name] = setting.default() if found is None else found
        if found is not None:
            given.add(setting.name)
    scale = read["time_scale"]
    return Settings(
        directory=read["dir"],
        service=read["service"] or environment.get("OTEL_SERVICE_NAME") or None,
        deadline=read["deadline"] / (1 if "deadline" in given else scale),
        start_deadline=read["start_deadline"] / (1 if "start_deadline" in given else scale),
        time_scale=scale,
        slots=read["slots"],
        metrics=read["metrics"],
        listen=read["listen"],
        metrics_listen=read["metrics_listen"],
        token=read["token"],
        allowed_hosts=read["allowed_hosts"],
        trace=read["trace"],
        otlp_endpoint=read["otlp_endpoint"],
        trace_url=read["trace_url"],
        disabled=read["disabled"],
    )


def _first_usable(setting: Setting, candidates: Iterable[tuple[str, Any]], complain: Callable[[str], None]) -> Any:
    """The first value that is given, or None; one that cannot be used is told, and hides those behind it."""
    for where, value in candidates:
        if value is None:
            continue
        try:
            return setting.read(value)
        except Exception:  # noqa: BLE001 - a keyword may be any object of the application's
            shown = "cannot be used and is not shown" if setting.secret else f"is {_SHOWN.repr(value)}"
            complain(f"{where} {shown}; allowed: {setting.allowed}")
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
