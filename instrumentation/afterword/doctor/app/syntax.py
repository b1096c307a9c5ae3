"""Small questions to a syntax tree that need no knowledge of the application."""

import ast
from collections.abc import Sequence
from typing import TypeAlias

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


def running_nodes(body: Sequence[ast.AST]) -> list[ast.AST]:
    """The nodes that run when some code runs, in order: not those of functions and classes inside of it."""
    found: list[ast.AST] = []
    waiting = list(reversed(body))
    while waiting:
        node = waiting.pop()
        found.append(node)
        if not isinstance(node, _SCOPES):
            waiting.extend(reversed(list(ast.iter_child_nodes(node))))
    return found


def arguments(node: FunctionNode) -> list[ast.arg]:
    """All parameters that have a name of their own, without ``*args`` and ``**kwargs``."""
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]


def defaults(node: FunctionNode) -> dict[str, ast.expr]:
    """The default of each parameter that has one."""
    positional = [*node.args.posonlyargs, *node.args.args]
    found = {
        argument.arg: value
        for argument, value in zip(reversed(positional), reversed(node.args.defaults), strict=False)
    }  # fmt: skip
    for argument, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        if default is not None:
            found[argument.arg] = default
    return found


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The value of a keyword argument."""
    return next((one.value for one in call.keywords if one.arg == name), None)


def spreads(call: ast.Call) -> bool:
    """Whether it has ``*args`` or ``**kwargs``, so that nobody knows what it is called with."""
    return any(one.arg is None for one in call.keywords) or any(isinstance(one, ast.Starred) for one in call.args)


def argument(call: ast.Call, position: int, name: str) -> ast.expr | None:
    """An argument that may be given by position or by name."""
    if position < len(call.args) and not any(isinstance(one, ast.Starred) for one in call.args[: position + 1]):
        return call.args[position]
    return keyword(call, name)


def dotted(node: ast.expr) -> str:
    """``a.b.c`` for names and attributes, else an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def names_in(node: ast.AST) -> set[str]:
    """All names that are read anywhere below a node."""
    return {one.id for one in ast.walk(node) if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}


def is_none(node: ast.expr | None) -> bool:
    """Whether it is ``None`` spelled out."""
    return isinstance(node, ast.Constant) and node.value is None


def number(node: ast.expr | None) -> float | None:
    """The value of a number spelled out."""
    value = node.value if isinstance(node, ast.Constant) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def annotation_parts(node: ast.expr | None) -> list[ast.expr]:
    """The alternatives of an annotation: without ``Annotated``, ``Optional``, quotes and ``None``."""
    match node:
        case None | ast.Constant(value=None):
            return []
        case ast.Constant(value=str(text)):
            return annotation_parts(_parsed(text))
        case ast.BinOp(op=ast.BitOr()):
            return [*annotation_parts(node.left), *annotation_parts(node.right)]
        case ast.Subscript():
            kind = dotted(node.value).rpartition(".")[2]
            inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            if kind in {"Annotated", "Optional", "Union"}:
                chosen = inner if kind == "Union" else inner[:1]
                return [part for one in chosen for part in annotation_parts(one)]
            return [node.value]
        case _:
            return [node]


def _parsed(text: str) -> ast.expr | None:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError):
        return None


def annotated_extras(node: ast.expr | None) -> list[ast.expr]:
    """What stands behind the type in ``Annotated[...]``, also in one that is quoted."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = _parsed(node.value)
    if isinstance(node, ast.Subscript) and dotted(node.value).rpartition(".")[2] == "Annotated":
        return node.slice.elts[1:] if isinstance(node.slice, ast.Tuple) else []
    return []
