"""Settings: each as a keyword, an AFTERWORD_* variable and a line of afterword.toml, in that order."""

import difflib
import os
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from afterword.contract import DEFAULT_DEADLINE, DEFAULT_START_DEADLINE

PREFIX: Final = "AFTERWORD_"
CONFIG_FILE: Final = "afterword.toml"

#: Slots a ledger may have: 64 bytes each.
MIN_SLOTS, MAX_SLOTS = 64, 524_288


class SettingError(ValueError):
    """A setting that cannot be used; the text is one sentence that says what is allowed."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an application or a sidecar runs with. Durations in seconds, already divided by ``time_scale``."""

    directory: Path
    service: str | None
    deadline: float
    start_deadline: float
    time_scale: float
    slots: int
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
    shared = Path("/dev/shm")  # noqa: S108 - a directory of our own below it, mode 0700, is checked before use
    base = shared if shared.is_dir() else Path(tempfile.gettempdir())
    return base / f"afterword-{getattr(os, 'geteuid', int)()}"


def _seconds(value: Any) -> float:
    number = float(value)
    if not 0 < number <= 366 * 86400:
        raise ValueError
    return number


def _scale(value: Any) -> float:
    number = float(value)
    if not 0.001 <= number <= 100_000:
        raise ValueError
    return number


def _slots(value: Any) -> int:
    number = int(value)
    if not MIN_SLOTS <= number <= MAX_SLOTS:
        raise ValueError
    return number


def _flag(value: Any) -> bool:
    words = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
    return words[str(value).strip().lower()]


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError
    return value.strip()


def _path(value: Any) -> Path:
    path = Path(os.fspath(value))
    if not path.is_absolute():
        raise ValueError
    return path


SETTINGS: Final = (
    Setting("dir", _path, "an absolute path", default_directory),
    Setting("service", _text, "a name that is not empty", lambda: None),
    Setting("deadline", _seconds, "seconds, more than 0 and at most a year", lambda: DEFAULT_DEADLINE),
    Setting("start_deadline", _seconds, "seconds, more than 0 and at most a year", lambda: DEFAULT_START_DEADLINE),
    Setting("time_scale", _scale, "a number from 0.001 to 100000", lambda: 1.0),
    Setting("slots", _slots, f"a whole number from {MIN_SLOTS} to {MAX_SLOTS}", lambda: 4096),
    Setting("disabled", _flag, "1 or 0", lambda: False),
)
_BY_NAME: Final = {setting.name: setting for setting in SETTINGS}
#: Variables that are read elsewhere and are no settings of an application.
_OTHER_VARIABLES: Final = frozenset({f"{PREFIX}CONFIG", f"{PREFIX}RAISE"})


def load(
    keywords: Mapping[str, Any],
    complain: Callable[[str], None],
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Gather the settings; each one that cannot be used is told to ``complain`` and gets its default.

    Args:
        keywords: Values given in code, by setting name; None means not given.
        complain: Called with one sentence per problem; the command line raises in it.
        environment: Instead of ``os.environ``.
    """
    environment = os.environ if environment is None else environment
    file, where = _read_file(environment, complain)
    _refuse_unknown(environment, file, where, complain)
    values = {}
    for setting in SETTINGS:
        candidates = (
            (setting.name, keywords.get(setting.name)),
            (setting.variable, environment.get(setting.variable)),
            (f"{setting.name} in {where}", file.get(setting.name)),
        )
        values[setting.name] = _first_usable(setting, candidates, complain)
    service = values["service"] or environment.get("OTEL_SERVICE_NAME") or None
    scale = values["time_scale"]
    given = {name for name in ("deadline", "start_deadline") if _is_given(name, keywords, environment, file)}
    return Settings(
        directory=values["dir"],
        service=service,
        deadline=values["deadline"] / (1 if "deadline" in given else scale),
        start_deadline=values["start_deadline"] / (1 if "start_deadline" in given else scale),
        time_scale=scale,
        slots=values["slots"],
        disabled=values["disabled"],
    )


def _first_usable(setting: Setting, candidates: Iterable[tuple[str, Any]], complain: Callable[[str], None]) -> Any:
    for where, value in candidates:
        if value is None or value == "":
            continue
        try:
            return setting.read(value)
        except (ValueError, TypeError, KeyError, OverflowError):
            complain(f"{where} is {value!r}; allowed: {setting.allowed}")
            break
    return setting.default()


def _is_given(name: str, keywords: Mapping[str, Any], environment: Mapping[str, str], file: Mapping[str, Any]) -> bool:
    variable = _BY_NAME[name].variable
    return keywords.get(name) is not None or bool(environment.get(variable)) or name in file


def _read_file(environment: Mapping[str, str], complain: Callable[[str], None]) -> tuple[dict[str, Any], str]:
    named = environment.get(f"{PREFIX}CONFIG")
    path = Path(named or CONFIG_FILE)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8")), str(path)
    except FileNotFoundError:
        if named:
            complain(f"{PREFIX}CONFIG names {named!r}, which does not exist; allowed: a TOML file")
    except (OSError, ValueError) as error:
        complain(f"{path} cannot be read: {error}")
    return {}, str(path)


def _refuse_unknown(
    environment: Mapping[str, str], file: Mapping[str, Any], where: str, complain: Callable[[str], None]
) -> None:
    known = {setting.variable for setting in SETTINGS}
    for name in environment:
        if name.startswith(PREFIX) and name not in known and name not in _OTHER_VARIABLES:
            complain(f"{name} is no setting; {_nearest(name, known)}")
    for name, value in file.items():
        if name not in _BY_NAME and not isinstance(value, dict):
            complain(f"{name} in {where} is no setting; {_nearest(name, _BY_NAME)}")


def _nearest(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]}?" if close else f"allowed: {', '.join(sorted(known))}"
