"""``python -m demo_app``: everything that can happen to a shop's background work, in under three minutes."""

import argparse
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from demo_app import report, runner
from demo_app.processes import MissingProgramError, NotInTimeError
from demo_app.scenario import Scenario
from demo_app.scenarios import SCENARIOS
from demo_app.stack import Stack, prometheus_program, running_stack

#: Columns where there is no terminal to ask.
_PLAIN_WIDTH = 120
DETECTED, NOT_DETECTED, CANNOT_RUN, STOPPED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; 0 when every scenario was detected, 1 when not, 2 when it cannot run here."""
    chosen = _parse(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PLAIN_WIDTH)
    begun = time.monotonic()
    try:
        return _run(chosen, console, begun)
    except MissingProgramError as error:
        print(error, file=sys.stderr)
        return CANNOT_RUN
    except NotInTimeError as error:
        print(error, *error.__notes__, sep="\n", file=sys.stderr)
        return NOT_DETECTED
    except KeyboardInterrupt:
        console.print("stopped; every process has been ended")
        return STOPPED


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./run demo",
        description=__doc__.partition(": ")[2],
        epilog="scenarios:\n" + "\n".join(f"  {one.name:<9}{one.title}: {one.story}" for one in SCENARIOS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--stay", action="store_true", help="keep everything up afterwards and print the addresses")
    parser.add_argument("--only", type=_choice(names), metavar="NAME,...", help="some of the scenarios below")
    parser.add_argument("--json", type=_writable, metavar="FILE", help="write the report there, too")
    return parser.parse_args(arguments)


def _writable(text: str) -> Path:
    """Found out now rather than after two minutes."""
    path = Path(text)
    existed = path.exists()
    try:
        path.open("ab").close()
        if not existed:
            path.unlink()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text!r} cannot be written: {error.strerror}") from error
    return path


def _choice(names: list[str]) -> Callable[[str], list[str]]:
    def choose(text: str) -> list[str]:
        wanted = text.split(",")
        unknown = sorted(set(wanted) - set(names))
        if unknown:
            raise argparse.ArgumentTypeError(f"no scenario is called {', '.join(unknown)}")
        return wanted

    return choose


def _run(chosen: argparse.Namespace, console: Console, begun: float) -> int:
    prometheus_program()
    report.introduce(console)
    scenarios = [one for one in SCENARIOS if chosen.only is None or one.name in chosen.only]
    with _progress(console) as progress:
        bar = progress.add_task("starting", total=len(scenarios))

        def say(text: str) -> None:
            progress.update(bar, description=text)

        with running_stack(say) as stack:
            verdicts = [_one(stack, scenario, progress, bar) for scenario in scenarios]
            ends = runner.totals(stack)
            progress.stop()
            report.close(console, ends)
            problems = runner.failures(verdicts, ends)
            seconds = time.monotonic() - begun
            report.conclude(console, verdicts, problems, seconds)
            if problems:
                stack.keep_logs = True
                console.print(f"The logs of every process are in {stack.directory}")
            if chosen.json:
                report.write_json(chosen.json, verdicts, ends, seconds)
            if chosen.stay:
                _stay(stack, console)
    return NOT_DETECTED if problems else DETECTED


def _one(stack: Stack, scenario: Scenario, progress: Progress, bar: TaskID) -> runner.Verdict:
    def say(text: str) -> None:
        progress.update(bar, description=f"{scenario.title}: {text}")

    verdict = runner.run(stack, scenario, say)
    report.show(progress.console, verdict)
    progress.advance(bar)
    return verdict


def _progress(console: Console) -> Progress:
    columns = (
        SpinnerColumn(),
        MofNCompleteColumn(),
        BarColumn(20),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _stay(stack: Stack, console: Console) -> None:
    if not stack.app.running:
        stack.app = stack.start_app()
    for name, address in stack.addresses.items():
        console.print(f"{name:>14}  {address}", soft_wrap=True)
    console.print("\nTo break it, type into another terminal:")
    for what, line in stack.breaking.items():
        console.print(f"  {what}\n      {line}", soft_wrap=True, markup=False)
    console.print("\nCustomers keep coming. Ctrl-C ends everything.")
    with stack.shop.keep_coming(per_second=5):
        threading.Event().wait()


if __name__ == "__main__":
    sys.exit(main())
