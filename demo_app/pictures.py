"""``python -m demo_app.pictures``: the dashboards as pictures, over the demo's real Prometheus, healthy and on fire.

Drawing is somebody else's affair: ``--draw`` is a command with ``{dashboard}`` (the JSON file), ``{prometheus}`` (its
address), ``{picture}`` (the PNG to write), ``{width}`` and ``{seconds}`` (how far back to look) in it. A trace is seen
in a viewer of its own: ``--traces`` is the URL at which that takes OTLP over HTTP, ``--only trace`` makes one.
"""

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from demo_app import acts
from demo_app.processes import MissingProgramError, NotInTimeError
from demo_app.stack import Stack, running_stack

DASHBOARDS: Final = Path(__file__).parents[1] / "dashboards"
WIDTHS: Final = (1280, 1600)
#: How long customers come before the first picture, so that there is a history to see.
_HEALTHY_SECONDS: Final = 60
_AFTERWARDS_SECONDS: Final = 25


def _healthy(stack: Stack) -> None:
    with stack.shop.keep_coming(per_second=20):
        time.sleep(_HEALTHY_SECONDS)


def _refused(stack: Stack) -> None:
    with stack.shop.keep_coming(per_second=20):
        acts.mail_refused(stack)
        acts.never_taken(stack)
        acts.unheard(stack)
    stack.world.all_well()


def _stuck(stack: Stack) -> None:
    acts.mail_hangs(stack)
    time.sleep(300 / 60 + 3)  # until they are overdue
    acts.mail_slow(stack)
    time.sleep(3)


def _workers(stack: Stack) -> None:
    stack.world.all_well()
    acts.worker_stalls_and_ends(stack)
    time.sleep(3)


def _blocked(stack: Stack) -> None:
    stack.world.all_well()
    acts.new_workers(stack)
    acts.loop_blocked(stack)


def _killed(stack: Stack) -> None:
    acts.worker_killed(stack)
    acts.deploy_cuts(stack)
    with stack.shop.keep_coming(per_second=20):  # one step of every graph and more
        time.sleep(_AFTERWARDS_SECONDS)


def _trace(stack: Stack) -> None:
    acts.order_cut_short(stack)
    time.sleep(3)  # the spans of the living are sent by their processes, a little later


def _blind(stack: Stack) -> None:
    acts.sidecar_killed(stack)
    time.sleep(3)


#: In this order; each with the dashboards that have something to say about it.
MOMENTS: Final[Sequence[tuple[str, Callable[[Stack], None], tuple[str, ...]]]] = (
    ("healthy", _healthy, ("overview", "task", "losses", "runtime", "workers", "telemetry")),
    ("refused", _refused, ("overview", "task", "losses")),
    ("stuck", _stuck, ("overview", "task", "runtime")),
    ("workers", _workers, ("overview", "workers")),
    ("blocked", _blocked, ("runtime",)),
    ("killed", _killed, ("overview", "task", "losses", "runtime")),
    ("blind", _blind, ("overview", "telemetry")),
    ("trace", _trace, ()),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Drive the demo and draw; 0, or 2 with one sentence when it cannot."""
    parser = argparse.ArgumentParser(prog="python -m demo_app.pictures", description=__doc__)
    parser.add_argument("--draw", metavar="COMMAND", help="draws one dashboard (default: none is drawn)")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path(), metavar="DIR", help="where the pictures go (default: here)"
    )
    moments = ", ".join(name for name, *_ in MOMENTS)
    parser.add_argument("--only", metavar="MOMENT,...", help=f"after a healthy minute, some of: {moments}")
    parser.add_argument("--traces", metavar="URL", help="a viewer that takes the traces (default: the demo's own)")
    chosen = parser.parse_args(arguments)
    chosen.output.mkdir(parents=True, exist_ok=True)
    wanted = {name for name, *_ in MOMENTS} if chosen.only is None else set(chosen.only.split(","))
    unknown = wanted - {name for name, *_ in MOMENTS}
    if unknown:
        parser.error(f"--only: {', '.join(sorted(unknown))} is no moment; allowed: {moments}")
    if any(dashboards for name, _, dashboards in MOMENTS if name in wanted):
        wanted.add("healthy")  # a dashboard needs a past
    begun = time.time()
    try:
        with running_stack(print, chosen.traces) as stack:
            for moment, happen, dashboards in MOMENTS:
                if moment not in wanted:
                    continue
                happen(stack)
                for dashboard in dashboards:
                    _draw(chosen, stack, dashboard, moment, time.time() - begun)
    except (MissingProgramError, NotInTimeError, subprocess.CalledProcessError) as error:
        print(error, *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 2
    return 0


def _draw(chosen: argparse.Namespace, stack: Stack, dashboard: str, moment: str, seconds: float) -> None:
    for width in WIDTHS if chosen.draw is not None else ():
        picture = chosen.output / f"{dashboard}-{moment}-{width}.png"
        command = chosen.draw.format(
            dashboard=DASHBOARDS / f"afterword-{dashboard}.json",
            prometheus=stack.prometheus.url,
            picture=picture,
            width=width,
            seconds=f"{seconds:.0f}",
        )
        subprocess.run(shlex.split(command), check=True, timeout=120, stdout=subprocess.DEVNULL)
        print(picture)


if __name__ == "__main__":
    raise SystemExit(main())
