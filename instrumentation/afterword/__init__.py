"""Every task gets a final word: accounts for the work a FastAPI service owes after its responses."""

from typing import Any

from afterword.declarations import task
from afterword.expectations import expects
from afterword.instrument import instrument, uninstrument

__all__ = ["done", "expects", "fail", "heartbeat", "instrument", "task", "uninstrument"]

#: What belongs to the hooks is loaded when it is used: they need Starlette, and a sidecar does not.
_IN_HOOKS = {"done": "running", "fail": "running", "heartbeat": "expected"}


def __getattr__(name: str) -> Any:
    """Names of the hooks, and ``__version__``, asked of the installed distribution when somebody wants it."""
    if name in _IN_HOOKS:
        from importlib import import_module

        return getattr(import_module(f"afterword.hooks.{_IN_HOOKS[name]}"), name)
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import metadata

    try:
        return metadata.version("afterword")
    except metadata.PackageNotFoundError:
        return "0+unknown"
