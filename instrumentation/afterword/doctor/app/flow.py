"""Ways through a function: at each exit, whether something may, or must, have happened before.

A statement is looked at with a state, the pair (may, must), and gives the state behind it, or None if nothing gets
there. Where two ways join, ``may`` is either and ``must`` is both::

    add_task(f)      False, False  ->  True, True
    if x: add_task   False, False  ->  True, False
    return           the state becomes an exit; nothing gets behind it
"""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from afterword.doctor.app.model import Function
from afterword.doctor.app.syntax import dotted

State: TypeAlias = tuple[bool, bool]
_NOTHING: State = (False, False)
_CATCH_ALL = {"", "Exception", "BaseException"}


@dataclass(frozen=True, eq=False)
class Exit:
    """A ``return`` or ``raise``, or the end of the function (the function's own node)."""

    node: ast.AST
    may: bool
    must: bool


def exits(function: Function, happens: Callable[[ast.AST], bool]) -> list[Exit]:
    """Every exit of a function. ``happens`` is asked about each statement without a body, and each expression."""
    way = _Way(happens)
    end = way.block(function.body, _NOTHING)
    if end is not None:
        way.exits.append(Exit(function.node, *end))
    return way.exits


class _Way:
    def __init__(self, happens: Callable[[ast.AST], bool]) -> None:
        self._happens = happens
        self.exits: list[Exit] = []
        #: Names of what the handlers around a place catch.
        self._caught: list[set[str]] = []

    def block(self, statements: list[ast.stmt], state: State | None) -> State | None:
        for statement in statements:
            if state is None:
                return None
            state = self._statement(statement, state)
        return state

    def _statement(self, node: ast.stmt, state: State) -> State | None:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                return state
            case ast.Return() | ast.Raise() | ast.Break() | ast.Continue():
                self._leave(node, state)
                return None
            case ast.For() | ast.AsyncFor() | ast.While():
                return self._loop(node, state)
            case ast.Try() | ast.TryStar():
                return self._try(node, state)
            case ast.If() | ast.With() | ast.AsyncWith() | ast.Match():
                return self._block_of(node, state)
            case _:
                return self._with(node, state)

    def _leave(self, node: ast.stmt, state: State) -> None:
        if isinstance(node, ast.Return):
            self.exits.append(Exit(node, *self._with(node, state)))
        elif isinstance(node, ast.Raise) and not self._is_caught(node):
            self.exits.append(Exit(node, *state))

    def _block_of(self, node: ast.If | ast.With | ast.AsyncWith | ast.Match, state: State) -> State | None:
        if isinstance(node, ast.If):
            state = self._with(node.test, state)
            return _join(self.block(node.body, state), self.block(node.orelse, state))
        if isinstance(node, ast.Match):
            return self._match(node, self._with(node.subject, state))
        for item in node.items:
            state = self._with(item.context_expr, state)
        return self.block(node.body, state)

    def _with(self, node: ast.AST, state: State) -> State:
        return (True, True) if self._happens(node) else state

    def _loop(self, node: ast.For | ast.AsyncFor | ast.While, state: State) -> State | None:
        test = node.test if isinstance(node, ast.While) else None
        state = self._with(node.iter if not isinstance(node, ast.While) else node.test, state)
        inside = self.block(node.body, state)
        below = [one for statement in node.body for one in ast.walk(statement)]
        is_endless = isinstance(test, ast.Constant) and bool(test.value)
        if is_endless and not any(isinstance(one, ast.Break) for one in below):
            return None
        after = _join(state, inside)
        if after is not None and any(self._happens(one) for one in below):
            after = True, after[1]
        return self.block(node.orelse, after)

    def _try(self, node: ast.Try | ast.TryStar, state: State) -> State | None:
        self._caught.append({name for handler in node.handlers for name in _names(handler)})
        body = self.block([*node.body, *node.orelse], state)
        self._caught.pop()
        may = any(self._happens(one) for statement in node.body for one in ast.walk(statement))
        interrupted = (state[0] or may, state[1])
        after = body
        for handler in node.handlers:
            after = _join(after, self.block(handler.body, interrupted))
        return self.block(node.finalbody, after) if after is not None else None

    def _match(self, node: ast.Match, state: State) -> State | None:
        after: State | None = None
        for case in node.cases:
            after = _join(after, self.block(case.body, state))
        last = node.cases[-1].pattern
        is_complete = isinstance(last, ast.MatchAs) and last.pattern is None and node.cases[-1].guard is None
        return after if is_complete else _join(after, state)

    def _is_caught(self, node: ast.Raise) -> bool:
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        name = dotted(raised).rpartition(".")[2] if raised is not None else ""
        return any(names & (_CATCH_ALL | {name}) for names in self._caught) if name else False


def _join(one: State | None, other: State | None) -> State | None:
    if one is None or other is None:
        return one if other is None else other
    return one[0] or other[0], one[1] and other[1]


def _names(handler: ast.ExceptHandler) -> set[str]:
    if handler.type is None:
        return {""}
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return {dotted(kind).rpartition(".")[2] for kind in kinds}
