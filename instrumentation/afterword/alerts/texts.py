"""The templates of the annotations: names, numbers, and what Prometheus is asked when an alert fires."""

from typing import Final

from afterword.alerts.promql import TASK_KEY
from afterword.contract import Metric

TASK: Final = "{{ $labels.task }} ({{ $labels.kind }}) in service {{ $labels.service }}"
ROUTE: Final = "{{ $labels.method }} {{ $labels.route }} in service {{ $labels.service }}"
COUNT: Final = '{{ printf "%.0f" $value }}'
PERCENT: Final = "{{ $value | humanizePercentage }}"
AGE: Final = "{{ humanizeDuration $value }}"
WHOLE, DURATION = 'printf "%.0f"', "humanizeDuration"


def of_alert(metric: Metric | str, key: tuple[str, ...] = TASK_KEY) -> str:
    """A selector for what fired, by the labels of its ``key``; `query` fills in their values."""
    name = metric if isinstance(metric, str) else metric.sample
    return name + "{" + ",".join(f"{label}=%[{n}]q" for n, label in enumerate(key, 1)) + "}"


def query(expr: str, key: tuple[str, ...] = TASK_KEY) -> str:
    """Ask ``expr``, in which `of_alert` stands for what fired."""
    values = " ".join(f"$labels.{label}" for label in key)
    return f"query (printf `{expr}` {values})"


def asked(expr: str, how: str, key: tuple[str, ...] = TASK_KEY) -> str:
    """The one value of ``expr``, written ``how``; nothing if there is none."""
    return f"{{{{ with {query(expr, key)} }}}}{{{{ . | first | value | {how} }}}}{{{{ end }}}}"


def listed(
    before: str, expr: str, label: str, key: tuple[str, ...] = TASK_KEY, *, separator: str = " ", note: str = ""
) -> str:
    """``before`` and the values of ``label`` in ``expr``, each with a ``note``; nothing if there are none."""
    each = f'{{{{ range $n, $found := . | sortByLabel "{label}" }}}}{{{{ if $n }}}}{separator}{{{{ end }}}}'
    value = f'{{{{ label "{label}" $found }}}}{note}'
    return f"{{{{ with {query(expr, key)} }}}} {before}: {each}{value}{{{{ end }}}}.{{{{ end }}}}"


def cases(label: str, sentences: dict[str, str], otherwise: str) -> str:
    """One sentence by the value of a label."""
    parts = [f'if eq $labels.{label} "{value}" }}}}{sentence}' for value, sentence in sentences.items()]
    return "{{ " + "{{ else ".join(parts) + f"{{{{ else }}}}{otherwise}{{{{ end }}}}"
