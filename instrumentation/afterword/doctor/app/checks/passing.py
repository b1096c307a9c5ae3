"""AW102: calling instead of passing, and the other way round."""

import ast
from collections.abc import Iterator
from typing import Final

from afterword.doctor.app import syntax
from afterword.doctor.app.application import Application
from afterword.doctor.app.handovers import ASYNCIO, HandOver
from afterword.doctor.app.model import Function
from afterword.doctor.app.registry import Place, at, check

#: Calls from outside that do their work at once and give back nothing that could be called.
_AT_ONCE: Final = ("builtins.print", "time.sleep", "asyncio.sleep", "requests.", "httpx.", "urllib.request.urlopen",
                   "logging.")  # fmt: skip
_TO_THREAD: Final = {"asyncio.to_thread": 0, "fastapi.concurrency.run_in_threadpool": 0,
                     "starlette.concurrency.run_in_threadpool": 0, "anyio.to_thread.run_sync": 0,
                     "asyncio.get_event_loop().run_in_executor": 1,
                     "asyncio.get_running_loop().run_in_executor": 1}  # fmt: skip
_APART: Final = "Pass the function and its arguments apart: `{}({}function, argument)`."


@check(
    "AW102",
    finds="a function that is called where it has to be passed, or passed where it has to be called",
    why="`add_task(send(x))` runs `send` at once, in front of the response, and adds its result, which is no function; "
    "`create_task(send)` gets a function where it needs a coroutine. Either fails when it is too late to be seen.",
    fix="Pass the function and its arguments apart: `add_task(send, x)`, `BackgroundTask(send, x)`; spawn the "
    "coroutine that a call gives: `create_task(send(x))`.",
)
def calls_instead_of_passing(app: Application) -> Iterator[Place]:
    """Look at what is handed over."""
    for one in app.handovers:
        if not one.sure:
            continue
        problem = wrong_coroutine(one, app) if one.kind == ASYNCIO else _wrong_function(one, app)
        if problem:
            yield at(one.module, one.call, problem, _cure(one))
    for module in app.project.modules.values():
        for call in module.calls:
            where = module.function_of(call)
            position = _TO_THREAD.get(app.symbols.called(call, module))
            given = call.args[position] if position is not None and len(call.args) > position else None
            name = _called(given, where, app) if given is not None and where is not None else ""
            if name:
                problem = f"{name} is called here, and its result is passed on instead of the function"
                executor = "None, " if position else ""
                yield at(module, call, problem, _APART.format(ast.unparse(call.func), executor))


def _cure(one: HandOver) -> str:
    if one.kind != ASYNCIO:
        return _APART.format(ast.unparse(one.call.func), "")
    if isinstance(one.given, ast.Call):
        return "Make it an `async def`, or run it in a thread: `create_task(asyncio.to_thread(function, argument))`."
    return f"Spawn the coroutine that a call gives: `{ast.unparse(one.call.func)}({ast.unparse(one.given)}(...))`."


def _wrong_function(one: HandOver, app: Application) -> str:
    name = _called(one.given, one.where, app, one)
    if not name:
        return ""
    return f"{name} is called here, before the response, and its result is handed over instead of the function"


def _called(given: ast.expr, where: Function | None, app: Application, one: HandOver | None = None) -> str:
    """The name of what is called although it should be passed; empty if it may give back a function."""
    call = given.value if isinstance(given, ast.Await) else given
    if not isinstance(call, ast.Call):
        return ""
    module = one.module if one is not None else (where.module if where is not None else None)
    if module is None:
        return ""
    function = app.symbols.function(call.func, where, module)
    if isinstance(call.func, ast.Call) or function is None:
        outside = app.symbols.outside(call.func, where, module).replace("()", "")
        is_known = outside.startswith(_AT_ONCE) and not outside.rpartition(".")[2][:1].isupper()
        return outside.removeprefix("builtins.") if is_known else ""
    if syntax.dotted(call.func).rpartition(".")[2] == "__call__" or _gives_function(function):
        return "" if not function.is_async or isinstance(given, ast.Await) else function.name
    return function.name


def _gives_function(function: Function) -> bool:
    """Whether a function may return something that can be called: when in doubt, yes."""
    if isinstance(function.node, ast.Lambda) or function.decorators or function.is_generator:
        return True
    for node in function.nodes:
        if isinstance(node, ast.Return) and node.value is not None and not _is_plain(node.value):
            return True
    return not function.body or _is_abstract(function)


def _is_plain(value: ast.expr) -> bool:
    return isinstance(value, ast.Constant | ast.JoinedStr | ast.Dict | ast.List | ast.Set | ast.Compare)


def _is_abstract(function: Function) -> bool:
    """Nothing but a docstring, ``...`` or ``raise``: the real one is elsewhere."""
    return all(
        isinstance(one, ast.Pass | ast.Raise) or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
        for one in function.body
    )


def wrong_coroutine(one: HandOver, app: Application) -> str:
    """What is wrong with what is spawned, if it is no coroutine; else an empty text."""
    given = one.given
    if isinstance(given, ast.Name | ast.Attribute | ast.Lambda):
        function = app.symbols.function(given, one.where, one.module)
        found = app.symbols.resolve(given, one.where, one.module)
        if function is not None and found is function and not _is_property(function):
            return f"{function.name} is passed here where the coroutine of a call is needed"
    elif one.function is not None and not one.function.is_async and not _gives_function(one.function):
        return f"{one.function.name} is no coroutine function: it runs here at once and its result is spawned"
    return ""


def _is_property(function: Function) -> bool:
    return any(syntax.dotted(one).rpartition(".")[2] in {"property", "cached_property"} for one in function.decorators)
