"""AW118: work of a start-up that nobody runs."""

import ast
from collections.abc import Iterator
from typing import Final

from afterword.doctor.app import syntax
from afterword.doctor.app.application import Application
from afterword.doctor.app.model import Module
from afterword.doctor.app.registry import Place, at, check
from afterword.doctor.app.symbols import Outside

_APPLICATIONS: Final = frozenset({"fastapi.FastAPI()", "fastapi.applications.FastAPI()",
                                  "starlette.applications.Starlette()"})  # fmt: skip


@check(
    "AW118",
    finds="`on_event` handlers beside `lifespan=`, or a mounted application with a lifespan of its own",
    why="Servers run one lifespan, that of the outermost application, and one that is given replaces the `on_event` "
    "handlers. The workers that the others would start never exist.",
    fix="Start everything in the one lifespan: call the handlers there, and enter the lifespan of mounted applications "
    "with `mounted.router.lifespan_context(mounted)`.",
)
def never_started(app: Application) -> Iterator[Place]:
    """Look at handlers of applications that have a lifespan, and at what is mounted."""
    for module in app.project.modules.values():
        for function in module.functions:
            for decorator in function.decorators:
                base = _with_handler(decorator)
                if base is not None and _lifespan(base, module, app):
                    problem = f"{function.name} never runs, because its application has a lifespan"
                    yield at(module, decorator, problem, f"Call `{function.qualname}` in the lifespan.")
        for node in module.calls:
            given = _mounted(node)
            if given is not None and _lifespan(given, module, app) and not _enters_lifespans(app):
                shown = ast.unparse(given)
                fix = f"Enter it in the outer lifespan: `async with {shown}.router.lifespan_context({shown}): yield`."
                yield at(module, node, f"the lifespan of {shown}, which is mounted here, never runs", fix)


def _with_handler(node: ast.expr) -> ast.expr | None:
    """``app`` of ``@app.on_event(...)``."""
    is_event = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "on_event"
    return node.func.value if is_event and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) else None


def _mounted(node: ast.Call) -> ast.expr | None:
    if syntax.dotted(node.func).rpartition(".")[2] in {"mount", "Mount"}:
        return syntax.argument(node, 1, "app")
    return None


def _lifespan(node: ast.expr, module: Module, app: Application) -> bool:
    """Whether an application was made with ``lifespan=``."""
    found = app.symbols.resolve(node, module.function_of(node), module)
    if not isinstance(found, Outside) or found.name not in _APPLICATIONS or found.made_by is None:
        return False
    lifespan = syntax.keyword(found.made_by[0], "lifespan")
    return lifespan is not None and not syntax.is_none(lifespan)


def _enters_lifespans(app: Application) -> bool:
    """Whether somebody runs the lifespans of others by hand."""
    return any("lifespan_context" in line for module in app.project.modules.values() for line in module.lines)
