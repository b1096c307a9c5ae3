"""``afterword alerts`` and ``afterword dashboards``: what is generated for Prometheus and Grafana."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afterword import settings as settings_
from afterword.cli import command as command_
from afterword.cli.command import CONFIG_HELP, UsageError, command, environment, missing_extra, refuse, write

if TYPE_CHECKING:
    from afterword.alerts.config import Config


def add_alerts(commands: Any) -> None:
    """Add the command."""
    alerts = command(commands, "alerts", "print the Prometheus alert rules")
    alerts.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
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


def add_dashboards(commands: Any) -> None:
    """Add the command."""
    dashboards = command(commands, "dashboards", "write the Grafana dashboards")
    dashboards.add_argument("--config", metavar="FILE", help=CONFIG_HELP)
    dashboards.add_argument("-o", "--output", required=True, metavar="DIR", help="the directory to write to")
    dashboards.set_defaults(run=_dashboards)


def _alerts(options: argparse.Namespace) -> None:
    settings = command_.settings(environment(options.config), time_scale=options.time_scale)
    from afterword.alerts import alertmanager, render

    config = _alerts_config(options, ("job", "runbooks", "grafana"))
    if options.format == "alertmanager":
        text = alertmanager.render(config)
    else:
        text = render(settings.time_scale, config, options.format)
    for task in sorted(_unknown_tasks(config, settings.directory)):
        print(f"afterword: warning: except names {task!r}, a task that no ledger in {settings.directory} knows",
              file=sys.stderr)  # fmt: skip
    write(text, options.output)


def _dashboards(options: argparse.Namespace) -> None:
    command_.settings(environment(options.config))
    config = _alerts_config(options, ())
    try:
        from afterword import dashboards

        files = dashboards.write(Path(options.output), config)
    except ImportError as error:
        raise missing_extra("dashboards", error) from error
    except OSError as error:
        raise UsageError(f"--output {options.output}: {error.strerror}") from error
    write("".join(f"{path}\n" for path in files), None)


def _alerts_config(options: argparse.Namespace, keys: tuple[str, ...]) -> "Config":
    """What the file says about alerts, and ``keys`` as the command line has them."""
    from afterword.alerts.config import ConfigError, checked
    from afterword.alerts.config_file import load

    file, where = settings_.read_file(environment(options.config), refuse)
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
