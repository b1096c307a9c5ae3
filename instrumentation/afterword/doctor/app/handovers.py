"""Where work is handed over: ``add_task``, a task set on a response, a spawned coroutine, a thread."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from afterword.doctor.app import syntax
from afterword.doctor.app.model import Function, Module
from afterword.doctor.app.symbols import Symbols

_BACKGROUND: Final = ("fastapi.BackgroundTasks", "fastapi.background.BackgroundTasks",
                      "starlette.background.BackgroundTasks")  # fmt: skip
#: What an injected or an own list of tasks resolves to, and its ``add_task``.
TASK_LISTS: Final = frozenset(f"{name}()" for name in _BACKGROUND)
ADD_TASK: Final = frozenset(f"{name}().add_task" for name in _BACKGROUND)
SINGLE_TASK: Final = frozenset(
    {"starlette.background.BackgroundTask", "fastapi.background.BackgroundTask", "fastapi.BackgroundTask"}
)
_LOOPS: Final = ("asyncio.get_event_loop()", "asyncio.get_running_loop()", "asyncio.new_event_loop()",
                 "asyncio.AbstractEventLoop()")  # fmt: skip
#: What spawns a coroutine that runs by itself.
SPAWNS: Final = frozenset(
    {"asyncio.create_task", "asyncio.ensure_future", "asyncio.tasks.create_task", "asyncio.run_coroutine_threadsafe"}
    | {f"{loop}.create_task" for loop in _LOOPS}
)
_THREADS: Final = frozenset({"threading.Thread", "threading.Timer"})
_SURE: Final = ADD_TASK | SINGLE_TASK | SPAWNS | _THREADS

BACKGROUND, RESPONSE, ASYNCIO, THREAD = "background", "response", "asyncio", "thread"


@dataclass(frozen=True, eq=False)
class HandOver:
    """One call that hands work over.

    ``given`` is what stands where the function (for asyncio: the coroutine) belongs; ``arguments`` are what the
    function gets. ``sure`` is False for an ``add_task`` of something whose type nobody knows.
    """

    kind: str
    call: ast.Call
    given: ast.expr
    function: Function | None
    arguments: tuple[ast.expr, ...]
    where: Function | None
    module: Module
    sure: bool = True

    @property
    def supplied(self) -> tuple[int, frozenset[str], bool]:
        """Number of arguments by position, the names of the others, and whether there may be more of them."""
        call = self.given if self.kind == ASYNCIO and isinstance(self.given, ast.Call) else self.call
        first = 0 if self.kind == ASYNCIO or call is self.given else 1
        names = frozenset(one.arg for one in call.keywords if one.arg)
        return max(len(call.args) - first, 0), names, syntax.spreads(call)


def handovers(module: Module, symbols: Symbols) -> Iterator[HandOver]:
    """Every hand-over in a file."""
    for call in module.calls:
        found = _one(call, module, symbols)
        if found is not None:
            yield found


def _one(call: ast.Call, module: Module, symbols: Symbols) -> HandOver | None:
    name = symbols.called(call, module)
    where = module.function_of(call) if name in _SURE else None
    if name in _THREADS:
        return _thread(call, name, where, module, symbols)
    if name in SPAWNS:
        return _spawned(call, where, module, symbols)
    given = syntax.argument(call, 0, "func")
    if name in _SURE and given is not None:
        function = symbols.function(given, where, module)
        kind = RESPONSE if name in SINGLE_TASK else BACKGROUND
        return HandOver(kind, call, given, function, _behind(call, given), where, module)
    if given is not None and not name and isinstance(call.func, ast.Attribute) and call.func.attr == "add_task":
        return _unsure(call, given, module, symbols)
    return None


def _unsure(call: ast.Call, given: ast.expr, module: Module, symbols: Symbols) -> HandOver | None:
    """An ``add_task`` of something whose type nobody knows, if it is given a function of the application's own."""
    where = module.function_of(call)
    if symbols.resolve(call.func, where, module) is not None:
        return None
    function = symbols.function(given, where, module)
    if function is None:
        return None
    return HandOver(BACKGROUND, call, given, function, _behind(call, given), where, module, sure=False)


