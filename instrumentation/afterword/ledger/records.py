"""The ledger's cold records: a task with what it declares, an exception class."""

import struct
from typing import Final

from afterword import words
from afterword.ledger import layout
from afterword.ledger.accounts import Account, Declaration

_TASK_NAME_AT, _TASK_OWNER_AT = 32, 152
_EXCEPTION_NAME_AT: Final = 16


def write_task(view: memoryview, table: layout.Section, number: int, account: Account, declared: Declaration) -> None:
    """Write a task's record; its first word, stored last, makes it valid."""
    at = table.offset // 8 + number * (layout.TASK_STRIDE // 8)
    name = layout.clip(account.name, layout.NAME_BYTES) or b"?"
    owner = layout.clip(declared.owner, layout.OWNER_BYTES)
    view[at + 1] = _nanoseconds(declared.deadline)
    view[at + 2] = _nanoseconds(declared.start_deadline)
    view[at + 3] = 0
    _store_bytes(view, at + _TASK_NAME_AT // 8, name)
    _store_bytes(view, at + _TASK_OWNER_AT // 8, owner)
    kind, importance = words.KINDS.index(account.kind), words.IMPORTANCES.index(declared.importance)
    view[at] = len(name) | kind << 8 | importance << 16 | len(owner) << 24


def write_exception(view: memoryview, table: layout.Section, index: int, task: int, name: str) -> None:
    """Write an exception class's record; its first word, stored last, makes it valid."""
    at = table.offset // 8 + index * (layout.EXCEPTION_STRIDE // 8)
    raw = layout.clip(name, layout.EXCEPTION_BYTES) or b"?"
    _store_bytes(view, at + _EXCEPTION_NAME_AT // 8, raw)
    view[at] = len(raw) | task << 16


def read_task(raw: bytes, number: int) -> tuple[str, str, Declaration] | None:
    """Name, kind and declaration of a record, or None while it is not written."""
    at = number * layout.TASK_STRIDE
    head, deadline, start_deadline = struct.unpack_from("<QQQ", raw, at)
    if not head:
        return None
    length, kind, importance, owner = (head >> shift & 0xFF for shift in (0, 8, 16, 24))
    return (
        _text(raw, at + _TASK_NAME_AT, min(length, layout.NAME_BYTES)),
        words.KINDS[kind] if kind < len(words.KINDS) else words.OTHER,
        Declaration(
            deadline=deadline / 1e9,
            start_deadline=start_deadline / 1e9,
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
    return head >> 16, _text(raw, at + _EXCEPTION_NAME_AT, min(head & 0xFF, layout.EXCEPTION_BYTES)), count


def exception_name(exception: type[BaseException]) -> str:
    """The class as a person would write it: bare for builtins, with its module otherwise."""
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
