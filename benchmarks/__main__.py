"""Measure and print: ``python -m benchmarks [--only NAMES] [--quick] [--json FILE]``.

The exit status is 0 unless a figure could not be measured: a missed target is told, it is no failure.
"""

import argparse
import importlib
import json
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.interleave import NotMeasuredError

if TYPE_CHECKING:
    from benchmarks.figure import Figure

#: In the order of the design's table; each is a module with ``measure(quick)``.
FIGURES = ("lifecycle", "traces", "request", "add_task", "spawned", "scrape", "open_runs", "memory", "sidecar", "page")
#: Only when they are named: they take long.
ON_DEMAND = ("rules",)
_PACKAGES = ("fastapi", "starlette", "uvicorn", "uvloop", "httptools", "prometheus_client", "opentelemetry-sdk")
_HEAD = ("figure", "measured", "target", "gate", "verdict", "detail")


def main() -> int:
    options = _options()
    print(versions(), flush=True)
    found: list[Figure] = []
    failed = []
    for name in options.only:
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        try:
            found += importlib.import_module(f"benchmarks.{name}").measure(options.quick)
        except (NotMeasuredError, OSError, ImportError) as error:
            failed.append(f"{name} could not be measured: {error}")
    print(table([_HEAD, *(figure.cells() for figure in found)]))
    for sentence in failed:
        print(sentence)
    if options.json:
        figures = [figure.as_json() for figure in found]
        text = json.dumps({"versions": versions(), "figures": figures, "not_measured": failed}, indent=1)
        options.json.write_text(text + "\n", encoding="utf-8")
    return 1 if failed else 0


def versions() -> str:
    """What was measured with, in one line."""
    packages = [f"{name} {_version(name)}" for name in _PACKAGES]
    return ", ".join([f"Python {platform.python_version()}", *packages, f"{platform.system()} {platform.release()}"])


def table(rows: list[tuple[str, ...]]) -> str:
    """Columns as wide as they need to be."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "-"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Figures beside their targets.")
    parser.add_argument(
        "--only",
        type=_names,
        default=FIGURES,
        metavar="NAMES",
        help=f"some of {','.join(FIGURES + ON_DEMAND)}; by default all but {', '.join(ON_DEMAND)}",
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds: to see that it works, not to quote")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    return parser.parse_args()


def _names(text: str) -> list[str]:
    known = FIGURES + ON_DEMAND
    unknown = set(text.split(",")) - set(known)
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(sorted(unknown))}; allowed: {', '.join(known)}")
    return [name for name in known if name in text.split(",")]


if __name__ == "__main__":
    sys.exit(main())
