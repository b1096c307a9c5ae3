"""AW114: a coroutine or a generator that nobody runs."""

import ast
from collections.abc import Iterator
from typing import Final

from afterword.doctor.app import syntax
from afterword.doctor.app.application import Application
from afterword.doctor.app.handovers import ASYNCIO, THREAD
from afterword.doctor.app.model import Function
from afterword.doctor.app.registry import Place, at, check

_KNOWS_COROUTINES: Final = frozenset({"iscoroutinefunction", "isawaitable", "iscoroutine", "run", "run_until_complete",
                                      "is_async_callable", "run_coroutine_threadsafe", "run_sync"})  # fmt: skip


@check(
    "AW114",
    finds="a coroutine or a generator that nobody runs: a call without `await`, an async task behind a sync wrapper or "
    "`lambda`, a generator function as a task",
    why="Calling such a function only makes an object; its body has not begun. The task ends at once, as if all "
    "went well.",
    fix="Write `await` in front of the call, hand the async function over itself, and let decorators return an "
    "`async def` wrapper for async functions.",
)
def awaited_by_nobody(app: Application) -> Iterator[Place]:
    """Look at calls of the application's own coroutine functions, and at what is handed over."""
    for function in app.project.functions():
        for node in function.nodes:
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                called = app.symbols.function(node.value.func, function, function.module)
                if called is not None and called.is_async and not called.decorators:
                    yield at(
                        function.module,
                        node,
                        f"{called.name} is a coroutine function and is called without await",
                        "Write `await` in front of the call.",
                    )
    for function, places in app.tasks.items():
        handed = [one for one in places if one.kind != ASYNCIO]
        for one in handed:
            problem, fix = _never_begins(function, one.kind, app)
            if problem:
                yield at(one.module, one.call, problem, fix)
        decorator = _sync_wrapper(function, app) if handed else None
        if decorator is not None:
            wrapper = ast.unparse(decorator)
            problem = f"{wrapper} puts a sync wrapper around the async task {function.name}, so nobody awaits it"
            yield at(function.module, decorator, problem,
                     "Let the decorator return an `async def` wrapper for async functions.")  # fmt: skip


def _never_begins(function: Function, kind: str, app: Application) -> tuple[str, str]:
    """What is wrong with what is handed over, and what helps; two empty texts if nothing is."""
    if function.is_generator and not function.decorators:
        problem = f"{function.name} is a generator function, whose body does not begin when it is called"
        return problem, "Hand over a function that runs the generator to its end, or take the `yield` out."
    if kind == THREAD and function.is_async:
        problem = f"{function.name} is a coroutine function, and a thread does not await it"
        return problem, "Spawn it in the event loop (`asyncio.create_task`), or give the thread a plain `def`."
    if isinstance(function.node, ast.Lambda) and isinstance(function.node.body, ast.Call):
        called = app.symbols.function(function.node.body.func, function, function.module)
        if called is not None and called.is_async and not called.decorators:
            problem = f"the lambda gives back a coroutine of {called.name}, which nobody awaits"
            return problem, "Hand over the async function itself, with its arguments behind it."
    return "", ""


def _sync_wrapper(function: Function, app: Application) -> ast.expr | None:
    """The decorator of the application's own that turns an async function into a sync one without running it."""
    if not function.is_async:
        return None
    for decorator in function.decorators:
        given = decorator.func if isinstance(decorator, ast.Call) else decorator
        found = app.symbols.function(given, None, function.module)
        if found is not None and isinstance(decorator, ast.Call):
            found = _returned(found)
        wrapper = _returned(found) if found is not None else None
        if found is not None and wrapper is not None and _only_calls(wrapper, found):
            return decorator
    return None


def _returned(function: Function) -> Function | None:
    """The inner function that a function returns, if that is all it ever returns."""
    values = [one.value for one in function.nodes if isinstance(one, ast.Return)]
    if len(values) == 1 and isinstance(values[0], ast.Name):
        return function.inner.get(values[0].id)
    return None


def _only_calls(wrapper: Function, decorator: Function) -> bool:
    """Whether a sync wrapper does nothing with the coroutine that its inner call makes but to give it back."""
    names = {
        syntax.dotted(one.func).rpartition(".")[2] for one in ast.walk(decorator.node) if isinstance(one, ast.Call)
    }
    if isinstance(wrapper.node, ast.AsyncFunctionDef) or wrapper.is_generator or names & _KNOWS_COROUTINES:
        return False
    wrapped = next(iter(decorator.parameters), "")
    for call in wrapper.calls:
        if isinstance(call.func, ast.Name) and call.func.id == wrapped:
            parent = wrapper.module.parents.get(call)
            return isinstance(parent, ast.Return | ast.Expr | ast.Assign)
    return False
