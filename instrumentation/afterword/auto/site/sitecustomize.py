"""Run by every Python below `afterword run`: begins to wait for Starlette, then the next sitecustomize has its turn."""
# ruff: noqa: INP001, PTH100, PTH118, PTH120 - a directory for PYTHONPATH; pathlib is a price that every Python would pay

import os
import sys
from importlib.machinery import PathFinder, SourceFileLoader

_HERE = os.path.dirname(os.path.abspath(__file__))


def _begin() -> None:
    """By its path: to import it from the package is to import the package."""
    module = type(sys)("afterword_await_starlette")
    SourceFileLoader(module.__name__, os.path.join(os.path.dirname(_HERE), "await_starlette.py")).exec_module(module)
    module.begin()


def _path_behind_us() -> "list[str]":
    """Where another sitecustomize would be found; sys.path is left as it is without us."""
    if _HERE not in sys.path:
        return []
    index = sys.path.index(_HERE)
    del sys.path[index]
    return sys.path[index:]


def _hand_on() -> None:
    """To the one Python would have run. What it raises is raised, so that Python tells it as always."""
    spec = PathFinder.find_spec("sitecustomize", _path_behind_us())
    if spec is None or spec.loader is None:
        return
    from importlib.util import module_from_spec

    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def _stay_first() -> None:
    """For child processes: others put their directory in front of ours while they run."""
    entries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if _HERE in entries[1:]:
        entries.remove(_HERE)
        os.environ["PYTHONPATH"] = os.pathsep.join([_HERE] + entries)  # noqa: RUF005 - as it is read by any Python 3


try:  # noqa: SIM105 - contextlib is a price too
    _begin()
except Exception:  # noqa: BLE001, S110 - half a package is left of us; the program must start
    pass
try:
    _hand_on()
finally:
    _stay_first()
