"""The command line. Exit status: 0 done, 2 for a wrong word or setting, told in one sentence."""

import argparse
import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from afterword import __version__
from afterword import settings as settings_

if TYPE_CHECKING:
    from afterword.alerts.config import Config

_WRONG: Final = 2
_INTERRUPTED: Final = 130
#: As a shell has it: a command that cannot be executed, and one that is not there.
_NOT_EXECUTABLE: Final = 126
_NOT_FOUND: Final = 127
_CONFIG_HELP: Final = "afterword.toml or another TOML file, with a table [alerts] (AFTERWORD_CONFIG)"


class UsageError(Exception):
    """Told on stderr in one sentence; exit status 2 unless it has its own."""

    def __init__(self, sentence: str, status: int = _WRONG) -> None:
        super().__init__(sentence)
        self.status = status


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    try:
        options = _parser().parse_args(arguments)
        run: Callable[[argparse.Namespace], None] = options.run
        run(options)
    except UsageError as error:
        print(f"afterword: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return _INTERRUPTED
    return 0


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (try: {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="afterword", description="Every task gets a final word.")
    parser.add_argument("--version", action="version", version=f"afterword {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    run = _command(commands, "run", "run a command with its FastAPI and Starlette applications instrumented")
    run.usage, run.epilog = "%(prog)s [-h] [--] COMMAND ...", "Example: afterword run -- uvicorn shop:app --workers 2"
    run.add_argument("command", nargs=argparse.REMAINDER, metavar="COMMAND ...",
                     help="as without afterword; settings come from AFTERWORD_* and afterword.toml")  # fmt: skip
    run.set_defaults(run=_run)

    sidecar = _command(commands, "sidecar", "watch a ledger directory and serve /metrics")
    sidecar.add_argument("--dir", help="the ledger directory (AFTERWORD_DIR; default: as the application's)")
    sidecar.add_argument("--listen", metavar="HOST:PORT",
                         help="port 0 lets the system choose (AFTERWORD_LISTEN; default: 127.0.0.1:9796)")  # fmt: skip
    sidecar.add_argument("--otlp-endpoint", metavar="URL",
                         help="a collector that takes the spans of lost runs over OTLP "
                         "(AFTERWORD_OTLP_ENDPOINT; default: OTEL_EXPORTER_OTLP_ENDPOINT, else none)")  # fmt: skip
    sidecar.set_defaults(run=_sidecar)

    alerts = _command(commands, "alerts", "print the Prometheus alert rules")
    alerts.add_argument("--config", metavar="FILE", help=_CONFIG_HELP)
    alerts.add_argument("--time-scale", metavar="N",
                        help="divide every duration by N, for demos and tests (AFTERWORD_TIME_SCALE)")  # fmt: skip
    alerts.add_argument("--job", metavar="REGEX", help="the scrape jobs of the sidecars (default: afterword.*)")
    alerts.add_argument("--runbooks", metavar="URL", help="where your runbooks are: each alert links URL/ALERT.md")
    alerts.add_argument(
        "--grafana", metavar="URL", help="your Grafana: each alert links its dashboard there, URL/d/..."
    )
    alerts.add_argument("--format", default="prometheus", choices=("prometheus", "prometheusrule", "alertmanager"),
                        help="a rules file, the resource of the Prometheus operator, or an Alertmanager "
                        "configuration to start from (default: %(default)s)")  # fmt: skip
    alerts.add_argument("-o", "--output", metavar="FILE", help="write there instead of stdout")
    alerts.set_defaults(run=_alerts)

    dashboards = _command(commands, "dashboards", "write the Grafana dashboards")
    dashboards.add_argument("--config", metavar="FILE", help=_CONFIG_HELP)
    dashboards.add_argument("-o", "--output", required=True, metavar="DIR", help="the directory to write to")
    dashboards.set_defaults(run=_dashboards)
    return parser


def _command(commands: Any, name: str, purpose: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=purpose, description=f"{purpose[0].upper()}{purpose[1:]}."
    )
    return parser


def _run(options: argparse.Namespace) -> None:
    command = options.command[1:] if options.command[:1] == ["--"] else options.command
    if not any(command[:1]):
        raise UsageError("a command is needed, for instance: afterword run -- uvicorn shop:app")
    from afterword.auto.launch import become

    try:
        become(command)
    except OSError as error:
        raise _not_run(command[0], error) from error


def _not_run(command: str, error: OSError) -> UsageError:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        return UsageError(f"{command}: {error.strerror}", _NOT_EXECUTABLE)
    if shutil.which(command) is not None:
        return UsageError(f"{command}: the interpreter in its first line does not exist", _NOT_EXECUTABLE)
    return UsageError(f"{command}: command not found", _NOT_FOUND)


def _sidecar(options: argparse.Namespace) -> None:
    keywords = {"dir": options.dir, "listen": options.listen, "otlp_endpoint": options.otlp_endpoint}
    settings = settings_.load(keywords, _refuse_but_spans, spelled=_as_option)
    try:
        from afterword.sidecar.server import CannotServeError, serve
    except ImportError as error:
        raise _missing_extra("sidecar", error) from error
    from afterword.auto import await_starlette

    await_starlette.end()  # below `afterword run` too: it keeps the books and is not in them
    try:
        serve(settings.directory, settings.listen, settings.otlp_endpoint, settings.time_scale)
    except CannotServeError as error:
        raise UsageError(str(error)) from error


def _alerts(options: argparse.Namespace) -> None:
    settings = _settings(_environment(options.config), time_scale=options.time_scale)
    from afterword.alerts import alertmanager, render

    config = _alerts_config(options, ("job", "runbooks", "grafana"))
    if options.format == "alertmanager":
        text = alertmanager.render(config)
    else:
        text = render(settings.time_scale, config, options.format)
    for task in sorted(_unknown_tasks(config, settings.directory)):
        print(f"afterword: warning: except names {task!r}, a task that no ledger in {settings.directory} knows",
              file=sys.stderr)  # fmt: skip
    _write(text, options.output)


def _dashboards(options: argparse.Namespace) -> None:
    _settings(_environment(options.config))
    config = _alerts_config(options, ())
    try:
        from afterword.dashboards import write

        files = write(Path(options.output), config)
    except ImportError as error:
        raise _missing_extra("dashboards", error) from error
    except OSError as error:
        raise UsageError(f"--output {options.output}: {error.strerror}") from error
    _write("".join(f"{path}\n" for path in files), None)


def _environment(config: str | None) -> Mapping[str, str]:
    """The environment, in which ``--config`` names the file."""
    if config is not None and not Path(config).exists():
        raise UsageError(f"--config {config}: no such file; allowed: a TOML file")
    return os.environ if config is None else {**os.environ, f"{settings_.PREFIX}CONFIG": config}


def _alerts_config(options: argparse.Namespace, keys: tuple[str, ...]) -> "Config":
    """What the file says about alerts, and ``keys`` as the command line has them."""
    from afterword.alerts.config import ConfigError, checked
    from afterword.alerts.config_file import load

    file, where = settings_.read_file(_environment(options.config), _refuse)
    given = {key: value for key in keys if (value := getattr(options, key)) is not None}
    try:
        config = load(file, where)
    except ConfigError as error:
        raise UsageError(str(error)) from error
    try:
        return replace(config, **{key: checked(key, value) for key, value in given.items()})
    except ConfigError as error:
        raise UsageError(f"--{error}") from error


def _unknown_tasks(config: "Config", directory: Path) -> set[str]:
    """What the alerts leave out and the books have never heard of; nothing where there are no books."""
    named = {task for choice in config.choices.values() for task in choice.except_}
    if not named:
        return set()
    from afterword.books.names import task_names

    known = task_names(directory)
    return named - known if known else set()


def _write(text: str, output: str | None) -> None:
    try:
        if output is not None:
            Path(output).write_text(text, encoding="utf-8")
        elif sys.stdout is not None:
            sys.stdout.write(text)
            sys.stdout.flush()
    except BrokenPipeError:
        pass  # whoever reads has enough: `afterword alerts | head`
    except OSError as error:
        where = "stdout" if output is None else f"--output {output}"
        raise UsageError(f"{where}: {error.strerror}") from error


def _settings(environment: Mapping[str, str] | None = None, **keywords: object) -> settings_.Settings:
    return settings_.load(keywords, _refuse, environment, spelled=_as_option)


def _as_option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _refuse_but_spans(sentence: str) -> None:
    """The metrics are not held up by where spans should go."""
    if not re.match(r"\S*otlp[_-]endpoint\b", sentence, re.IGNORECASE):
        _refuse(sentence)
    print(f"afterword: {sentence}: no spans are sent", file=sys.stderr)


def _refuse(sentence: str) -> NoReturn:
    raise UsageError(sentence)


def _missing_extra(extra: str, error: ImportError) -> UsageError:
    if (error.name or "").partition(".")[0] in sys.stdlib_module_names:
        return UsageError(f"`afterword {extra}` does not run on {sys.platform}: Python has no {error.name} there")
    return UsageError(f"`afterword {extra}` needs {error.name or 'one more package'}: pip install 'afterword[{extra}]'")
