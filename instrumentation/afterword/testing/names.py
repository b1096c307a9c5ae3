"""Which task is meant: by its function, its whole name or the end of its name."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from afterword.hooks.naming import identify
from afterword.ledger import layout
from afterword.testing.runs import Runs

#: A task as a test names it: the function that was handed over, or its name, from any dot on.
Task: TypeAlias = str | Callable[..., Any]


class UnknownTaskError(KeyError):
    """No task that was scheduled, or more than one, is called so. The sentence lists those there are."""

    def __str__(self) -> str:
        return str(self.args[0])


class Tasks(Mapping[Task, Runs]):
    """`Runs` by the whole name of the task. Also found by its function, or by the end of its name after any dot."""

    def __init__(self, runs: dict[str, Runs]) -> None:
        self._runs = runs

    def __getitem__(self, task: Task) -> Runs:
        __tracebackhide__ = True
        name = find(task, self._runs)
        if name is None:
            raise UnknownTaskError(f"no task {spelled(task)}; {listed(self._runs)}")
        return self._runs[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._runs)

    def __len__(self) -> int:
        return len(self._runs)

    def __repr__(self) -> str:
        return repr(self._runs)


def find(task: Task, known: Collection[str]) -> str | None:
    """The name among ``known`` that is meant, or None.

    Raises:
        UnknownTaskError: several are called so.
    """
    __tracebackhide__ = True
    if not isinstance(task, str):
        name = _booked(task)
        return name if name in known else None
    if task in known:
        return task
    called_so = [name for name in known if name.endswith(f".{task}")]
    if len(called_so) > 1:
        raise UnknownTaskError(f"several tasks are called {task!r}: {', '.join(called_so)}")
    return called_so[0] if called_so else None


def as_list(tasks: Task | Iterable[Task]) -> list[Task]:
    """One task is as good as a list of one: a text would otherwise be taken for its letters."""
    return [tasks] if isinstance(tasks, str) or callable(tasks) else list(tasks)


def spelled(task: Task) -> str:
    """The task as a sentence names it."""
    return repr(task) if isinstance(task, str) else _booked(task)


def _booked(function: Callable[..., Any]) -> str:
    """The name in the ledger, where a very long one is cut."""
    name, _ = identify(function)
    return layout.clip(name, layout.NAME_BYTES).decode()


def listed(known: Collection[str]) -> str:
    """The end of a sentence that says what there is instead."""
    return f"scheduled were: {', '.join(sorted(known))}" if known else "no task was scheduled at all"
