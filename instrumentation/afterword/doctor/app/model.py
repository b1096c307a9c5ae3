"""The application's source as the checks see it: modules, classes and functions, with who is inside of whom."""

import ast
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from afterword.doctor.app import syntax

_IGNORE: Final = re.compile(r"#\s*afterword:\s*ignore(?:\[([A-Za-z0-9,\s]*)\])?", re.IGNORECASE)


@dataclass(eq=False)
class Class:
    """A class statement."""

    module: "Module"
    node: ast.ClassDef
    qualname: str
    methods: dict[str, "Function"] = field(default_factory=dict)
    values: dict[str, ast.expr] = field(default_factory=dict)
    #: What its methods assign to attributes of ``self``, with the method.
    attributes: dict[str, tuple["Function", ast.expr]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """``module.Class``."""
        return f"{self.module.name}.{self.qualname}"


@dataclass(eq=False)
class Function:
    """A ``def``, ``async def`` or ``lambda``; ``owner`` is its class, ``outer`` the function it stands in."""

    module: "Module"
    node: syntax.FunctionNode
    qualname: str
    owner: Class | None = None
    outer: "Function | None" = None
    inner: dict[str, "Function"] = field(default_factory=dict)
    classes: dict[str, Class] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)
    #: What is assigned to each name, with the line; None where it is not an expression of its own.
    assigned: dict[str, list[tuple[int, ast.expr | None]]] = field(default_factory=dict)
    outside_names: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """``module.qualname``, as the books name a task."""
        return f"{self.module.name}.{self.qualname}"

    @cached_property
    def parameters(self) -> dict[str, ast.arg]:
        """The parameters by name."""
        return {one.arg: one for one in syntax.arguments(self.node)}

    @cached_property
    def nodes(self) -> list[ast.AST]:
        """What runs when its body runs, in order."""
        return syntax.running_nodes([self.node.body] if isinstance(self.node, ast.Lambda) else list(self.node.body))

    @cached_property
    def calls(self) -> list[ast.Call]:
        """The calls among its nodes."""
        return [node for node in self.nodes if isinstance(node, ast.Call)]

    @cached_property
    def is_generator(self) -> bool:
        """Whether a call of it gives a generator."""
        return any(isinstance(node, ast.Yield | ast.YieldFrom) for node in self.nodes)

    @cached_property
    def is_async(self) -> bool:
        """Whether a call of it gives a coroutine."""
        return isinstance(self.node, ast.AsyncFunctionDef) and not self.is_generator

    @property
    def decorators(self) -> list[ast.expr]:
        """Its decorators; a lambda has none."""
        return [] if isinstance(self.node, ast.Lambda) else self.node.decorator_list

    @property
    def body(self) -> list[ast.stmt]:
        """Its statements; a lambda has none."""
        return [] if isinstance(self.node, ast.Lambda) else self.node.body


@dataclass(eq=False)
class Module:
    """One file."""

    name: str
    path: Path
    is_package: bool
    tree: ast.Module
    lines: list[str]
    imports: dict[str, str] = field(default_factory=dict)
    stars: list[str] = field(default_factory=list)
    #: Every dotted name that an import statement anywhere in the file may load.
    wanted: set[str] = field(default_factory=set)
    functions: list[Function] = field(default_factory=list)
    calls: list[ast.Call] = field(default_factory=list)
    top: dict[str, Function] = field(default_factory=dict)
    classes: dict[str, Class] = field(default_factory=dict)
    values: dict[str, ast.expr] = field(default_factory=dict)
    parents: dict[ast.AST, ast.AST] = field(default_factory=dict)
    by_node: dict[ast.AST, Function] = field(default_factory=dict)

    def function_of(self, node: ast.AST) -> Function | None:
        """The innermost function in whose body a node runs."""
        while node in self.parents:
            parent = self.parents[node]
            if parent in self.by_node and (isinstance(parent, ast.Lambda) or node in getattr(parent, "body", ())):
                return self.by_node[parent]
            node = parent
        return None

    def statement_of(self, node: ast.AST) -> ast.AST:
        """The statement a node is part of."""
        while not isinstance(node, ast.stmt) and node in self.parents:
            node = self.parents[node]
        return node


def is_ignored(text: str, code: str) -> bool:
    """Whether a line says ``# afterword: ignore[code]``."""
    return any(
        found[1] is None or code in {one.strip().upper() for one in found[1].split(",")}
        for found in _IGNORE.finditer(text)
    )