def _spawned(call: ast.Call, where: Function | None, module: Module, symbols: Symbols) -> HandOver | None:
    given = syntax.argument(call, 0, "coro")
    if given is None:
        return None
    function = symbols.function(given.func, where, module) if isinstance(given, ast.Call) else None
    inner = _values(given) if isinstance(given, ast.Call) else ()
    return HandOver(ASYNCIO, call, given, function, inner, where, module)


def _thread(call: ast.Call, name: str, where: Function | None, module: Module, symbols: Symbols) -> HandOver | None:
    given = syntax.keyword(call, "target") or syntax.argument(call, 1, "function" if "Timer" in name else "target")
    if given is None:
        return None
    handed = [syntax.keyword(call, "args"), syntax.keyword(call, "kwargs")]
    arguments: list[ast.expr] = []
    for one in handed:
        if isinstance(one, ast.Tuple | ast.List):
            arguments += one.elts
        elif isinstance(one, ast.Dict):
            arguments += one.values
    return HandOver(THREAD, call, given, symbols.function(given, where, module), tuple(arguments), where, module)


def _values(call: ast.Call) -> tuple[ast.expr, ...]:
    return (*call.args, *(one.value for one in call.keywords))


def _behind(call: ast.Call, given: ast.expr) -> tuple[ast.expr, ...]:
    """What is handed over together with the function, also inside of a partial."""
    inner = _values(given)[1:] if isinstance(given, ast.Call) else ()
    return (*inner, *(one for one in _values(call) if one is not given))


def named(one: HandOver, symbols: Symbols) -> str:
    """What is handed over, as ``module.name`` where that is known, and else as it is written."""
    if one.function is not None:
        return one.function.name
    given = one.given.func if one.kind == ASYNCIO and isinstance(one.given, ast.Call) else one.given
    return symbols.outside(given, one.where, one.module).replace("()", "") or ast.unparse(given)


def is_left(handover: HandOver) -> bool:
    """Whether a spawned coroutine is left to itself, or started for as long as a generator (a lifespan) is open.

    Whoever awaits it, gathers it or gives it back to somebody else is assumed to wait for it.
    """
    if handover.kind == THREAD:
        return True
    kept = kept_as(handover)
    if kept is None or handover.where is None:
        return kept is None or handover.where is None
    if isinstance(kept, ast.Name):
        return all(_only_stores(use, handover) for use in uses(kept.id, handover.where)) or handover.where.is_generator
    return isinstance(kept, ast.Attribute | ast.Subscript)


def kept_as(handover: HandOver) -> ast.expr | None:
    """What the result of the call becomes: a name or attribute it is assigned to, or the expression it is part of.

    None if nothing becomes of it.
    """
    parents = handover.module.parents
    parent = parents.get(handover.call)
    if isinstance(parent, ast.Expr):
        return None
    if isinstance(parent, ast.Assign) and len(parent.targets) == 1:
        return parent.targets[0]
    if isinstance(parent, ast.AnnAssign | ast.NamedExpr):
        return parent.target
    if isinstance(parent, ast.Call) and _is_put_away(parent, handover):
        return ast.Attribute(value=parent.func, attr="kept", ctx=ast.Load())
    if isinstance(parent, ast.Attribute) and parent.attr == "add_done_callback":
        outer = parents.get(parents.get(parent, parent))
        return None if isinstance(outer, ast.Expr) else parent
    return parent if isinstance(parent, ast.expr) else ast.Constant(value=...)


def uses(name: str, function: Function) -> list[ast.Name]:
    """Where a local name is read, in nested functions too."""
    return [node for node in ast.walk(function.node)
            if isinstance(node, ast.Name) and node.id == name and isinstance(node.ctx, ast.Load)]  # fmt: skip


def _only_stores(use: ast.Name, handover: HandOver) -> bool:
    """Whether a use only keeps the task somewhere or hangs a callback on it."""
    parent = handover.module.parents.get(use)
    if isinstance(parent, ast.Attribute):
        return parent.attr in {"add_done_callback", "set_name", "get_name"}
    return isinstance(parent, ast.Call) and _is_put_away(parent, handover)


def _is_put_away(call: ast.Call, handover: HandOver) -> bool:
    """``kept.add(task)`` where ``kept`` outlives the function."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in {"add", "append"}:
        return False
    base = call.func.value
    return not (isinstance(base, ast.Name) and handover.where is not None and base.id in handover.where.assigned)
