"""``@afterword.task(...)``: what it says reaches the scrape, and what cannot be meant is refused in one sentence."""

import asyncio
import inspect
import pickle

import pytest
from fastapi import BackgroundTasks, FastAPI

import afterword
from tests.helpers.asgi import call

KEY = {"task": "invoice", "kind": "background"}


@afterword.task(name="invoice", deadline=30, start_deadline=2.5, importance="best_effort", owner="billing")
async def send_invoice(number: int) -> int:
    """A declared task."""
    return number


@afterword.task(deadline=7)
def partly():
    """Declares one thing."""


def shop(*tasks):
    """One endpoint that adds ``tasks``."""
    app = FastAPI()

    @app.get("/")
    async def order(background: BackgroundTasks):
        for task in tasks:
            background.add_task(task, 1) if task is send_invoice else background.add_task(task)

    return app


@pytest.mark.framework
def test_everything_declared_reaches_the_scrape(instrumented, scrape):
    """Name, deadlines, importance and owner are series of the task."""
    asyncio.run(call(instrumented(shop(send_invoice))))
    assert scrape("afterword_tasks_finished_total", outcome="succeeded", **KEY) == 1
    assert scrape("afterword_task_deadline_seconds", **KEY) == 30
    assert scrape("afterword_task_start_deadline_seconds", **KEY) == 2.5
    assert scrape("afterword_task_info", importance="best_effort", owner="billing", **KEY) == 1


@pytest.mark.framework
def test_what_is_not_declared_takes_the_applications_defaults(instrumented, scrape):
    """A declaration of one thing says nothing about the others."""
    asyncio.run(call(instrumented(shop(partly), deadline=100, start_deadline=10)))
    name = f"{__name__}.partly"
    assert scrape("afterword_task_deadline_seconds", task=name) == 7
    assert scrape("afterword_task_start_deadline_seconds", task=name) == 10
    assert scrape("afterword_task_info", task=name, importance="must_run", owner="") == 1


def test_the_function_stays_the_function():
    """Declared, it is the same object: callable, inspectable, picklable, awaited as before."""

    async def work(number: int) -> int:
        """Says something."""
        return number

    before = (inspect.signature(work), work.__doc__, work.__code__)
    assert afterword.task(name="other")(work) is work
    assert (inspect.signature(work), work.__doc__, work.__code__) == before
    assert asyncio.run(work(3)) == 3
    assert inspect.iscoroutinefunction(work)
    assert pickle.loads(pickle.dumps(send_invoice)) is send_invoice  # noqa: S301 - of our own making


REFUSED = [
    ({"deadline": 0}, "deadline is 0; allowed: seconds, from 0.001 to a year"),
    ({"deadline": -1.5}, "deadline is -1.5"),
    ({"deadline": float("nan")}, "deadline is nan"),
    ({"deadline": float("inf")}, "deadline is inf"),
    ({"deadline": True}, "deadline is True"),
    ({"deadline": "30"}, "deadline is '30'"),
    ({"start_deadline": 0}, "start_deadline is 0"),
    ({"importance": "high"}, "importance is 'high'; allowed: must_run, best_effort"),
    ({"importance": None}, "importance is None"),
    ({"name": ""}, "name is ''; allowed: a text that is not empty"),
    ({"name": "  "}, "name is '  '"),
    ({"name": 7}, "name is 7"),
    ({"owner": 7}, "owner is 7"),
    ({"deadline": 1e300}, "deadline is 1e+300"),
    ({"start_deadline": 1e-12}, "start_deadline is 1e-12"),
    ({"name": "n" * 121}, "name is 'nnn"),
    ({"owner": "o" * 41}, "owner is 'ooo"),
]


@pytest.mark.parametrize(("wrong", "sentence"), REFUSED, ids=str)
def test_what_cannot_be_meant_is_refused_where_it_is_written(wrong, sentence):
    """A typing mistake is found when the module is loaded, with what is allowed."""
    with pytest.raises(ValueError, match="is") as refused:
        afterword.task(**wrong)
    assert str(refused.value).startswith(sentence)


def test_only_what_can_be_called_can_be_declared():
    """The mistake of writing ``@afterword.task(...)`` over something else."""
    with pytest.raises(TypeError, match="declares a function, not 7"):
        afterword.task()(7)  # type: ignore[type-var]  # the mistake is the test


def test_the_decorator_without_parentheses_leaves_the_function():
    """``@afterword.task`` alone declares nothing, and must not swallow the function."""

    @afterword.task
    def plain():
        """Declares nothing."""
        return 7

    assert plain() == 7


def test_a_function_that_takes_no_attribute_is_refused_in_one_sentence():
    """Builtins and objects with slots cannot carry a declaration."""
    with pytest.raises(TypeError, match="cannot carry a declaration"):
        afterword.task(name="printed")(print)
