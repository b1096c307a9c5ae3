"""The application as the checks see it: its source, its routes, what it hands over, and what runs because of that."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

from afterword.doctor.app.handovers import ASYNCIO, BACKGROUND, RESPONSE, HandOver, handovers, is_left
from afterword.doctor.app.model import Function, Module
from afterword.doctor.app.project import Project
from afterword.doctor.app.routes import Routes, routes
from afterword.doctor.app.symbols import Symbols

#: What limits the time of everything inside of it, as long as that is awaited.
_LIMITS: Final = frozenset({"asyncio.wait_for", "asyncio.timeout", "asyncio.timeout_at", "anyio.fail_after",
                            "anyio.move_on_after", "async_timeout.timeout"})  # fmt: skip

#: Calls from a task to a helper, to its helper, and so on: what is farther away may well never be reached.
_DEEPEST: Final = 4


@dataclass(frozen=True)
class Running:
    """A function that runs as a task or is called by one; whether in the event loop, and within a time limit."""

    function: Function
    task: Function
    in_loop: bool
    limited: bool = False
    depth: int = 0


@dataclass
class Seen:
    """What the import showed: source files by the class of a middleware that is installed."""

    middleware: list[tuple[str, str]] = field(default_factory=list)
    endpoints: list[tuple[Path, int, bool]] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)


@dataclass
class Application:
    """Everything a check may ask."""

    project: Project
    folder: Path
    usual: Mapping[str, float] = field(default_factory=dict)
    seen: Seen = field(default_factory=Seen)

    @cached_property
    def symbols(self) -> Symbols:
        """What expressions mean."""
        return Symbols(self.project)

    @cached_property
    def routes(self) -> Routes:
        """Endpoints and dependencies, those of the source and those that the import showed."""
        found = routes(self.project, self.symbols)
        by_place = {(one.module.path, line): one for one in self.project.functions() for line in _lines(one)}
        for file, line, is_socket in self.seen.endpoints:
            function = by_place.get((file, line))
            if function is not None:
                (found.sockets if is_socket else found.http).add(function)
        return found

    @cached_property
    def handovers(self) -> list[HandOver]:
        """Every hand-over of the application."""
        return [one for module in self.project.modules.values() for one in handovers(module, self.symbols)]

    @cached_property
    def left(self) -> list[HandOver]:
        """The hand-overs whose work is owed after the response."""
        return [one for one in self.handovers if one.kind != ASYNCIO or is_left(one)]

    @cached_property
    def tasks(self) -> dict[Function, list[HandOver]]:
        """The application's own functions that are handed over, with the places where that happens."""
        found: dict[Function, list[HandOver]] = {}
        for one in self.left:
            if one.function is not None:
                found.setdefault(one.function, []).append(one)
        return found

    @cached_property
    def has_background_tasks(self) -> bool:
        """Whether anything is added to a response's tasks."""
        return any(one.kind in {BACKGROUND, RESPONSE} for one in self.handovers)

    @cached_property
    def running(self) -> list[Running]:
        """Every function of the application's that runs in a task, once for each way it can run."""
        waiting = [Running(one, one, one.is_async) for one in self.tasks]
        found: dict[tuple[Function, bool, bool], Running] = {}
        while waiting:
            run = waiting.pop(0)
            key = run.function, run.in_loop, run.limited
            if key not in found:
                found[key] = run
                waiting.extend(self._called_by(run) if run.depth < _DEEPEST else ())
        return list(found.values())

    def _called_by(self, run: Running) -> Iterator[Running]:
        module = run.function.module
        for call in run.function.calls:
            called = self.symbols.function(call.func, run.function, module)
            if called is None or called.is_generator:
                continue
            if called.is_async and not self._is_awaited(call, module):
                continue
            limited = run.limited or self.is_limited(call, run.function)
            yield Running(called, run.task, run.in_loop, limited and called.is_async, run.depth + 1)

    def _is_awaited(self, call: ast.Call, module: Module) -> bool:
        parent = module.parents.get(call)
        while isinstance(parent, ast.Call | ast.Starred | ast.List | ast.ListComp | ast.GeneratorExp | ast.keyword):
            parent = module.parents.get(parent)
        return isinstance(parent, ast.Await)

    def is_limited(self, node: ast.AST, function: Function) -> bool:
        """Whether ``asyncio.timeout`` or ``wait_for`` stands around a node of a function."""
        module, here = function.module, node
        while here is not function.node and here in module.parents:
            here = module.parents[here]
            around: Iterable[ast.expr] = ()
            if isinstance(here, ast.With | ast.AsyncWith):
                around = [item.context_expr for item in here.items]
            elif isinstance(here, ast.Call):
                around = [here]
            for one in around:
                if isinstance(one, ast.Call) and self.symbols.outside(one.func, function, module) in _LIMITS:
                    return True
        return False


def _lines(function: Function) -> list[int]:
    """The line of its ``def``, and of its first decorator, where its code begins."""
    return [function.node.lineno, *(one.lineno for one in function.decorators[:1])]
