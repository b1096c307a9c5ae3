"""How long tasks usually run, by the books of a directory: for the look at an application's code."""

from pathlib import Path


def usual_run_times(directory: Path) -> dict[str, float]:
    """Seconds by task name; empty where there are no books, or none that can be read. Changes nothing."""
    from afterword.books import carried
    from afterword.books.model import Totals
    from afterword.books.one_ledger import clock_of, of_living
    from afterword.doctor.contents import look
    from afterword.ledger.file import boot_id, namespace
    from afterword.metrics.usual import usual_of

    totals, folded = Totals(), set()
    try:
        kept = carried.load(directory)
        totals.add(kept.totals)
        folded = set(kept.folded)
    except (OSError, ValueError):
        pass  # the ledgers alone tell something as well
    contents = look(directory)
    for ledger in (*contents.living, *contents.dead):
        if ledger.header.uuid.hex() not in folded:
            totals.add(of_living(ledger.snapshot, clock_of(ledger.header, boot_id(), namespace("time"))))
    found: dict[str, float] = {}
    for key, books in totals.tasks.items():
        usual = usual_of(books)
        if usual:
            found[key.task] = max(usual, found.get(key.task, 0.0))
    return found
