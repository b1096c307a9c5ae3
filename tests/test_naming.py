"""What a task is called: the function a person wrote, whatever is wrapped around it, and never an argument."""

import functools
import types
from typing import Any
from unittest.mock import MagicMock

import pytest

from afterword import task
from afterword.hooks.naming import identify


def function(*_, **__):
    """A function."""


class Base:
    """Methods, and an instance that is called."""

    def method(self, *_):
        """Inherited by another class."""

    @classmethod
    def of_class(cls):
        """A class method."""

    @staticmethod
    def static():
        """A static method."""

    def __call__(self):
        """The instance itself."""


class Derived(Base):
    """Named by where the method was written."""

    half = functools.partialmethod(Base.method)


@functools.wraps(function)
def wrapper():
    """Carries the name of what it wraps."""
    return function()


@functools.cache
def cached():
    """A C object with the function's name."""


def local():
    """A function within a function."""

    def inner():
        """Not unique, but low in cardinality."""

    return inner


NAMES = [
    (function, "function"),
    (functools.partial(function, 1), "function"),
    (functools.partial(functools.partial(function, 1), key=2), "function"),
    (functools.partial(Derived().method, 1), "Base.method"),
    (types.MethodType(functools.partial(function), 1), "function"),
    (Derived().method, "Base.method"),
    (Derived.of_class, "Base.of_class"),
    (Derived.static, "Base.static"),
    (Derived(), "Derived"),
    (functools.partial(Derived()), "Derived"),
    (Derived().half, "Base.method"),
    (Derived, "Derived"),
    (wrapper, "function"),
    (cached, "cached"),
    (local(), "local.<locals>.inner"),
    (lambda: None, "<lambda>"),
]


@pytest.mark.parametrize(("thing", "name"), NAMES, ids=str)
def test_a_task_is_called_what_its_author_called_it(thing, name):
    """Partials, methods and wrappers all lead to the function inside."""
    assert identify(thing)[0] == f"{__name__}.{name}"


@pytest.mark.parametrize(
    ("thing", "name"),
    [(print, "builtins.print"), ([].append, "list.append"), (MagicMock(), "unittest.mock.MagicMock")],
)
def test_what_has_no_python_code_has_a_name_too(thing, name):
    """Builtins, methods of builtins and objects that answer everything."""
    assert identify(thing)[0] == name


def test_an_argument_is_never_part_of_a_name():
    """Arguments are data of the user's; a hundred of them are one name."""
    assert len({identify(functools.partial(function, n, key=n))[0] for n in range(100)}) == 1


def test_partials_without_end_are_cut_off():
    """A chain deeper than anything meant is named by where the search stopped, not searched for ever."""
    deep: Any = function
    for n in range(100):
        deep = functools.partial(deep, n)
        deep.own_attribute = n  # keeps functools from flattening it
    assert identify(deep)[0] == "functools.partial"


class DeclaredClass:
    """A callable object whose class is declared."""

    def __call__(self):
        """The task."""


task(name="declared-class")(DeclaredClass)


@task(name="declared")
def declared(*_):
    """A declared function."""


@functools.wraps(declared)
def outer():
    """The declaration comes along with the name."""


@task(name="once")
class Once:
    """A class whose construction is the task."""


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (declared, "declared"),
        (functools.partial(declared, 1), "declared"),
        (outer, "declared"),
        (DeclaredClass(), "declared-class"),
        (Once, "once"),
    ],
)
def test_a_declared_name_is_found_through_every_wrapper(thing, name):
    """What the user chose wins over what the code says."""
    assert identify(thing)[0] == name
