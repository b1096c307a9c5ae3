"""The ledger's cold records: tasks with what they declare, exception classes, routes, links, stacks, exemplars."""

import struct
from typing import Final

from afterword import words
from afterword.ledger import layout
from afterword.ledger.accounts import Account, Declaration

_TASK_NAME_AT, _TASK_OWNER_AT = 32, 152
_EXCEPTION_NAME_AT: Final = 16
_ROUTE_NAME_AT: Final = 24
_STACK_TEXT_AT: Final = 24
_RESOURCE_TEXT_AT: Final = 8
#: A bit of a link's first word.
_EXPECTED: Final = 2
_WORD: Final = (1 << 64) - 1


def write_task(view: memoryview, table: layout.Section, number: int, account: Account, declared: Declaration) -> None:
    """Write a task's record; its first word, stored last, makes it valid."""
    at = table.offset // 8 + number * (layout.TASK_STRIDE // 8)
    name = layout.clip(account.name, layout.NAME_BYTES) or b"?"
    owner = layout.clip(declared.owner, layout.OWNER_BYTES)
    view[at + 1] = _nanoseconds(declared.deadline)
    view[at + 2] = _nanoseconds(declared.start_deadline)
    view[at + 3] = _nanoseconds(declared.every)
    _store_bytes(view, at + _TASK_NAME_AT // 8, name)
    _store_bytes(view, at + _TASK_OWNER_AT // 8, owner)
    kind, importance = words.KINDS.index(account.kind), words.IMPORTANCES.index(declared.importance)
    named = declared.name is not None
    view[at] = len(name) | kind << 8 | importance << 16 | len(owner) << 24 | named << 32


def write_exception(view: memoryview, table: layout.Section, index: int, task: int, name: str) -> None:
    """Write an exception class's record; its first word, stored last, makes it valid."""
    at = table.offset // 8 + index * (layout.EXCEPTION_STRIDE // 8)
    raw = layout.clip(name, layout.EXCEPTION_BYTES) or b"?"
    _store_bytes(view, at + _EXCEPTION_NAME_AT // 8, raw)
    view[at] = len(raw) | task << 16


def write_route(view: memoryview, table: layout.Section, index: int, name: str) -> int:
    """Write a route's record, ``METHOD template``. Returns the word of its two counters: with, without a task."""
    at = table.offset // 8 + index * (layout.ROUTE_STRIDE // 8)
    raw = layout.clip(name, layout.ROUTE_BYTES) or b"?"
    _store_bytes(view, at + _ROUTE_NAME_AT // 8, raw)
    view[at] = len(raw)
    return at + 1


def write_link(view: memoryview, table: layout.Section, index: int, route: int, task: int) -> int:
    """Write the record of a route that schedules a task. Returns the word of its counters: scheduled, missed."""
    at = table.offset // 8 + index * (layout.LINK_STRIDE // 8)
    view[at] = 1 | task << 16 | route << 32
    return at + 1


def expect_link(view: memoryview, link: int) -> None:
    """Note that every response of the route should schedule the task; ``link`` is what `write_link` returned."""
    view[link - 1] |= _EXPECTED


def write_stack(view: memoryview, table: layout.Section, index: int, run: int, task: int, text: str) -> None:
    """Write where a run is stuck. The place may have held another run: its first word, stored last, names this one."""
    at = table.offset // 8 + index * (layout.STACK_STRIDE // 8)
    raw = layout.clip(text, layout.STACK_BYTES) or b"?"
    view[at] = 0  # until the new one is complete there is none: a reader would give a run the place of another
    _store_bytes(view, at + _STACK_TEXT_AT // 8, raw)
    view[at + 1] = run
    view[at + 2] = view[run + 2]  # when it started: the slot may be another run's by then
    view[at] = len(raw) | task << 16


def write_resource(view: memoryview, table: layout.Section, raw: bytes) -> None:
    """Write what the spans of the process say about it; ``raw`` is JSON that fits."""
    at = table.offset // 8
    view[at] = 0
    _store_bytes(view, at + _RESOURCE_TEXT_AT // 8, raw)
    view[at] = len(raw)


def write_exemplar(
    view: memoryview, table: layout.Section, index: int, key: int, trace: int, span: int, took: int, at: int
) -> None:
    """Write the last traced run of its key (task<<8 | what it is of); ``took`` and ``at`` in ns, monotonic.

    Written over and over, word by word: the last word says whether the others belong together.
    """
    first = table.offset // 8 + index * (layout.EXEMPLAR_STRIDE // 8)
    high, low = trace >> 64, trace & _WORD
    for place, word in enumerate((1 << 32 | key, high, low, span, took, at, high ^ low ^ span ^ took ^ at)):
        view[first + place] = word


def read_exemplar(raw: bytes, index: int) -> tuple[int, int, int, int, int] | None:
    """Key, trace id, span id, how long the run took and when it ended (monotonic ns); None while it is written."""
    key, high, low, span, took, at, check = struct.unpack_from("<7Q", raw, index * layout.EXEMPLAR_STRIDE)
    if not key or check != high ^ low ^ span ^ took ^ at:
        return None
    return key & 0xFFFFFFFF, high << 64 | low, span, took, at


def read_resource(raw: bytes) -> str:
    """The JSON of `write_resource`, or an empty text."""
    length = struct.unpack_from("<Q", raw)[0]
    return raw[_RESOURCE_TEXT_AT : _RESOURCE_TEXT_AT + min(length, layout.RESOURCE_BYTES)].decode("utf-8", "replace")


def read_route(raw: bytes, index: int) -> tuple[str, int, int] | None:
    """``METHOD template``, responses with and without a task, or None while it is not written."""
    at = index * layout.ROUTE_STRIDE
    head, with_, without = struct.unpack_from("<QQQ", raw, at)
    return (_text(raw, at + _ROUTE_NAME_AT, min(head, layout.ROUTE_BYTES)), with_, without) if head else None


def read_link(raw: bytes, index: int) -> tuple[int, int, int, int | None] | None:
    """Route and task number, responses that scheduled it, and that missed it or None where it is not expected.

    None for all while it is not written.
    """
    head, scheduled, missed = struct.unpack_from("<QQQ", raw, index * layout.LINK_STRIDE)
    return (head >> 32, head >> 16 & 0xFFFF, scheduled, missed if head & _EXPECTED else None) if head & 1 else None


def read_stack(raw: bytes, index: int) -> tuple[int, int, int, str] | None:
    """Task number, run, when it started and where it is stuck, or None while it is not written."""
    at = index * layout.STACK_STRIDE
    head, run, started = struct.unpack_from("<QQQ", raw, at)
    if not head:
        return None
    return head >> 16, run, started, _text(raw, at + _STACK_TEXT_AT, min(head & 0xFFFF, layout.STACK_BYTES))


def read_task(raw: bytes, number: int) -> tuple[str, str, Declaration] | None:
    """Name, kind and declaration of a record, or None while it is not written."""
    at = number * layout.TASK_STRIDE
    head, deadline, start_deadline, every = struct.unpack_from("<QQQQ", raw, at)
    if not head:
        return None
    length, kind, importance, owner = (head >> shift & 0xFF for shift in (0, 8, 16, 24))
    name = _text(raw, at + _TASK_NAME_AT, min(length, layout.NAME_BYTES))
    return (
        name,
        words.KINDS[kind] if kind < len(words.KINDS) else words.OTHER,
        Declaration(
            name=name if head >> 32 & 1 else None,
            deadline=deadline / 1e9,
            start_deadline=start_deadline / 1e9,
            every=every / 1e9,
            importance=words.IMPORTANCES[min(importance, len(words.IMPORTANCES) - 1)],
            owner=_text(raw, at + _TASK_OWNER_AT, min(owner, layout.OWNER_BYTES)),
        ),
    )


def read_exception(raw: bytes, index: int) -> tuple[int, str, int] | None:
    """Task number, class name and count of a record, or None while it is not written."""
    at = index * layout.EXCEPTION_STRIDE
    head, count = struct.unpack_from("<QQ", raw, at)
    if not head:
        return None
    return head >> 16 & 0xFFFF, _text(raw, at + _EXCEPTION_NAME_AT, min(head & 0xFF, layout.EXCEPTION_BYTES)), count


def exception_name(exception: type[BaseException] | str) -> str:
    """The class as a person would write it: bare for builtins, with its module otherwise. A text is itself."""
    if isinstance(exception, str):
        return exception
    name, module = exception.__qualname__, exception.__module__
    return name if module in ("builtins", "__main__") else f"{module}.{name}"


def _nanoseconds(seconds: float | None) -> int:
    return min(max(round((seconds or 0) * 1e9), 0), (1 << 63) - 1)


def _store_bytes(view: memoryview, at: int, raw: bytes) -> None:
    """Whole words only; the record's first word is what makes them count."""
    padded = raw + bytes(-len(raw) % 8)
    for place in range(0, len(padded), 8):
        view[at + place // 8] = int.from_bytes(padded[place : place + 8], "little")


def _text(raw: bytes, at: int, length: int) -> str:
    return layout.printable(raw[at : at + length].decode("utf-8", "replace"))
