"""Every task gets a final word: accounts for the work a FastAPI service owes after its responses."""

from afterword.declarations import task
from afterword.instrument import instrument, uninstrument

__all__ = ["instrument", "task", "uninstrument"]


def __getattr__(name: str) -> str:
    """``__version__``, asked of the installed distribution and only when somebody wants it."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import metadata

    try:
        return metadata.version("afterword")
    except metadata.PackageNotFoundError:
        return "0+unknown"
