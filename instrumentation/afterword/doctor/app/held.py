"""What a request holds only for itself: sessions of ``yield`` dependencies, and objects that belong to them."""

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from afterword.doctor.app import syntax
from afterword.doctor.app.model import Class, Function, Module
from afterword.doctor.app.routes import called_by, dependencies
from afterword.doctor.app.symbols import Made, Outside, Symbols, latest

SESSION, OBJECT, HOLDER = "session", "object", "holder"
_SESSION_TYPES: Final = frozenset(
    {"sqlalchemy.orm.Session()", "sqlalchemy.orm.session.Session()", "sqlalchemy.ext.asyncio.AsyncSession()",
     "sqlalchemy.ext.asyncio.session.AsyncSession()", "sqlmodel.Session()",
     "sqlmodel.ext.asyncio.session.AsyncSession()"}
)  # fmt: skip
#: The end of a chain that gives objects of the session, when a class was asked for.
_GIVE_OBJECTS: Final = frozenset({"first", "one", "one_or_none", "all", "get", "get_one", "scalar", "scalar_one",
                                  "scalar_one_or_none", "scalars", "unique", "merge"})  # fmt: skip
_ASK: Final = frozenset({"query", "select", "get", "get_one"})
_JOIN: Final = frozenset({"add", "refresh", "add_all", "delete"})
_LEAVE: Final = frozenset({"expunge", "make_transient", "expunge_all"})
_SAME: Final = frozenset({"builtins.list", "builtins.tuple", "builtins.set", "builtins.sorted", "builtins.next",
                          "builtins.reversed", "builtins.iter"})  # fmt: skip
_DEEPEST: Final = 24


@dataclass(frozen=True)
class Held:
    """What a value is: a session, an object of one, or something that holds a session in ``attributes``."""

    what: str
    source: str
    attributes: frozenset[str] = frozenset()


