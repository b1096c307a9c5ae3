"""asyncio tasks: a task factory around the application's own, and what the loop tells of work that nobody watched."""

import asyncio
import contextlib
import sys
from collections.abc import Callable
from types import CoroutineType
from typing import Any, Final
from weakref import WeakKeyDictionary, ref

from afterword import words
from afterword.hooks import alone, origin, patches, spawning
from afterword.hooks.call import CURRENT, ENDED, NOT_OURS
from afterword.hooks.code import called_by_user, is_users
from afterword.hooks.origin import of_coroutine
from afterword.hooks.process import PROCESS
from afterword.hooks.running import RUNNING
from afterword.hooks.spawned import Marked, Spawned
from afterword.hooks.steps import without_this_frame

NEVER_AWAITED: Final = words.DROP_REASONS.index(words.NEVER_AWAITED)
#: How a loop ends an asynchronous generator that was left in the middle: housekeeping, and no work of anybody's.
_GENERATORS_END: Final = frozenset({"async_generator_athrow", "async_generator_asend"})
_patched_loops: Final[set[type]] = set()
_outermost: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, "_Factory"]] = WeakKeyDictionary()


def watch(loop: asyncio.AbstractEventLoop) -> None:
    """See the tasks of a loop from now on; again after somebody set a factory of their own."""
    try:
        current = loop.get_task_factory()
        if not isinstance(current, _Factory):
            current = _Factory(current)
            loop.set_task_factory(current)
        with contextlib.suppress(TypeError):  # a loop that cannot be referred to weakly
            earlier = _outermost.get(loop)
            if earlier is not current:
                if earlier is not None:  # the application's own may call it, for a task that is watched already
                    earlier.aside = True
                _outermost[loop] = current
                current.aside = False
        _hear(type(loop))
    except NotImplementedError:  # a loop of somebody's own, without factories
        return


def meet() -> None:
    """See the tasks of a loop that no lifespan announced."""
    loop = asyncio._get_running_loop()
    if loop is None or loop is PROCESS.loop:  # trio has none
        return
    PROCESS.loop = loop
    try:
        watch(loop)
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        PROCESS.note(error)


def unwatch(loop: asyncio.AbstractEventLoop) -> None:
    """Take our factory off a loop; one that somebody set around it stays, and ours stands aside."""
    inner = loop.get_task_factory()
    if isinstance(inner, _Factory):
        loop.set_task_factory(inner.inner)


def forget_loops() -> None:
    """The hooks on loop classes are gone."""
    _patched_loops.clear()
    _outermost.clear()


class _Factory:
    """Makes tasks as the factory before it did, of coroutines that are watched."""

    __slots__ = ("aside", "inner")

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        #: Another one of ours is around it, with the application's own in between.
        self.aside = False

    def __call__(self, loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any) -> Any:
        try:
            if self.inner is None and type(coro) is CoroutineType:
                source = origin.known_by_code(id(coro.cr_code))
                # A library's, most often a server's for a request: unless it is the application that makes it.
                if (
                    source is not None
                    and source.foreign
                    and coro.__qualname__ is source.qualname
                    and not called_by_user(sys._getframe(1))
                ):
                    task: Any = _TASK(coro, loop=loop, **kwargs)
                    if task._source_traceback is not None:  # it is in debug mode
                        _without_our_frames(task._source_traceback, made_by_loop=True)
                    return task
            return self._make(loop, coro, kwargs)
        except BaseException as error:
            without_this_frame(error)
            raise

    def _make(self, loop: asyncio.AbstractEventLoop, coro: Any, kwargs: dict[str, Any]) -> Any:
        spawned = None
        if PROCESS.active and not self.aside and (type(coro) is CoroutineType or asyncio.iscoroutine(coro)):
            spawned = _watched(coro)
            if spawned is not None and kwargs and kwargs.get("context") is not None:
                spawned.own_context = False
        inner, what = self.inner, coro if spawned is None else spawned
        try:
            if inner is not None:
                task: Any = inner(loop, what, **kwargs)
            else:
                task = _TASK(what, loop=loop, **kwargs) if kwargs else _TASK(what, loop=loop)
        except BaseException as error:
            without_this_frame(error)
            raise
        if type(task) is not _TASK and not isinstance(task, asyncio.Future):
            if spawned is not None:
                _complain_of_factory(inner, task)
            return task
        if spawned is not None:
            spawned.task = ref(task)
        if type(task) is _TASK and task._source_traceback is None:  # type: ignore[attr-defined]  # else it is in debug mode, or somebody's own
            return task
        stack = getattr(task, "_source_traceback", None)
        if stack:
            _without_our_frames(stack, made_by_loop=inner is None)
        return task

    def __getattr__(self, name: str) -> Any:
        """Whoever looks at the factory sees the one they set."""
        if name in self.__slots__:
            raise AttributeError(name)
        return getattr(self.inner, name)


class _Named(asyncio.Task[Any]):
    """A task that keeps its name: early releases of 3.13 call ``set_name(None)`` on whatever a factory made."""

    def set_name(self, value: object, /) -> None:
        if value is not None:
            super().set_name(value)


