"""``module:attribute``: which file that is, and below which folders the application's own modules lie."""

import importlib.machinery
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from afterword.doctor.app.findings import DoctorError

_FORM: Final = "allowed: MODULE:ATTRIBUTE, for instance shop:app"
#: Folders of installed packages; what lies in them is not the application's own.
_INSTALLED: Final = ("site-packages", "dist-packages")


@dataclass(frozen=True, slots=True)
class Target:
    """What was asked for, and where it is."""

    module: str
    attribute: str
    file: Path
    roots: tuple[Path, ...]


def find(text: str, folder: Path) -> Target:
    """The target that a text names.

    Raises:
        DoctorError: It has another form, or there is no such module.
    """
    module, colon, attribute = text.partition(":")
    if not colon or not _is_dotted(module) or not _is_dotted(attribute):
        raise DoctorError(f"{text!r} does not name an application; {_FORM}{_meant(module, attribute, folder)}")
    if not folder.is_dir():
        raise DoctorError(f"{folder} is not a folder; allowed: the folder the server is started in")
    folder = folder.resolve()
    for root in _possible_roots(folder, module):
        file = file_of(module, root)
        if file is not None:
            return Target(module, attribute, file, tuple(dict.fromkeys((root, folder, folder / "src"))))
    hint = _meant(module, attribute, folder)
    raise DoctorError(f"there is no module {module!r} in {folder}; {_FORM}, as it is imported from that folder{hint}")


def _meant(module: str, attribute: str, folder: Path) -> str:
    """The target of somebody who wrote a path instead of a module, if there is such a file."""
    path = module.removesuffix(".py").replace("\\", "/").removeprefix("./")
    meant = path.replace("/", ".")
    if meant == module or not _is_dotted(meant) or not _is_dotted(attribute) or file_of(meant, folder) is None:
        return ""
    return f"; did you mean {meant}:{attribute}?"


def file_of(module: str, root: Path) -> Path | None:
    """The file of a module below a folder; None if it is not there, or a package without code of its own."""
    place = root.joinpath(*module.split("."))
    for candidate in (place / "__init__.py", place.with_name(f"{place.name}.py")):
        if candidate.is_file():
            return candidate
    return None


def is_installed(file: Path) -> bool:
    """Whether a file belongs to an installed package or to Python itself."""
    return any(part in _INSTALLED for part in file.parts) or file.is_relative_to(sysconfig.get_path("stdlib"))


def _possible_roots(folder: Path, module: str) -> list[Path]:
    roots = [folder, folder / "src"]
    path = [entry for entry in sys.path if entry]
    try:
        spec = importlib.machinery.PathFinder.find_spec(module.partition(".")[0], path)
    except (ImportError, ValueError, AttributeError):
        spec = None
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    if spec is not None and not places and spec.origin is not None:
        roots.append(Path(spec.origin).parent)
    return roots + [Path(place).parent for place in places]


def _is_dotted(text: str) -> bool:
    return bool(text) and all(part.isidentifier() for part in text.split("."))
