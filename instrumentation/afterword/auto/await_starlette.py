"""Waits for `starlette.applications` to be imported, at the price of one comparison per import.

Loaded by its path in every Python below `afterword run`, so also where afterword is not installed or Python is older
than ours: it imports nothing of afterword before Starlette is there, and writes what any Python 3 can read.
"""

import os
import sys

TYPE_CHECKING = False  # typing itself would be half of the price
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_AWAITED = "starlette.applications"
_YES = ("1", "true", "yes", "on")


def begin() -> None:
    """Wait from now on; act at once if it is there. With AFTERWORD_DISABLED=1 do neither."""
    if os.environ.get("AFTERWORD_DISABLED", "").strip().lower() in _YES:
        return
    if _AWAITED in sys.modules:
        _switch_on()
    elif _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def end() -> None:
    """Wait no longer, and take back what was done."""
    if _FINDER in sys.meta_path:
        sys.meta_path.remove(_FINDER)
    hook = sys.modules.get("afterword.auto.hook")
    if hook is not None:
        hook.ADOPTION.off()


class _Finder:
    """Finds nothing itself: it asks the others, and has a word with the loader they name."""

    def __init__(self) -> None:
        self._asking = False

    def find_spec(
        self, name: str, path: "Sequence[str] | None", target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """The spec of what is awaited; of everything else None."""
        if name != _AWAITED or self._asking:
            return None
        self._asking = True
        try:
            spec = _found_by_others(name, path, target)
        finally:
            self._asking = False
        if spec is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _Loader(spec.loader)  # type: ignore[assignment,arg-type]  # stands in for it until it loads
        return spec


_FINDER = _Finder()


class _Loader:
    """Stands in for the loader of what is awaited until that is loaded."""

    def __init__(self, loader: "Loader") -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> object:
        return getattr(self._loader, name)

    def create_module(self, spec: "ModuleSpec") -> "ModuleType | None":
        """As the loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: "ModuleType") -> None:
        """The module sees its own loader only, and afterwards nothing of us is left in it."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _switch_on()


def _found_by_others(name: str, path: "Sequence[str] | None", target: "ModuleType | None") -> "ModuleSpec | None":
    for finder in list(sys.meta_path):
        find_spec = getattr(finder, "find_spec", None)
        spec = None if find_spec is None else find_spec(name, path, target)
        if spec is not None:
            return spec  # type: ignore[no-any-return]  # finders are whatever somebody registered
    return None


def _switch_on() -> None:
    try:
        from afterword.auto.hook import ADOPTION

        ADOPTION.on()
    except Exception as error:  # noqa: BLE001 - whatever it is, the application must be able to import Starlette
        if isinstance(error, ImportError) and error.name == "afterword":
            why = "it is not installed for " + sys.executable
        else:
            why = type(error).__name__ + ": " + str(error)
        _complain(why)


def _complain(why: str) -> None:
    """One line on stderr, where there is one."""
    import contextlib  # here it is there already

    with contextlib.suppress(Exception):
        sys.stderr.write("afterword: accounting is off (" + why + "). The application is not affected.\n")
