"""``afterword sidecar``: the process beside the application."""

import argparse
import re
import sys
from typing import Any

from afterword import settings as settings_
from afterword.cli.command import UsageError, as_option, command, missing_extra, refuse


def add(commands: Any) -> None:
    """Add the command."""
    sidecar = command(commands, "sidecar", "watch a ledger directory and serve /metrics and a page")
    sidecar.epilog = (
        "The page listens to other machines only with a token: AFTERWORD_TOKEN, or token in afterword.toml. It has no "
        "option, because ps would show it. AFTERWORD_ALLOWED_HOSTS names what a proxy before the page is called."
    )
    sidecar.add_argument("--dir", help="the ledger directory (AFTERWORD_DIR; default: as the application's)")
    sidecar.add_argument("--listen", metavar="HOST:PORT",
                         help="the page and the metrics; port 0 lets the system choose "
                         "(AFTERWORD_LISTEN; default: 127.0.0.1:9796)")  # fmt: skip
    sidecar.add_argument("--metrics-listen", metavar="HOST:PORT",
                         help="serve the metrics here as well, without a token and without the page "
                         "(AFTERWORD_METRICS_LISTEN; default: nowhere)")  # fmt: skip
    sidecar.add_argument("--otlp-endpoint", metavar="URL",
                         help="a collector that takes the spans of lost runs over OTLP "
                         "(AFTERWORD_OTLP_ENDPOINT; default: OTEL_EXPORTER_OTLP_ENDPOINT, else none)")  # fmt: skip
    sidecar.set_defaults(run=_sidecar)


def _sidecar(options: argparse.Namespace) -> None:
    keywords = {name: getattr(options, name) for name in ("dir", "listen", "metrics_listen", "otlp_endpoint")}
    settings = settings_.load(keywords, _refuse_but_spans, spelled=as_option)
    try:
        from afterword.sidecar.server import CannotServeError, serve
    except ImportError as error:
        raise missing_extra("sidecar", error) from error
    from afterword.auto import await_starlette

    await_starlette.end()  # below `afterword run` too: it keeps the books and is not in them
    try:
        serve(
            settings.directory,
            settings.listen,
            settings.otlp_endpoint,
            settings.time_scale,
            metrics_listen=settings.metrics_listen,
            token=settings.token,
            allowed_hosts=settings.allowed_hosts,
            trace_url=settings.trace_url,
        )
    except CannotServeError as error:
        raise UsageError(str(error)) from error


def _refuse_but_spans(sentence: str) -> None:
    """The metrics are not held up by where spans should go."""
    if not re.match(r"\S*otlp[_-]endpoint\b", sentence, re.IGNORECASE):
        refuse(sentence)
    print(f"afterword: {sentence}: no spans are sent", file=sys.stderr)
