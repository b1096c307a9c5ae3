"""The command line. Exit status: 0 done, 2 for a wrong word or setting, told in one sentence."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NoReturn

from afterword import __version__
from afterword import settings as settings_

DEFAULT_LISTEN: Final = "127.0.0.1:9796"
_WRONG: Final = 2


class UsageError(Exception):
    """Told on stderr in one sentence; exit status 2."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    try:
        options = _parser().parse_args(arguments)
        run: Callable[[argparse.Namespace], None] = options.run
        run(options)
    except (UsageError, settings_.SettingError) as error:
        print(f"afterword: {error}", file=sys.stderr)
        return _WRONG
    except BrokenPipeError:
        return 0
    return 0


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (try: {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="afterword", description="Every task gets a final word.")
    parser.add_argument("--version", action="version", version=f"afterword {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    sidecar = commands.add_parser("sidecar", help="watch a ledger directory and serve /metrics")
    sidecar.add_argument("--dir", help="the ledger directory (AFTERWORD_DIR; default: as the application's)")
    sidecar.add_argument("--listen", default=DEFAULT_LISTEN, metavar="HOST:PORT", help="default: %(default)s")
    sidecar.set_defaults(run=_sidecar)

    alerts = commands.add_parser("alerts", help="print the Prometheus alert rules")
    alerts.add_argument("--time-scale", type=_number("--time-scale"), default=None, metavar="N",
                        help="divide every duration by N, for demos and tests (AFTERWORD_TIME_SCALE; default: 1)")  # fmt: skip
    alerts.add_argument("--job", default="afterword.*", metavar="REGEX",
                        help="the scrape jobs of the sidecars (default: %(default)s)")  # fmt: skip
    alerts.add_argument("-o", "--output", metavar="FILE", help="write there instead of stdout")
    alerts.set_defaults(run=_alerts)

    dashboards = commands.add_parser("dashboards", help="write the Grafana dashboards")
    dashboards.add_argument("-o", "--output", required=True, metavar="DIR", help="the directory to write to")
    dashboards.set_defaults(run=_dashboards)
    return parser


def _sidecar(options: argparse.Namespace) -> None:
    settings = settings_.load({"dir": options.dir}, _refuse)
    try:
        from afterword.sidecar.server import CannotServe, serve
    except ImportError as error:
        raise _missing_extra("sidecar", error) from error
    try:
        serve(settings.directory, options.listen)
    except CannotServe as error:
        raise UsageError(str(error)) from error


def _alerts(options: argparse.Namespace) -> None:
    settings = settings_.load({"time_scale": options.time_scale}, _refuse)
    from afterword.alerts import render

    _write(render(time_scale=settings.time_scale, job=options.job), options.output)


def _dashboards(options: argparse.Namespace) -> None:
    try:
        from afterword.dashboards import write
    except ImportError as error:
        raise _missing_extra("dashboards", error) from error
    try:
        for path in write(Path(options.output)):
            print(path)
    except OSError as error:
        raise UsageError(f"--output {options.output}: {error.strerror}") from error


def _write(text: str, output: str | None) -> None:
    if output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        Path(output).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"--output {output}: {error.strerror}") from error


def _number(name: str) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            return float(text)
        except ValueError:
            raise UsageError(f"{name} is {text!r}; allowed: a number from 0.001 to 100000") from None

    return read


def _refuse(sentence: str) -> NoReturn:
    raise UsageError(sentence)


def _missing_extra(extra: str, error: ImportError) -> UsageError:
    return UsageError(f"`afterword {extra}` needs {error.name or 'an extra'}: pip install 'afterword[{extra}]'")


