"""``instrument(app)`` and ``uninstrument(app)``: the one line, and the way back."""

import contextlib
import os
import weakref
from typing import TYPE_CHECKING, Any, Final, TypeVar

from afterword import settings as settings_
from afterword.ledger.owner import Owner
from afterword.ledger.saying import say

if TYPE_CHECKING:
    from starlette.applications import Starlette

    App = TypeVar("App", bound=Starlette)

_instrumented: "weakref.WeakSet[Any]" = weakref.WeakSet()
#: Applications whose own code has been here, with whatever result: `afterword run` leaves those as they are.
DECIDED: Final["weakref.WeakSet[Any]"] = weakref.WeakSet()
#: Mistakes in the settings that were told already: once a process, not once an application.
_told: set[str] = set()


def instrument(  # noqa: PLR0913 - one keyword a setting
    app: "App",
    *,
    service: str | None = None,
    dir: str | os.PathLike[str] | None = None,  # noqa: A002 - the setting's name in all its forms
    deadline: float | None = None,
    start_deadline: float | None = None,
    time_scale: float | None = None,
    slots: int | None = None,
    metrics: str | None = None,
    trace: str | None = None,
    disabled: bool | None = None,
    tracer_provider: Any = None,
) -> "App":
    """Account for everything ``app`` owes after its responses. Idempotent; never raises into the app.

    Args:
        app: A FastAPI or Starlette application.
        service: The ``service`` label; else AFTERWORD_SERVICE, OTEL_SERVICE_NAME, else the app's title.
        dir: Where the ledger is kept; else AFTERWORD_DIR, else ``/dev/shm/afterword-UID``.
        deadline: Seconds after which a run is overdue; else AFTERWORD_DEADLINE, else 300.
        start_deadline: Seconds a run may wait; else AFTERWORD_START_DEADLINE, else 60.
        time_scale: Divides every default duration, for demos and tests.
        slots: Open runs the ledger can show one by one, 64 bytes each; beyond it they are still counted.
        metrics: A path such as ``/metrics`` at which any worker answers for all; None: a sidecar does.
        trace: What a run's span is to the request: its child (``parent``), linked to it (``link``), or none (``off``).
        disabled: True leaves everything as it is: no file, no patch.
        tracer_provider: Makes the spans, as with OpenTelemetry's instrumentors; None: FastAPI's, else the global one.

    Every argument but the last has an ``AFTERWORD_*`` variable and a line in afterword.toml (docs/settings.md).

    Returns:
        The same application.
    """
    keywords = {
        "service": service, "dir": dir, "deadline": deadline, "start_deadline": start_deadline,
        "time_scale": time_scale, "slots": slots, "metrics": metrics, "trace": trace,
        "disabled": disabled,
    }  # fmt: skip
    _decide(app)
    try:
        settings = settings_.load(keywords, _tell_once)
        if not settings.disabled:
            _switch_on(app, settings, tracer_provider)
    except Exception as error:
        if os.environ.get("AFTERWORD_RAISE"):
            raise
        say(f"accounting is off ({type(error).__name__}: {error}). The application is not affected.")
    return app


def uninstrument(app: "Starlette") -> None:
    """Restore what `instrument` found. With the last application the hooks and the ledger are closed."""
    _decide(app)
    if app not in _instrumented:
        return
    from afterword.hooks import asgi, hooks
    from afterword.hooks.process import PROCESS
    from afterword.hooks.tracer import TRACING

    app.__dict__.pop(asgi.MARK, None)
    _instrumented.discard(app)
    if not _instrumented and PROCESS.owner is not None:
        hooks.remove()
        PROCESS.end()
        TRACING.begin()
        _told.clear()


def _decide(app: object) -> None:
    with contextlib.suppress(TypeError):  # what cannot be referred to weakly is no application
        DECIDED.add(app)


def _tell_once(sentence: str) -> None:
    if sentence not in _told:
        _told.add(sentence)
        say(sentence)


def _switch_on(app: "Starlette", settings: settings_.Settings, tracer_provider: Any) -> None:
    try:
        from starlette.applications import Starlette
    except ImportError as error:
        raise RuntimeError("FastAPI or Starlette is not installed") from error

    from afterword import __version__
    from afterword.hooks import asgi, dressing, hooks
    from afterword.hooks.process import PROCESS
    from afterword.hooks.tracer import TRACING

    if not isinstance(app, Starlette):
        raise TypeError(f"a FastAPI or Starlette application is needed, not {type(app).__name__}")
    if asgi.MARK in app.__dict__:
        return
    endpoint = None
    if settings.metrics is not None:
        from afterword.metrics.endpoint import embedded

        endpoint = embedded(settings.directory, settings.metrics, app)
    if PROCESS.owner is None:
        service = settings.service or str(getattr(app, "title", "") or "app")
        owner = Owner(settings, __version__, service)
        owner.dress = dressing.dress
        PROCESS.begin(owner, raising=bool(os.environ.get("AFTERWORD_RAISE")))
        TRACING.begin()
        try:
            hooks.install()
        except BaseException:
            hooks.remove()
            PROCESS.end()
            raise
    else:
        _tell_if_different(settings, PROCESS.owner)
    TRACING.offer(app, tracer_provider)
    app.__dict__[asgi.MARK] = endpoint
    _instrumented.add(app)


def _tell_if_different(settings: settings_.Settings, owner: Owner) -> None:
    """One ledger a process: the first application's settings are everybody's."""
    names = ("directory", "deadline", "start_deadline", "slots")
    different = [name for name in names if getattr(settings, name) != getattr(owner.settings, name)]
    if settings.service not in (None, owner.service):
        different.append("service")
    if different:
        _tell_once(
            f"{' and '.join(different)} of a second application are not used: a process keeps one ledger, with the "
            f"settings of its first application (service {owner.service!r}, directory {owner.settings.directory})"
        )
