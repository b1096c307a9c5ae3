"""What an expression means: a function or class of the application, something from outside, or a thing made of one."""

import ast
import builtins
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from afterword.doctor.app import syntax
from afterword.doctor.app.model import Class, Function, Module
from afterword.doctor.app.project import Project

_DEEPEST: Final = 24
_PARTIAL: Final = frozenset({"functools.partial", "functools.partialmethod"})


@dataclass(frozen=True)
class Outside:
    """Something that is not the application's own, by its dotted name; ``()`` stands for a call.

    ``made_by`` is the last such call, with the module it stands in.
    """

    name: str
    made_by: tuple[ast.Call, Module] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, eq=False)
class Made:
    """An instance of one of the application's classes."""

    of: Class


Symbol: TypeAlias = Module | Function | Class | Made | Outside


class Symbols:
    """Resolves expressions by scopes, imports, simple assignments and annotations; None when it cannot say."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._depth = 0
        self._called: dict[ast.Call, str] = {}

    def outside(self, node: ast.expr, where: Function | None, module: Module) -> str:
        """The dotted name, if it is something from outside; else an empty text."""
        found = self.resolve(node, where, module)
        return found.name if isinstance(found, Outside) else ""

    def called(self, call: ast.Call, module: Module) -> str:
        """The dotted name of what a call calls, if that is something from outside; else an empty text."""
        if call not in self._called:
            self._called[call] = self.outside(call.func, module.function_of(call), module)
        return self._called[call]

    def function(self, node: ast.expr, where: Function | None, module: Module) -> Function | None:
        """The application's own function that an expression means: also a partial, a method or a callable object."""
        if isinstance(node, ast.Lambda):
            return module.by_node.get(node)
        if isinstance(node, ast.Call) and self.outside(node.func, where, module) in _PARTIAL and node.args:
            return self.function(node.args[0], where, module)
        found = self.resolve(node, where, module)
        if isinstance(found, Made):
            return self.method(found.of, "__call__")
        return found if isinstance(found, Function) else None

    def resolve(self, node: ast.expr, where: Function | None, module: Module) -> Symbol | None:
        """What an expression in ``where`` (None: at the top of ``module``) means."""
        if self._depth > _DEEPEST:
            return None
        self._depth += 1
        try:
            return self._resolved(node, where, module)
        finally:
            self._depth -= 1

    def _resolved(self, node: ast.expr, where: Function | None, module: Module) -> Symbol | None:
        match node:
            case ast.Name():
                return self._name(node, where, module)
            case ast.Attribute():
                return self._attribute(node, where, module)
            case ast.Call():
                return self._result(node, where, module)
            case ast.Await() | ast.NamedExpr():
                return self.resolve(node.value, where, module)
            case ast.Lambda():
                return module.by_node.get(node)
            case _:
                return None

    def annotation(self, node: ast.expr | None, where: Function | None, module: Module) -> Symbol | None:
        """An instance of what an annotation names."""
        for part in syntax.annotation_parts(node):
            found = self.resolve(part, where, module)
            if isinstance(found, Class):
                return Made(found)
            if isinstance(found, Outside):
                return Outside(f"{found.name}()")
            alias = self._alias(part, module)
            if alias is not None and alias is not node:
                return self.annotation(alias, None, module)
        return None

    def expanded(self, node: ast.expr | None, module: Module) -> tuple[ast.expr | None, Module]:
        """An annotation as it was written where it got its name, and the module of that: ``Db = Annotated[...]``."""
        for _ in range(_DEEPEST):
            if not isinstance(node, ast.Name):
                break
            if node.id in module.values:
                node = module.values[node.id]
                continue
            owner, _, name = module.imports.get(node.id, "").rpartition(".")
            other = self._project.modules.get(owner)
            if other is None or (name not in other.values and name not in other.imports):
                break
            node, module = ast.copy_location(ast.Name(name, ast.Load()), node), other
        return node, module

    def method(self, owner: Class, name: str) -> Function | None:
        """A method of a class or of those of its bases that are the application's own."""
        for one in self.lineage(owner):
            if name in one.methods:
                return one.methods[name]
        return None

    def lineage(self, owner: Class) -> list[Class]:
        """A class and its bases, as far as they are the application's own."""
        found, waiting = [], [owner]
        while waiting:
            one = waiting.pop(0)
            if one in found:
                continue
            found.append(one)
            bases = (self.resolve(base, None, one.module) for base in one.node.bases)
            waiting.extend(base for base in bases if isinstance(base, Class))
        return found

    def bases(self, owner: Class) -> set[str]:
        """The dotted names of all bases from outside."""
        return {name for one in self.lineage(owner) for base in one.node.bases
                if (name := self.outside(base, None, one.module))}  # fmt: skip

    # -- names

    def _name(self, node: ast.Name, where: Function | None, module: Module) -> Symbol | None:
        scope, line = where, node.lineno
        while scope is not None:
            found, known = self._local(node.id, scope, line)
            if known:
                return found
            scope, line = scope.outer, 10**9
        return self._global(node.id, module)

    def _local(self, name: str, scope: Function, line: int) -> tuple[Symbol | None, bool]:
        if name in scope.inner:
            return scope.inner[name], True
        if name in scope.classes:
            return scope.classes[name], True
        if name in scope.imports:
            return self._absolute(scope.imports[name]), True
        if name in scope.assigned:
            value = latest(scope.assigned[name], line)
            return (None if value is None else self.resolve(value, scope, scope.module)), True
        parameter = scope.parameters.get(name)
        if parameter is not None:
            return self._parameter(parameter, scope), True
        return None, False

    def _parameter(self, parameter: ast.arg, scope: Function) -> Symbol | None:
        if parameter.arg in {"self", "cls"} and scope.owner is not None:
            return Made(scope.owner)
        found = self.annotation(parameter.annotation, None, scope.module)
        default = syntax.defaults(scope.node).get(parameter.arg)
        if found is None and isinstance(default, ast.Call) and syntax.dotted(default.func).endswith("Depends"):
            given = self.resolve(default.args[0], None, scope.module) if default.args else None
            return self._returned(given) if isinstance(given, Function) else None
        return found

    def _global(self, name: str, module: Module, above: frozenset[Module] = frozenset()) -> Symbol | None:
        """A name at the top of a module; ``above`` are the modules that took it over with a star."""
        if name in module.top or name in module.classes:
            return module.top.get(name) or module.classes[name]
        if name in module.values:
            found = self.resolve(module.values[name], None, module)
            if found is not None or name not in module.imports:
                return found
        if name in module.imports:
            return self._absolute(module.imports[name])
        for star in module.stars:
            other = self._project.modules.get(star)
            found = self._global(name, other, above | {module}) if other is not None and other not in above else None
            if found is not None and found != Outside(f"builtins.{name}"):
                return found
        return Outside(f"builtins.{name}") if hasattr(builtins, name) else None

    def _absolute(self, dotted: str) -> Symbol | None:
        found = self._project.find(dotted)
        if found is not None:
            return found
        owner, _, name = dotted.rpartition(".")
        module = self._project.modules.get(owner)
        if module is None:
            return Outside(dotted)
        if self._depth > _DEEPEST:
            return None
        self._depth += 1
        try:
            return self._global(name, module)
        finally:
            self._depth -= 1

    def _alias(self, node: ast.expr, module: Module) -> ast.expr | None:
        expanded, _ = self.expanded(node, module)
        return expanded if expanded is not node else None

    # -- attributes and calls

    def _attribute(self, node: ast.Attribute, where: Function | None, module: Module) -> Symbol | None:
        base = self.resolve(node.value, where, module)
        match base:
            case Outside(name, made_by):
                return self._project.find(f"{name}.{node.attr}") or Outside(f"{name}.{node.attr}", made_by)
            case Module():
                return self._absolute(f"{base.name}.{node.attr}")
            case Class():
                return self.method(base, node.attr) or self._class_value(base, node.attr)
            case Made(owner):
                return self.method(owner, node.attr) or self._instance_value(owner, node.attr)
            case _:
                return None

    def _class_value(self, owner: Class, name: str) -> Symbol | None:
        for one in self.lineage(owner):
            if name in one.values:
                return self.resolve(one.values[name], None, one.module)
        return None

    def _instance_value(self, owner: Class, name: str) -> Symbol | None:
        for one in self.lineage(owner):
            if name in one.attributes:
                method, value = one.attributes[name]
                return self.resolve(value, method, one.module)
        return self._class_value(owner, name)

    def _result(self, node: ast.Call, where: Function | None, module: Module) -> Symbol | None:
        called = self.resolve(node.func, where, module)
        match called:
            case Class():
                return Made(called)
            case Outside(name):
                return Outside(f"{name}()", (node, module))
            case Function():
                return self._returned(called)
            case _:
                return None

    def _returned(self, function: Function) -> Symbol | None:
        """What a function gives back, if it says so or has one plain ``return``."""
        if isinstance(function.node, ast.Lambda):
            return None
        found = self.annotation(function.node.returns, None, function.module)
        if found is not None:
            return found
        values = [node.value for node in function.nodes if isinstance(node, ast.Return)]
        if len(values) == 1 and values[0] is not None:
            return self.resolve(values[0], function, function.module)
        return None


def latest(assigned: list[tuple[int, ast.expr | None]], line: int) -> ast.expr | None:
    """What was assigned last before a line; the first one if all come later, as in a loop."""
    before = [value for at, value in assigned if at <= line]
    return before[-1] if before else assigned[0][1]
