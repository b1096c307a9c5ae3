"""The founding article's Fix 7 as it is printed there, with the one repair it cannot do without.

Its wrapper is a plain function, so a coroutine function decorated with it is never awaited; an async
task gets an async wrapper with the same steps. Counters, labels and histogram are the article's.
"""

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any

from prometheus_client import Counter, Histogram

logger = logging.getLogger(__name__)

task_started = Counter("background_task_started_total", "Tasks started", ["task"])
task_succeeded = Counter("background_task_succeeded_total", "Tasks succeeded", ["task"])
task_failed = Counter("background_task_failed_total", "Tasks failed", ["task"])
task_duration = Histogram("background_task_duration_seconds", "Task duration", ["task"])


def instrumented(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The article's decorator."""

    def decorator(func: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            task_started.labels(task=name).inc()
            with task_duration.labels(task=name).time():
                try:
                    result = func(*args, **kwargs)
                    task_succeeded.labels(task=name).inc()
                    return result
                except Exception:
                    task_failed.labels(task=name).inc()
                    logger.exception("Task %s failed", name)
                    raise

        @functools.wraps(func)
        async def async_wrapper(*args: Any, **kwargs: Any) -> Any:
            task_started.labels(task=name).inc()
            with task_duration.labels(task=name).time():
                try:
                    result = await func(*args, **kwargs)
                    task_succeeded.labels(task=name).inc()
                    return result
                except Exception:
                    task_failed.labels(task=name).inc()
                    logger.exception("Task %s failed", name)
                    raise

        return async_wrapper if inspect.iscoroutinefunction(func) else wrapper

    return decorator
