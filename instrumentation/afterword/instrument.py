"""``instrument(app)`` and ``uninstrument(app)``: the one line, and the way back."""

import os
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

from afterword import settings as settings_
from afterword.ledger.owner import Owner, say

if TYPE_CHECKING:
    from starlette.applications import Starlette

    App = TypeVar("App", bound=Starlette)

_instrumented: "weakref.WeakSet[Any]" = weakref.WeakSet()


def instrument(
    app: "App",
    *,
    service: str | None = None,
    dir: str | os.PathLike[str] | None = None,  # noqa: A002 - the setting's name in all its forms
    deadline: float | None = None,
    start_deadline: float | None = None,
    metrics: str | None = None,
) -> "App":
    """Account for everything ``app`` owes after its responses. Idempotent; never raises into the app.

    Args:
        app: A FastAPI or Starlette application.
        service: The ``service`` label; else AFTERWORD_SERVICE, OTEL_SERVICE_NAME, else the app's title.
        dir: Where the ledger is kept; else AFTERWORD_DIR, else ``/dev/shm/afterword-UID``.
        deadline: Seconds after which a run is overdue; else AFTERWORD_DEADLINE, else 300.
        start_deadline: Seconds a run may wait; else AFTERWORD_START_DEADLINE, else 60.
        metrics: A path such as ``/metrics`` at which any worker answers for all; None: a sidecar does.

    Returns:
        The same application.
    """
    keywords = {"service": service, "dir": dir, "deadline": deadline, "start_deadline": start_deadline}
    settings = settings_.load(keywords, say)
    if settings.disabled:
        return app
    try:
        _switch_on(app, settings, metrics)
    except Exception as error:
        if os.environ.get("AFTERWORD_RAISE"):
            raise
        say(f"accounting is off ({type(error).__name__}: {error}). The application is not affected.")
    return app


def uninstrument(app: "Starlette") -> None:
    """Restore what `instrument` found. With the last application the hooks and the ledger are closed."""
    from afterword.hooks import asgi, background
    from afterword.hooks.process import PROCESS

    app.__dict__.pop(asgi.MARK, None)
    _instrumented.discard(app)
    if not _instrumented and PROCESS.owner is not None:
        background.remove()
        PROCESS.end()


def _switch_on(app: "Starlette", settings: settings_.Settings, metrics: str | None) -> None:
    from afterword import __version__
    from afterword.hooks import asgi, background
    from afterword.hooks.process import PROCESS

    if asgi.MARK in app.__dict__:
        return
    endpoint = None
    if metrics is not None:
        from afterword.metrics.endpoint import embedded

        endpoint = embedded(settings.directory, metrics)
    if PROCESS.owner is None:
        service = settings.service or str(getattr(app, "title", "") or "app")
        PROCESS.begin(Owner(settings, __version__, service), raising=bool(os.environ.get("AFTERWORD_RAISE")))
        background.install()
        asgi.install()
    app.__dict__[asgi.MARK] = endpoint
    _instrumented.add(app)
