"""A coroutine whose every step is marked in the ledger: who is on the loop while it is blocked is seen from outside."""

import contextlib
from collections.abc import Coroutine, Generator
from typing import TYPE_CHECKING, Any, Final

from afterword.ledger.layout import W_ON_LOOP

if TYPE_CHECKING:
    from types import TracebackType

    from afterword.ledger.accounts import Account
    from afterword.ledger.slots import Run


#: Where nothing is marked.
NOWHERE: Final[Any] = [0] * (W_ON_LOOP + 1)


_SET_CLASS: Final = object.__dict__["__class__"].__set__


class Steps:
    """Runs a coroutine step by step. Looks like it to whoever asks for a frame, a name, a state or its class.

    It is a `Coroutine` by its class alone: to inherit from that makes each of its instances three times as dear.
    """

    # The last is `LaterSteps`': one of those becomes one of these, so both have the same layout.
    __slots__ = ("__weakref__", "afterword_account", "coro", "run", "waits_for")

    def __init__(self, coro: Coroutine[Any, Any, Any], account: "Account", run: "Run") -> None:
        self.coro, self.afterword_account, self.run = coro, account, run

    def send(self, value: Any = None) -> Any:
        """One step."""
        account = self.afterword_account
        words = account.words
        try:
            before = words[W_ON_LOOP]
            words[W_ON_LOOP] = account.mark
        except ValueError:  # of a ledger that was closed
            words, before = NOWHERE, 0
        try:
            return self.coro.send(value)
        except StopIteration:  # nobody looks at where a result came from
            raise
        except BaseException as error:
            without_this_frame(error)
            raise
        finally:
            try:  # noqa: SIM105 - in every step
                words[W_ON_LOOP] = before
            except ValueError:  # closed meanwhile: this is a forked child, or accounting was switched off
                pass

    #: Not a call of `send`: its frame would be in every traceback.
    __next__ = send

    def __iter__(self) -> "Steps":
        return self

    def throw(self, *error: Any) -> Any:
        """One step that begins with an exception."""
        words, before = come_on(self.afterword_account)
        try:
            return self.coro.throw(*error)
        except BaseException as raised:
            without_this_frame(raised)
            raise
        finally:
            with contextlib.suppress(ValueError):  # as above
                words[W_ON_LOOP] = before

    def close(self) -> None:
        """End the coroutine where it is."""
        try:
            self.coro.close()
        except BaseException as error:
            without_this_frame(error)
            raise

    def __await__(self) -> Generator[Any, Any, Any]:
        return self

    @property  # what `isinstance` and `inspect.iscoroutine` look at
    def __class__(self) -> type:
        return type(self.coro)

    @__class__.setter
    def __class__(self, new: type) -> None:
        _SET_CLASS(self, new)

    def __getattr__(self, name: str) -> Any:
        """``cr_frame``, ``__qualname__`` and whatever else is asked of a coroutine."""
        if name == "coro":
            raise AttributeError(name)
        return getattr(self.coro, name)

    def __repr__(self) -> str:
        return repr(self.coro)


def first_step(coro: Coroutine[Any, Any, Any], account: "Account") -> tuple[bool, Any]:
    """Begin a coroutine, marked: (True, its result) or (False, what it waits for).

    Many a task ends with its first step, and so needs no object that marks the others. Marks as `come_on` does, without
    its call: this is in every task.
    """
    marks = account.words
    try:
        before = marks[W_ON_LOOP]
        marks[W_ON_LOOP] = account.mark
    except ValueError:  # of a ledger that was closed
        marks, before = NOWHERE, 0
    try:
        return False, coro.send(None)
    except StopIteration as end:
        return True, end.value
    except BaseException as error:
        without_this_frame(error)
        raise
    finally:
        try:  # noqa: SIM105 - in every task
            marks[W_ON_LOOP] = before
        except ValueError:  # closed meanwhile: this is a forked child, or accounting was switched off
            pass


class LaterSteps(Steps):
    """The steps after the first one; what that waits for comes out once, in its place."""

    __slots__ = ()

    def __init__(self, coro: Coroutine[Any, Any, Any], account: "Account", run: "Run", waits_for: Any) -> None:
        super().__init__(coro, account, run)
        self.waits_for = waits_for

    def send(self, value: Any = None) -> Any:  # noqa: ARG002 - whoever begins to await has nothing to say
        """Hand on what the first step waits for; from now on there is no difference any more."""
        waits_for = self.waits_for
        del self.waits_for
        _SET_CLASS(self, Steps)
        return waits_for

    __next__ = send


def come_on(account: "Account | None") -> tuple[Any, int]:
    """Mark that a task comes on the loop: where it is marked, and what stood there."""
    if account is None:
        return NOWHERE, 0
    words = account.words
    try:
        before = words[W_ON_LOOP]
        words[W_ON_LOOP] = account.mark
    except ValueError:  # of a ledger that was closed
        return NOWHERE, 0
    return words, before


def without_this_frame(error: BaseException) -> None:
    """Take our frame out of a traceback, so that it shows the user what it always showed."""
    above: TracebackType | None = error.__traceback__
    if above is not None:
        error.__traceback__ = above.tb_next
