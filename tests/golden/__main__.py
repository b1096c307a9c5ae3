"""Makes the golden ledger of the present format: ``python -m tests.golden``. Never change one that was released."""

import shutil
import tempfile
from pathlib import Path

from afterword import words
from afterword.ledger import layout
from afterword.ledger.accounts import Declaration
from tests.ledgers import account, owner, path_of


def main() -> None:
    """Ten runs with every ending, three of another task, and a death."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        one = owner(Path(directory), slots=64)
        mail = account(one)
        runs = [mail.schedule() for _ in range(10)]
        mail.drop(runs[0], words.DROP_REASONS.index(words.SIBLING_FAILED))
        started = [(run, mail.start(run)) for run in runs[1:9]]
        mail.succeed(*started[0])
        mail.fail(*started[1], KeyError)
        mail.fail(*started[2], KeyError)
        mail.cancel(*started[3])
        web = one.account(
            "shop.push_webhook",
            words.RESPONSE,
            Declaration(deadline=20.0, importance=words.BEST_EFFORT, owner="web team"),
        )
        for _ in range(3):
            run = web.schedule()
            web.succeed(run, web.start(run))
            shutil.copyfile(path_of(one), Path(__file__).parent / f"format-{layout.FORMAT}.ledger")
        one.close()


if __name__ == "__main__":
    main()