class Holdings:
    """Answers what an expression in a function holds of its request; None for everything else."""

    def __init__(self, symbols: Symbols) -> None:
        self._symbols = symbols
        self._depth = 0
        self._parameters: dict[Function, dict[str, Held]] = {}

    def of(self, node: ast.expr, where: Function, given: Mapping[str, Held] | None = None) -> Held | None:
        """What ``node`` holds; ``given`` are the parameters of ``where`` when somebody else calls it."""
        if self._depth > _DEEPEST:
            return None
        self._depth += 1
        try:
            if isinstance(node, ast.Name):
                return self._name(node, where, given)
            if isinstance(node, ast.Call):
                return self._call(node, where, given)
            found = self._first(_same_as(node), where, given)
            return None if isinstance(node, ast.Subscript) and found is not None and found.what != OBJECT else found
        finally:
            self._depth -= 1

    def _first(self, nodes: list[ast.expr], where: Function, given: Mapping[str, Held] | None) -> Held | None:
        return next((found for one in nodes if (found := self.of(one, where, given)) is not None), None)

    def _name(self, node: ast.Name, where: Function, given: Mapping[str, Held] | None) -> Held | None:
        if node.id in where.assigned:
            value = latest(where.assigned[node.id], node.lineno)
            if value is not None and not (isinstance(value, ast.Name) and value.id == node.id):
                found = self.of(value, where, given)
                if found is not None:
                    return None if self._has_left(node, where) else found
            return self._joined(node, where, given)
        if node.id in where.parameters:
            held = given if given is not None else self.parameters(where)
            found = held.get(node.id)
            return None if found is not None and self._has_left(node, where) else found
        return self.of(_later(node), where.outer) if where.outer is not None else None

    def _joined(self, node: ast.Name, where: Function, given: Mapping[str, Held] | None) -> Held | None:
        """An object that was made here and given to a session."""
        for call in where.calls:
            is_earlier = call.lineno < node.lineno and isinstance(call.func, ast.Attribute)
            if is_earlier and isinstance(call.func, ast.Attribute) and call.func.attr in _JOIN and call.args:
                first = call.args[0]
                if isinstance(first, ast.Name) and first.id == node.id and isinstance(call.func.value, ast.Name):
                    session = self.of(call.func.value, where, given) if call.func.value.id != node.id else None
                    if session is not None and session.what == SESSION and not self._has_left(node, where):
                        return Held(OBJECT, call.func.value.id)
        return None

    def _has_left(self, node: ast.Name, where: Function) -> bool:
        """Whether it was taken out of its session before."""
        return any(
            syntax.dotted(call.func).rpartition(".")[2] in _LEAVE
            and call.lineno <= node.lineno
            and (not call.args or node.id in syntax.names_in(call.args[0]))
            for call in where.calls
        )

    # -- calls

    def _call(self, node: ast.Call, where: Function, given: Mapping[str, Held] | None) -> Held | None:
        called = self._symbols.resolve(node.func, where, where.module)
        if isinstance(called, Outside) and called.name in _SAME and node.args:
            found = self.of(node.args[0], where, given)
            return found if found is not None and found.what == OBJECT else None
        if isinstance(called, Class):
            return self._instance(called, node, where, given)
        if isinstance(called, Function):
            handed = self._bound(called, node, where, given)
            return self._given_back(called, handed) if handed else None
        root = _root(node)
        if root is None or not isinstance(node.func, ast.Attribute) or node.func.attr not in _GIVE_OBJECTS:
            return None
        found = self.of(root, where, given)
        if found is None or found.what != SESSION or not self._asks_for_class(node, where):
            return None
        return Held(OBJECT, root.id)

    def _asks_for_class(self, chain: ast.expr, where: Function) -> bool:
        for one in ast.walk(chain):
            if isinstance(one, ast.Call) and syntax.dotted(one.func).rpartition(".")[2] == "merge":
                return True
            is_asking = isinstance(one, ast.Call) and _last_name(one.func) in _ASK
            if is_asking and isinstance(one, ast.Call) and one.args:
                return self._is_entity(one.args[0], where)
            if isinstance(one, ast.Name) and one.id in where.assigned:
                value = latest(where.assigned[one.id], one.lineno)
                if value is not None and "select" in syntax.names_in(value) and value is not chain:
                    return self._asks_for_class(value, where)
        return False

    def _is_entity(self, node: ast.expr, where: Function) -> bool:
        found = self._symbols.resolve(node, where, where.module)
        name = syntax.dotted(node).rpartition(".")[2]
        if isinstance(found, Class):
            return True
        return found is None and isinstance(node, ast.Name | ast.Attribute) and (name[:1].isupper() or name == "model")

    def _bound(
        self, called: Function, node: ast.Call, where: Function, given: Mapping[str, Held] | None
    ) -> dict[str, Held]:
        names = list(called.parameters)
        if called.owner is not None and names[:1] in (["self"], ["cls"]):
            names = names[1:]
        handed: dict[str, Held] = {}
        pairs = [*zip(names, node.args, strict=False), *((one.arg, one.value) for one in node.keywords if one.arg)]
        for name, value in pairs:
            found = self.of(value, where, given)
            if found is not None:
                handed[name] = found
        return handed

    def _given_back(self, function: Function, given: Mapping[str, Held] | None) -> Held | None:
        """What a function returns of what it got."""
        for one in function.nodes:
            if isinstance(one, ast.Return) and one.value is not None:
                found = self.of(one.value, function, given)
                if found is not None:
                    return found
        return None

    def _instance(self, made: Class, node: ast.Call, where: Function, given: Mapping[str, Held] | None) -> Held | None:
        init = self._symbols.method(made, "__init__")
        handed = self._bound(init, node, where, given) if init is not None else {}
        return _holder(made, handed)

    # -- parameters

    def parameters(self, function: Function) -> dict[str, Held]:
        """What FastAPI puts into the parameters of a route or a dependency."""
        if function not in self._parameters:
            self._parameters[function] = {}
            for name, depends, module in dependencies(function, self._symbols):
                found = self._dependency(name, depends, function, module)
                if found is not None:
                    self._parameters[function][name] = found
        return self._parameters[function]

    def _dependency(self, name: str, depends: ast.Call, function: Function, module: Module) -> Held | None:
        called = called_by(depends.args[0], None, module, self._symbols) if depends.args else None
        made = self._symbols.resolve(depends.args[0], None, module) if depends.args else None
        if isinstance(made, Class):
            return _holder(made, self.parameters(called)) if called is not None else None
        if called is None:
            annotation = self._symbols.annotation(function.parameters[name].annotation, None, function.module)
            is_session = isinstance(annotation, Outside) and annotation.name in _SESSION_TYPES
            return Held(SESSION, name) if is_session and not isinstance(made, Made) else None
        if called.is_generator:
            return Held(SESSION, called.name) if self._closes(called) else None
        return self._given_back(called, None)

    def _closes(self, generator: Function) -> bool:
        """Whether what a generator yields is closed, or given back, behind its ``yield``."""
        for one in generator.nodes:
            if isinstance(one, ast.Yield) and one.value is not None:
                given = [one.value, *getattr(one.value, "args", [])]
                names = [each for each in given if isinstance(each, ast.Name)]
                if any(_is_closed(name.id, one, generator, self._symbols) for name in names):
                    return True
        return False


