"""Label matchers that a team adds to every selector, and the place in generated PromQL where they go."""

import re
from collections.abc import Callable
from typing import Final

_LABEL: Final = r"[a-zA-Z_][a-zA-Z0-9_]*"
_STRING: Final = r'"(?:[^"\\\n]|\\.)*"'
_ONE: Final = re.compile(rf"\s*({_LABEL})\s*(=~|!~|!=|=)\s*({_STRING})\s*")
#: Ours and `up`, never inside of a string.
_SERIES: Final = re.compile(rf"{_STRING}|(?<![\w:.])(?P<name>(?:\w+:)?afterword_[\w:]+|up)(?![\w:(])(?P<open>\{{)?")
#: What Python's regular expressions can and Prometheus' cannot; escapes and character classes are stepped over.
_RE2_TOKEN: Final = re.compile(
    r"(?P<refused>\\[1-9ZuUN]|\(\?(?:<?[=!]|[(>#]|P=)|[*+?}]\+)|\\.|\[\^?\]?(?:\\.|[^]\\])*\]", re.DOTALL
)


def parse(text: str) -> tuple[str, ...]:
    """``env="prod", region=~"eu-.*"`` as single matchers; ValueError for anything else."""
    found, at = [], 0
    while at < len(text):
        match = _ONE.match(text, at)
        if match is None or (match.end() < len(text) and text[match.end()] != ","):
            raise ValueError
        label, how, value = match.groups()
        if how in ("=~", "!~") and not is_regex(value[1:-1].replace("\\\\", "\\")):
            raise ValueError
        found.append(f"{label}{how}{value}")
        at = match.end() + 1
    if not found:
        raise ValueError
    return tuple(found)


def is_regex(text: str) -> bool:
    """Whether it is a regular expression, and not empty."""
    try:
        re.compile(text)
    except re.error:
        return False
    return bool(text)


def is_beyond_re2(text: str) -> bool:
    """Whether it asks for what Prometheus cannot match: lookaround, backreference, possessive repetition."""
    return any(found["refused"] for found in _RE2_TOKEN.finditer(text))


def narrowed(expr: str, of_series: Callable[[str], tuple[str, ...]]) -> str:
    """``expr`` with the matchers that ``of_series`` gives for each series added to its selector."""

    def one(found: re.Match[str]) -> str:
        name = found["name"]
        matchers = of_series(name) if name else ()
        if not matchers:
            return found[0]
        inside = ",".join(matchers)
        return f"{name}{{{inside}," if found["open"] else f"{name}{{{inside}}}"

    return _SERIES.sub(one, expr)
