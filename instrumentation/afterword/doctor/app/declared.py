"""What the application declares of its tasks: ``@afterword.task(deadline=3)``."""

import ast
from dataclasses import dataclass
from typing import Final

from afterword.doctor.app import syntax
from afterword.doctor.app.model import Function
from afterword.doctor.app.symbols import Symbols

_TASK: Final = frozenset({"afterword.task", "afterword.declarations.task"})


@dataclass(frozen=True, slots=True)
class Declared:
    """The name of a task in the books, and its deadline in seconds if that is a number for one run."""

    name: str
    deadline: float | None


def declared_as(function: Function, symbols: Symbols) -> Declared | None:
    """What a function is declared as; None without a declaration."""
    for decorator in function.decorators:
        if isinstance(decorator, ast.Call) and symbols.outside(decorator.func, None, function.module) in _TASK:
            name = syntax.keyword(decorator, "name")
            shown = str(name.value) if isinstance(name, ast.Constant) else function.name
            seconds = None if _loops(function) else seconds_of(syntax.keyword(decorator, "deadline"), function)
            return Declared(shown, seconds)
    return None


def seconds_of(node: ast.expr | None, function: Function) -> float | None:
    """A number spelled out, also as a product (``10 * 60``) or a constant of the module."""
    if isinstance(node, ast.Name) and node.id not in function.assigned and node.id not in function.parameters:
        node = function.module.values.get(node.id)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        left, right = seconds_of(node.left, function), seconds_of(node.right, function)
        return None if left is None or right is None else left * right
    return syntax.number(node)


def _loops(function: Function) -> bool:
    """A worker's deadline is about progress, and it is cancelled at the end anyway."""
    return any(isinstance(one, ast.While) and isinstance(one.test, ast.Constant) for one in function.nodes)