_Named.__name__ = _Named.__qualname__ = asyncio.Task.__name__
_TASK: Final[type] = _Named if (3, 13) <= sys.version_info < (3, 13, 3) else asyncio.Task


def _without_our_frames(stack: list[Any], *, made_by_loop: bool) -> None:
    """Where a task was made, as debug mode tells it: a loop that makes a task itself leaves itself out as well."""
    ours = [at for at, frame in enumerate(stack) if frame.filename == __file__]
    if ours:
        last = first = ours[-1]
        while first and stack[first - 1].filename == __file__:
            first -= 1
        if made_by_loop and first and stack[first - 1].filename == asyncio.base_events.__file__:
            first -= 1
        del stack[first : last + 1]


def _complain_of_factory(factory: Any, made: Any) -> None:
    PROCESS.complain(
        "task factory",
        f"the task factory {factory!r} returned {type(made).__name__}, which is no asyncio.Future: "
        "what becomes of that work cannot be told.",
    )


def _watched(coro: Any) -> Spawned | None:
    """The coroutine as one that is watched; None for those that are none of the application's."""
    try:
        owner, call = RUNNING.get(), None
        if owner is None:
            call = CURRENT.get()
            if call is NOT_OURS or (call is None and asyncio._get_running_loop() is None):
                return None  # another application's, or what a loop is run for: somebody waits for that
        if type(coro) is not CoroutineType and (isinstance(coro, Spawned) or type(coro).__name__ in _GENERATORS_END):
            return None
        source = origin.known_by_code(id(coro.cr_code)) if type(coro) is CoroutineType else None
        if source is None or coro.__qualname__ is not source.qualname or source.runs_another:
            source = of_coroutine(coro)
        if not source.users and (source.name in spawning.MACHINES or not called_by_user(sys._getframe(3))):
            return None
        spawned = (Spawned if source.known is None else Marked)(coro, source, owner)
        if call is None or call.stage == ENDED or source.forgotten:
            spawning.keep(spawned, source, owner)
        else:  # the same, for what happens most
            (call.children or call.nursery()).add(spawned)
    except Exception as error:  # noqa: BLE001 - observing may never break the work
        PROCESS.note(error)
        return None
    return spawned


# -- what the loop tells


def _hear(loop_class: type) -> None:
    if loop_class in _patched_loops or not hasattr(loop_class, "call_exception_handler"):
        return
    _patched_loops.add(loop_class)
    original = loop_class.call_exception_handler

    def call_exception_handler(self: Any, context: dict[str, Any]) -> None:
        if PROCESS.active:
            try:
                _hear_one(context)
            except Exception as error:  # noqa: BLE001 - observing may never break the work
                PROCESS.note(error)
        original(self, context)

    call_exception_handler.__name__ = "call_exception_handler"
    try:
        patches.replace(loop_class, "call_exception_handler", call_exception_handler)
    except TypeError:  # an extension class without a dictionary
        return


def _hear_one(context: dict[str, Any]) -> None:
    """A task that failed unheard or was forgotten, a future of a pool, or a callback that raised."""
    error = context.get("exception")
    future: Any = context.get("future") or context.get("task")
    spawned = _spawned_of(future)
    if error is None:
        if spawned is not None and not future.done():
            spawned.forget()
    elif spawned is not None:
        spawned.book_failure()
    elif future is not None:
        for listen in ON_UNHEARD_FUTURE:
            listen(error)
    elif context.get("handle") is not None:
        _callback_failed(context["handle"], error)


def _spawned_of(future: Any) -> Spawned | None:
    """What watches a task: its coroutine, or where that is another's or gone, what `alone` has left there."""
    # Not `get_coro()`: of an eager task that has ended it ends the process, before Python 3.12.2.
    coro = future._coro if isinstance(future, asyncio.Task) else None  # type: ignore[attr-defined]  # asyncio's own
    found = coro if isinstance(coro, Spawned) else getattr(future, alone.ATTRIBUTE, None)
    return found if isinstance(found, Spawned) else None


#: Called with the exception of a future that nobody asked.
ON_UNHEARD_FUTURE: Final[list[Callable[[BaseException], None]]] = []


def _callback_failed(handle: Any, error: BaseException) -> None:
    """`call_soon` or `call_later` ran a function of the application's, and nobody else hears that it raised."""
    context = getattr(handle, "_context", None)
    if id(error) in alone.TELLING or (context is not None and context.get(CURRENT) is NOT_OURS):
        return
    source = _of_callback(handle, error)
    account = source.account(words.ASYNCIO) if source is not None and source.users else None
    if account is not None:
        run = account.schedule()
        account.fail(run, account.start(run), type(error))


def _of_callback(handle: Any, error: BaseException) -> origin.Origin | None:
    """Where a callback comes from; of a handle that does not show it, the application's outermost frame tells."""
    function = getattr(handle, "_callback", None)
    if function is not None:
        return origin.of_function(function)
    trace = error.__traceback__
    while trace is not None and not is_users(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return None if trace is None else origin.of_frame(trace.tb_frame)
