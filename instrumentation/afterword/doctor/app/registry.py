"""The list of checks: each has a code, what it finds, why the work disappears in silence, and the fix."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from afterword.doctor.app.application import Application
from afterword.doctor.app.model import Module


@dataclass(frozen=True, slots=True)
class Place:
    """Where a check found its mistake, and the sentence that says what is wrong there."""

    file: Path
    line: int
    column: int
    last: int
    problem: str
    #: What helps right there; empty where it is what helps everywhere.
    fix: str = ""


Look: TypeAlias = Callable[[Application], Iterator[Place]]


@dataclass(frozen=True, slots=True)
class Check:
    """One kind of mistake."""

    code: str
    finds: str
    why: str
    fix: str
    look: Look


CHECKS: Final[dict[str, Check]] = {}


def check(code: str, *, finds: str, why: str, fix: str) -> Callable[[Look], Look]:
    """Put a function that looks for one kind of mistake on the list."""

    def register(look: Look) -> Look:
        if code in CHECKS:
            raise ValueError(f"{code} is taken")
        CHECKS[code] = Check(code, finds, why, fix, look)
        return look

    return register


def at(module: Module, node: ast.AST, problem: str, fix: str = "") -> Place:
    """A place in a module; of a statement with a body, its first line."""
    line, column = getattr(node, "lineno", 1), getattr(node, "col_offset", 0) + 1
    last = line if hasattr(node, "body") else getattr(node, "end_lineno", None) or line
    return Place(module.path, line, column, last, problem, fix)
