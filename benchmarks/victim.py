"""An application's worker for the sidecar: ``python -m benchmarks.victim DIRECTORY hold|RATE``.

Prints its ledger's path, then holds one running run until it is killed, or runs RATE tasks a second.
"""

import sys
import time
from pathlib import Path

from benchmarks.ledgers import accounts, owner

TASKS = 20


def main(directory: Path, what: str) -> None:
    mine = owner(directory)
    books = accounts(mine, 1 if what == "hold" else TASKS)
    if what == "hold":
        books[0].start(books[0].schedule())
    print(mine.path, flush=True)
    while what in {"hold", "0"}:
        time.sleep(60)
    due = time.monotonic()
    while True:
        due += 0.02
        for n in range(int(what) // 50):
            book = books[n % TASKS]
            run = book.schedule()
            book.succeed(run, book.start(run))
        time.sleep(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
