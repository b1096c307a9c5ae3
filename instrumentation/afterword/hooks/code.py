"""Whose code it is: the application's own, or a framework's, whose tasks are none of ours."""

import asyncio
import dis
import functools
import os
import site
import sys
import sysconfig
from types import CodeType, FrameType
from typing import Any, Final

from afterword.ledger import layout

#: What a file can be: to be looked through, the user's, or somebody else's.
_THROUGH, _USERS, _OTHERS = range(3)
_OUR_OWN: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep  # noqa: PTH100, PTH120
_ASYNCIO: Final = os.path.dirname(asyncio.__file__) + os.sep  # noqa: PTH120
_THROUGH_FILES: Final = ("concurrent" + os.sep + "futures", os.sep + "contextvars.py", os.sep + "functools.py")
#: What compiled extensions call their sources, which are nowhere.
_COMPILED: Final = (".pyx", ".pxi", ".pxd")
_MAX_FILES: Final = 16384
_KNOWN: Final[dict[str, int]] = {}
#: Folders of installed packages that are the application all the same.
_applications: Final[set[str]] = set()


def _libraries() -> tuple[str, ...]:
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths |= {*getattr(site, "getsitepackages", list)(), getattr(site, "getusersitepackages", str)()}
    folders = {path for path in paths if path}
    folders |= {os.path.realpath(path) for path in folders}
    return tuple(os.path.join(folder, "") for folder in folders)  # noqa: PTH118


_LIBRARIES: Final = _libraries()


def is_users(filename: str) -> bool:
    """Whether a file belongs to the application."""
    found = _KNOWN.get(filename)
    return (_look(filename) if found is None else found) == _USERS


def belongs_to_application(module: str) -> None:
    """The application lives in this module: if it is an installed package, that is the user's code too."""
    top = module.partition(".")[0]
    file = getattr(sys.modules.get(top), "__file__", None)
    if top in sys.stdlib_module_names or top in _FRAMEWORKS or not file:
        return
    folder = os.path.join(os.path.dirname(file), "") if os.path.basename(file) == "__init__.py" else file  # noqa: PTH118, PTH119, PTH120
    if folder not in _applications:
        _applications.add(folder)
        _KNOWN.clear()


_FRAMEWORKS: Final = frozenset({"fastapi", "starlette", "uvicorn", "anyio", "afterword"})


def _look(filename: str) -> int:
    if filename.startswith((_OUR_OWN, _ASYNCIO)) or any(part in filename for part in _THROUGH_FILES):
        found = _THROUGH
    elif (
        filename.startswith("<frozen")
        or filename.endswith(_COMPILED)
        or (
            (filename.startswith(_LIBRARIES) or f"{os.sep}site-packages{os.sep}" in filename)
            and not filename.startswith(tuple(_applications))
        )
    ):
        found = _OTHERS
    else:
        found = _USERS
    if len(_KNOWN) >= _MAX_FILES:
        _KNOWN.clear()
    _KNOWN[filename] = found
    return found


def called_by_user(frame: FrameType | None) -> bool:
    """Whether the first frame that is neither asyncio's nor ours, from ``frame`` outwards, is the user's."""
    while frame is not None:
        filename = frame.f_code.co_filename
        found = _KNOWN.get(filename)
        if found is None:
            found = _look(filename)
        if found != _THROUGH:
            return found == _USERS
        frame = frame.f_back
    return False


def users_frame(frame: FrameType | None) -> FrameType | None:
    """The first frame of the application, from ``frame`` outwards."""
    while frame is not None and not is_users(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


@functools.lru_cache(maxsize=1024)
def never_returns(code: CodeType) -> bool:
    """Whether a function has no way out but an exception: ``while True`` without ``break`` or ``return``."""
    try:
        ways_out = {"RETURN_VALUE", "RETURN_CONST"}  # RETURN_GENERATOR begins every coroutine
        return loops(code) and not any(instruction.opname in ways_out for instruction in dis.get_instructions(code))
    except Exception:  # noqa: BLE001 - bytecode of an interpreter we do not know
        return False


@functools.lru_cache(maxsize=1024)
def loops(code: CodeType) -> bool:
    """Whether a function holds a ``while`` or an ``async for``: it goes round until something ends it."""
    try:
        instructions = {i.offset: i for i in dis.get_instructions(code)}
        for i in instructions.values():
            if "JUMP_BACKWARD" in i.opname and "NO_INTERRUPT" not in i.opname:
                target = instructions.get(i.argval)
                if target is not None and target.opname not in ("FOR_ITER", "SEND"):
                    return True
    except Exception:  # noqa: BLE001 - as above
        return False
    return False


def frames_of(coro: Any) -> list[FrameType]:
    """The frames of a suspended coroutine and of what it awaits, outermost first."""
    found: list[FrameType] = []
    seen = 0
    while coro is not None and seen < _DEPTH:
        seen += 1
        frame = getattr(coro, "cr_frame", None) or getattr(coro, "gi_frame", None) or getattr(coro, "ag_frame", None)
        if frame is not None:
            found.append(frame)
        inner = getattr(coro, "cr_await", None)
        if inner is None:
            inner = getattr(coro, "gi_yieldfrom", None)
        coro = getattr(coro, "ag_await", None) if inner is None else inner
    return found


_DEPTH: Final = 64


def place(frames: list[FrameType]) -> str:
    """Where a run is, for a person: the innermost frame that is the user's, else the innermost, as one line."""
    own = [frame for frame in frames if is_users(frame.f_code.co_filename)]
    frame = (own or frames)[-1]
    code = frame.f_code
    text = f"{_short(code.co_filename)}:{frame.f_lineno} in {code.co_qualname}"
    innermost = frames[-1]
    if innermost is not frame:
        inner = innermost.f_code
        text += f" ({_short(inner.co_filename)}:{innermost.f_lineno} in {inner.co_qualname})"
    return text


def stack_text(where: str, frames: list[FrameType]) -> str:
    """A place and its frames, the innermost first, as many as a ledger has room for."""
    lines = [where]
    for frame in reversed(frames):
        lines.append(f"{_short(frame.f_code.co_filename)}:{frame.f_lineno} in {frame.f_code.co_qualname}")
        if len(layout.STACK_SEPARATOR.join(lines).encode()) > layout.STACK_BYTES:
            del lines[-1]
            break
    return layout.STACK_SEPARATOR.join(lines)


def _short(filename: str) -> str:
    """The last two parts of a path: enough to find it, the same on every machine."""
    return "/".join(filename.replace("\\", "/").split("/")[-2:])
