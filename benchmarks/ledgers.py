"""Ledgers for the reading figures, kept open by a process of their own: the readers see living owners."""

from collections.abc import Callable
from pathlib import Path

from afterword import settings, words
from afterword.ledger import layout
from afterword.ledger.accounts import Account, Declaration
from afterword.ledger.layout import ONE
from afterword.ledger.owner import Owner


def owner(directory: Path, slots: int = layout.DEFAULT_SLOTS) -> Owner:
    """An open ledger, as one worker of an application has it."""
    made = Owner(settings.load({"dir": directory, "slots": slots}, print), "benchmark", "shop")
    if not made.open():
        raise RuntimeError(made.unavailable)
    return made


def accounts(of: Owner, tasks: int) -> list[Account]:
    """The first ``tasks`` tasks of every worker, by the same names."""
    return [of.account(f"shop.tasks.task_{n}", words.BACKGROUND, Declaration()) for n in range(tasks)]


def write(directory: Path, workers: int, tasks: int, open_runs: int) -> list[Owner]:
    """``workers`` ledgers with ``tasks`` tasks, every bucket in use, and ``open_runs`` open runs in all."""
    each = open_runs // workers
    owners = []
    for _ in range(workers):
        made = owner(directory, max(layout.DEFAULT_SLOTS, each + 1024))
        books = accounts(made, tasks)
        _fill(made, tasks)
        for n in range(each):
            book = books[n % tasks]
            run = book.schedule()
            if n % 2:
                book.start(run)
        owners.append(made)
    return owners


def _fill(of: Owner, tasks: int) -> None:
    """Counters as after a long life: no reader can skip a bucket. Balanced: everything begun has ended."""
    ledger = of._ledger
    assert ledger is not None
    context = ledger.context  # a month of runs in a moment
    scheduled, started, finished = (context.table(n) for n in (layout.SCHEDULED, layout.STARTED, layout.FINISHED))
    for task in range(tasks):
        for bucket in range(layout.BUCKETS):
            context.words[started + task * layout.ENDING_LANES + bucket] = 3000 * ONE
            for outcome in range(3):
                lane = finished + task * 4 * layout.ENDING_LANES + outcome * layout.ENDING_LANES + bucket
                context.words[lane] = 1000 * ONE
        context.words[scheduled + task] = 3000 * layout.BUCKETS * ONE
    of._use(ledger)  # the accounts read the counters anew


def keep(directory: Path, sizes: dict[str, tuple[int, int, int]]) -> dict[str, Callable[[int], int]]:
    """Worker modes: ``NAME 0`` writes the ledgers of ``sizes[NAME]`` into ``directory/NAME`` and keeps them."""
    kept: list[Owner] = []

    def writing(name: str) -> Callable[[int], int]:
        def make(_: int) -> int:
            (directory / name).mkdir(mode=0o700)
            kept.extend(write(directory / name, *sizes[name]))
            return len(kept)

        return make

    return {name: writing(name) for name in sizes}