def _is_closed(name: str, yielded: ast.Yield, generator: Function, symbols: Symbols) -> bool:
    for one in generator.nodes:
        if isinstance(one, ast.With | ast.AsyncWith):
            opened = [item.optional_vars.id for item in one.items if isinstance(item.optional_vars, ast.Name)]
            if name in opened and any(inside is yielded for inside in ast.walk(one)):
                return True
        elif isinstance(one, ast.For | ast.AsyncFor) and isinstance(one.target, ast.Name) and one.target.id == name:
            source = one.iter.func if isinstance(one.iter, ast.Call) else one.iter
            found = symbols.function(source, generator, generator.module)
            if found is not None and found.is_generator:
                return True
        elif isinstance(one, ast.Call) and one.lineno > yielded.lineno:
            is_method = isinstance(one.func, ast.Attribute) and syntax.dotted(one.func.value) == name
            if is_method or any(isinstance(given, ast.Name) and given.id == name for given in one.args):
                return not syntax.dotted(one.func).startswith(("log", "print"))
    return False


def _holder(made: Class, handed: Mapping[str, Held]) -> Held | None:
    """An instance that keeps a session it was made with."""
    kept = {
        attribute: handed[value.id]
        for attribute, (_, value) in made.attributes.items()
        if isinstance(value, ast.Name) and value.id in handed
    }
    if not kept:
        return None
    return Held(HOLDER, next(iter(kept.values())).source, frozenset(kept))


def _same_as(node: ast.expr) -> list[ast.expr]:
    """The expressions of which one is, or is contained in, what ``node`` gives."""
    match node:
        case ast.Await() | ast.NamedExpr() | ast.Starred() | ast.Subscript():
            return [node.value]
        case ast.List() | ast.Tuple() | ast.Set():
            return node.elts
        case ast.Dict() | ast.BoolOp():
            return node.values
        case ast.IfExp():
            return [node.body, node.orelse]
        case _:
            return []


def _root(node: ast.expr) -> ast.Name | None:
    """``db`` of ``(await db.execute(...)).scalars().first()``."""
    while isinstance(node, ast.Call | ast.Attribute | ast.Await):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node if isinstance(node, ast.Name) else None


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else syntax.dotted(node)


def _later(node: ast.Name) -> ast.Name:
    """The same name at the end of the function around, because a nested function runs later."""
    return ast.Name(node.id, ast.Load(), lineno=10**9, col_offset=0)
