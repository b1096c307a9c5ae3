"""All modules of the application's own: from its first one along their imports."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from afterword.doctor.app.model import Class, Function, Module
from afterword.doctor.app.reading import CannotReadError, OnlyDataError, read
from afterword.doctor.app.target import Target, file_of, is_installed

if TYPE_CHECKING:
    from pathlib import Path

_MOST_MODULES: Final = 5000


class Project:
    """The modules by name; what could not be read, by file."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.modules: dict[str, Module] = {}
        self.unreadable: dict[Path, str] = {}
        self._files: set[Path] = set()
        self._follow([target.module])

    def add(self, names: Iterable[str]) -> None:
        """Modules that no import statement names, but that were loaded all the same."""
        self._follow(names)

    def functions(self) -> Iterable[Function]:
        """Every function of every module."""
        for module in self.modules.values():
            yield from module.functions

    def find(self, dotted: str) -> Module | Function | Class | None:
        """What an absolute dotted name means here, if it is the application's own; not what is imported there."""
        if dotted in self.modules:
            return self.modules[dotted]
        module_name, _, rest = dotted.rpartition(".")
        while module_name:
            module = self.modules.get(module_name)
            if module is not None:
                return _member(module, rest.split("."))
            module_name, _, before = module_name.rpartition(".")
            rest = f"{before}.{rest}"
        return None

    def _follow(self, names: Iterable[str]) -> None:
        waiting = list(names)
        seen = set(self.modules)
        while waiting and len(self.modules) < _MOST_MODULES:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            module = self._load(name)
            if module is not None:
                waiting.extend(module.wanted)
            parent = name.rpartition(".")[0]
            if parent:
                waiting.append(parent)

    def _load(self, name: str) -> Module | None:
        file = next((found for root in self.target.roots if (found := file_of(name, root)) is not None), None)
        if file is None or file in self._files or (is_installed(file) and not is_installed(self.target.file)):
            return None
        self._files.add(file)
        try:
            module = read(file, name)
        except CannotReadError as error:
            self.unreadable[file] = str(error)
            return None
        except OnlyDataError:
            return None
        self.modules[name] = module
        return module


def _member(module: Module, names: list[str]) -> Function | Class | None:
    first, *others = names
    found: Function | Class | None = module.top.get(first) or module.classes.get(first)
    for name in others:
        found = found.methods.get(name) if isinstance(found, Class) else None
    return found
