"""A YAML writer for rules files: mappings, lists and strings, none of the first two empty."""

import json
from collections.abc import Iterator, Mapping, Sequence


def emit(value: object, header: str = "") -> str:
    """``value`` as a YAML document, each line of ``header`` as a comment before it."""
    comments = [f"# {line}".rstrip() for line in header.splitlines()]
    return "\n".join([*comments, *_lines(value, 0)]) + "\n"


def _lines(value: object, depth: int) -> Iterator[str]:
    pad = "  " * depth
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _entry(f"{pad}{key}:", item, depth)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for item in value:
            first, *rest = _lines(item, depth + 1)
            yield f"{pad}- {first.lstrip()}"
            yield from rest
    else:
        yield pad + _scalar(value)


def _entry(head: str, item: object, depth: int) -> Iterator[str]:
    if isinstance(item, str) and "\n" in item:
        yield f"{head} |-"
        yield from (f"{'  ' * (depth + 1)}{line}" for line in item.splitlines())
    elif isinstance(item, str):
        yield f"{head} {_scalar(item)}"
    else:
        yield head
        yield from _lines(item, depth + 1)


def _scalar(value: object) -> str:
    # A JSON string is a YAML string; not in ASCII, because YAML does not join escaped surrogates.
    return json.dumps(str(value), ensure_ascii=False)
