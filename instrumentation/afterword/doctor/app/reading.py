"""Reads one file into a `Module`."""

import ast
import sys
import tokenize
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from afterword.doctor.app.model import Class, Function, Module

#: Larger files are generated data, not an application's code.
MOST_BYTES: Final = 4_000_000


#: Frames. Parsing takes real stack for each of them, visiting does not.
_PARSED: Final = 4000
_VISITED: Final = 20_000


class CannotReadError(Exception):
    """A file that is no Python, in a few words."""


class OnlyDataError(Exception):
    """A file that is too large, or nested too deeply, to be anything but data."""


def read(path: Path, name: str) -> Module:
    """The module in a file.

    Raises:
        CannotReadError: It cannot be read or has a syntax error.
        OnlyDataError: It is no code that anybody wrote.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise OnlyDataError(f"it has more than {MOST_BYTES} bytes")
        with tokenize.open(path) as file:
            text = file.read()
        with _nested(_PARSED):
            tree = ast.parse(text)
        module = Module(name, path, path.name == "__init__.py", tree, text.splitlines())
        with _nested(_VISITED):
            _Reader(module).visit(tree)
    except SyntaxError as error:
        raise CannotReadError(f"syntax error in line {error.lineno}: {error.msg}") from error
    except (RecursionError, MemoryError) as error:
        raise OnlyDataError("it is nested too deeply") from error
    except (OSError, ValueError) as error:
        raise CannotReadError(f"{type(error).__name__}: {error}") from error
    return module


@contextmanager
def _nested(depth: int) -> Iterator[None]:
    """Let what is nested deeply, such as data that somebody wrote as one long sum, be read as well."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, depth))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


class _Reader(ast.NodeVisitor):
    """Fills a module; knows the function and the class it is in."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._function: Function | None = None
        self._class: Class | None = None
        self._names: list[str] = []

    def generic_visit(self, node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            self._module.parents[child] = node
            self.visit(child)

    def visit_Call(self, node: ast.Call) -> None:
        self._module.calls.append(node)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        pass

    def visit_Constant(self, node: ast.Constant) -> None:
        pass

    # -- scopes

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._function_scope(node, node.name)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815 - ast's name

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._function_scope(node, "<lambda>")

    def _function_scope(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, name: str) -> None:
        qualname = ".".join([*self._names, name])
        function = Function(self._module, node, qualname, self._class, self._function)
        self._module.functions.append(function)
        self._module.by_node[node] = function
        if name != "<lambda>":
            self._register(function, name)
        before = self._function, self._class, self._names
        self._function, self._class, self._names = function, None, [*self._names, name, "<locals>"]
        self.generic_visit(node)
        self._function, self._class, self._names = before

    def _register(self, function: Function, name: str) -> None:
        if self._class is not None:
            self._class.methods[name] = function
        elif self._function is not None:
            self._function.inner[name] = function
        else:
            self._module.top[name] = function

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        found = Class(self._module, node, ".".join([*self._names, node.name]))
        place = self._module if self._function is None else self._function
        if self._class is None:
            place.classes[node.name] = found
        before = self._class, self._names
        self._class, self._names = found, [*self._names, node.name]
        self.generic_visit(node)
        self._class, self._names = before

    # -- names from elsewhere

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._module.wanted.add(alias.name)
            self._imported(alias.asname or alias.name.partition(".")[0],
                           alias.name if alias.asname else alias.name.partition(".")[0])  # fmt: skip

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = absolute(self._module, node.module or "", node.level)
        self._module.wanted.add(base)
        for alias in node.names:
            if alias.name == "*":
                self._module.stars.append(base)
            else:
                self._module.wanted.add(f"{base}.{alias.name}")
                self._imported(alias.asname or alias.name, f"{base}.{alias.name}")

    def _imported(self, name: str, target: str) -> None:
        place = self._module if self._function is None else self._function
        place.imports[name] = target

    # -- assignments

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._assigned(target, node.value)
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._assigned(node.target, node.value)
        self.generic_visit(node)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self._assigned(node.target, node.value)
        self.generic_visit(node)

    def visit_withitem(self, node: ast.withitem) -> None:
        if node.optional_vars is not None:
            self._assigned(node.optional_vars, node.context_expr)
        self.generic_visit(node)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        element = ast.Subscript(node.iter, ast.Constant(0), ast.Load())  # what goes for one of them goes for all
        self._assigned(node.target, ast.copy_location(element, node.iter))
        self.generic_visit(node)

    visit_AsyncFor = visit_For  # noqa: N815 - ast's name

    def visit_Global(self, node: ast.Global | ast.Nonlocal) -> None:
        if self._function is not None:
            self._function.outside_names.update(node.names)

    visit_Nonlocal = visit_Global  # noqa: N815 - ast's name

    def _assigned(self, target: ast.expr, value: ast.expr | None) -> None:
        if isinstance(target, ast.Tuple | ast.List):
            for one in target.elts:
                self._assigned(one, None)
        elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
            owner = self._function.owner if self._function is not None else None
            if self._function is not None and owner is not None and value is not None:
                owner.attributes.setdefault(target.attr, (self._function, value))
        elif isinstance(target, ast.Name):
            if self._class is not None and value is not None:
                self._class.values[target.id] = value
            elif self._function is not None and target.id not in self._function.outside_names:
                self._function.assigned.setdefault(target.id, []).append((target.lineno, value))
            elif self._class is None and value is not None:
                self._module.values[target.id] = value


def absolute(module: Module, name: str, level: int) -> str:
    """The absolute name of ``from .name import`` with so many dots."""
    if not level:
        return name
    pieces = module.name.split(".")
    keep = len(pieces) - level + (1 if module.is_package else 0)
    return ".".join([*pieces[: max(keep, 0)], *([name] if name else [])])
