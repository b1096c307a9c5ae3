"""The founding article's own counters (its Fix 7), applied beside afterword so that both can be compared.

Two repairs make the comparison fair: an async task is awaited, so its failure is seen at all, and every child
exists from the start, because the article's subtraction matches nothing while one of them is missing.
"""

import functools
import inspect
import logging
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

logger = logging.getLogger(__name__)

Func = TypeVar("Func", bound=Callable[..., Any])
COUNTERS = CollectorRegistry()

task_started = Counter("background_task_started_total", "Tasks started", ["task"], registry=COUNTERS)
task_succeeded = Counter("background_task_succeeded_total", "Tasks succeeded", ["task"], registry=COUNTERS)
task_failed = Counter("background_task_failed_total", "Tasks failed", ["task"], registry=COUNTERS)
task_duration = Histogram("background_task_duration_seconds", "Task duration", ["task"], registry=COUNTERS)


def instrumented(name: str) -> Callable[[Func], Func]:
    """Count started, succeeded and failed under ``name``."""
    for counter in (task_started, task_succeeded, task_failed):
        counter.labels(task=name)

    def decorator(func: Func) -> Func:
        counted: Func = (_counted_async if inspect.iscoroutinefunction(func) else _counted)(name, func)
        return counted

    return decorator


def exposition() -> bytes:
    """What a user of the article serves: all workers together, by prometheus_client's multiprocess mode."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(COUNTERS)
    everyone = CollectorRegistry()
    MultiProcessCollector(everyone)  # type: ignore[no-untyped-call]
    return generate_latest(everyone)


@contextmanager
def _counting(name: str) -> Iterator[None]:
    task_started.labels(task=name).inc()
    with task_duration.labels(task=name).time():
        try:
            yield
            task_succeeded.labels(task=name).inc()
        except Exception:
            task_failed.labels(task=name).inc()
            logger.exception("Task %s failed", name)
            raise


def _counted(name: str, func: Any) -> Any:
    @functools.wraps(func)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        with _counting(name):
            return func(*args, **kwargs)

    return wrapper


def _counted_async(name: str, func: Callable[..., Awaitable[Any]]) -> Any:
    @functools.wraps(func)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        with _counting(name):
            return await func(*args, **kwargs)

    return wrapper
