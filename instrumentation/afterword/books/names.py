"""The names of the tasks that a directory's books know, for whoever wants to check what it was told."""

from pathlib import Path

from afterword.books import carried
from afterword.books.directory import LedgerDirectory
from afterword.ledger.layout import LayoutError


def task_names(directory: Path) -> set[str]:
    """Every task of the ledgers in ``directory`` and of those that were folded; empty where there are none.

    Changes nothing and raises nothing: what cannot be read has no names.
    """
    try:
        names = {key.task for key in carried.load(directory).totals.tasks}
        for reader in LedgerDirectory(directory).look().ledgers.values():
            names |= {task.name for task in reader.snapshot(dead=True).tasks.values()}
            reader.close()
    except (OSError, ValueError, LayoutError):
        return set()
    return names
