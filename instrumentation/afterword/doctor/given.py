"""The settings: each with its value and where it came from, and what is wrong with any of them."""

import os
from collections.abc import Iterator, Mapping
from typing import Any, Final

from afterword import settings as settings_
from afterword.doctor.finding import Finding, ok, problem, warning
from afterword.doctor.scene import Scene, without_password

#: What a setting is called in `Settings`, where that differs.
_FIELD: Final = {"dir": "directory"}


def values(scene: Scene) -> Iterator[Finding]:
    """Each setting with its value and where it came from; secrets are not shown."""
    file, where = settings_.read_file(scene.environment, lambda _: None)
    for setting in settings_.SETTINGS:
        value = getattr(scene.settings, _FIELD.get(setting.name, setting.name))
        source = _source(setting, scene, file, where)
        yield ok(f"{setting.name} is {_shown(setting, value)} ({source})")


def wrong(scene: Scene) -> Iterator[Finding]:
    """Every setting can be used, and every AFTERWORD_* variable is one."""
    for sentence in scene.complaints:
        yield problem(sentence, "an application says so and takes the default; a sidecar does not start")
    if not scene.complaints:
        yield ok("every setting can be used")


def disabled(scene: Scene) -> Iterator[Finding]:
    """Accounting is switched on."""
    if scene.settings.disabled:
        yield warning(
            "accounting is switched off here (disabled): no hook, no ledger, no metric",
            "unset AFTERWORD_DISABLED, and take `disabled` out of afterword.toml",
        )
    else:
        yield ok("accounting is switched on")


def time_scale(scene: Scene) -> Iterator[Finding]:
    """Durations run in real time."""
    scale = scene.settings.time_scale
    if scale != 1:
        yield warning(
            f"time_scale is {scale:g}, which is for demos and tests: default deadlines are divided by it",
            "unset AFTERWORD_TIME_SCALE in production, and generate the rules again",
        )
    else:
        yield ok("durations run in real time")


def debugging(scene: Scene) -> Iterator[Finding]:
    """Errors of afterword's own are kept from the application."""
    if scene.environment.get(f"{settings_.PREFIX}RAISE"):
        yield warning(
            "AFTERWORD_RAISE is set: afterword's own errors are raised into the application, which is for "
            "afterword's own tests",
            "unset AFTERWORD_RAISE",
        )
    else:
        yield ok("afterword's own errors are counted, and never raised into the application")


def alerts(scene: Scene) -> Iterator[Finding]:
    """The table [alerts] of afterword.toml can be used."""
    from afterword.alerts.config import ConfigError
    from afterword.alerts.config_file import load

    file, where = settings_.read_file(scene.environment, lambda _: None)
    try:
        load(file, where)
    except ConfigError as error:
        yield problem(str(error), "`afterword alerts` refuses it as well: correct the line")
    else:
        yield ok(f"[alerts] of {where} can be used" if "alerts" in file else "the alerts are not changed by a file")


def _source(setting: settings_.Setting, scene: Scene, file: Mapping[str, Any], where: str) -> str:
    """Where the value comes from; the first that gives one, even one that cannot be used, hides the others."""
    if scene.keywords.get(setting.name) is not None:
        return f"--{setting.name}"
    given = (
        (setting.variable, setting.variable, scene.environment.get(setting.variable) or None),
        (f"{setting.name} in {where}", where, file.get(setting.name)),
    )
    for called, source, value in given:
        if value is not None:
            refused = any(sentence.startswith(f"{called} is ") for sentence in scene.complaints)
            return f"default: {source} cannot be used" if refused else source
    if setting.name == "service" and scene.environment.get("OTEL_SERVICE_NAME"):
        return "OTEL_SERVICE_NAME"
    return "default"


def _shown(setting: settings_.Setting, value: Any) -> str:
    if value is None or value == ():
        return "the application's title" if setting.name == "service" else "not set"
    if setting.secret:
        return "set, and not shown"
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple) and not isinstance(value, settings_.Address):
        return ", ".join(map(str, value))
    return without_password(os.fspath(value) if isinstance(value, os.PathLike) else str(value))
