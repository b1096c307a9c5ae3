"""Makes a golden ledger: ``python -m tests.golden NAME``. Never change one that was released.

``format-1`` is of the first release; ``format-1-routes`` has what came with the second: the tables of routes and of
stacks, runs that were collected, swallowed errors, and who cancelled; ``format-1-spans`` has what came with the third:
open runs with a trace and a route, exemplars, a resource; ``format-1-endings`` what came with the fourth: bad endings
one by one, a place with its frames.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from afterword import words
from afterword.ledger import layout
from afterword.ledger.accounts import Account, Declaration
from afterword.ledger.bad_endings import BadEnding
from afterword.ledger.owner import Owner
from afterword.ledger.slots import Run, note_origin
from tests.ledgers import account, owner, path_of


def main(name: str) -> None:
    """Ten runs with every ending, three of another task, a worker of a route's, and a death."""
    target = Path(__file__).parent / f"{name}.ledger"
    if target.exists():
        raise SystemExit(f"{target.name} was released")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        one = owner(Path(directory), slots=64)
        mail = account(one)
        runs = [mail.schedule() for _ in range(10)]
        mail.drop(runs[0], words.DROP_REASONS.index(words.SIBLING_FAILED))
        started = [(run, mail.start(run)) for run in runs[1:9]]
        mail.succeed(*started[0])
        mail.fail(*started[1], KeyError)
        mail.fail(*started[2], KeyError)
        mail.cancel(*started[3], words.CANCEL_REASONS.index(words.CANCELLED_REQUEST))
        web = one.account(
            "shop.push_webhook",
            words.RESPONSE,
            Declaration(deadline=20.0, importance=words.BEST_EFFORT, owner="web team"),
        )
        for _ in range(3):
            run = web.schedule()
            web.succeed(run, web.start(run))
        _of_the_second_release(one)
        _of_the_third_release(one, mail, runs)
        _of_the_fourth_release(one, mail, runs)
        shutil.copyfile(path_of(one), target)
        one.close()


def _of_the_second_release(one: Owner) -> None:
    ledger = one.ledger
    assert ledger is not None
    poll = one.account("shop.poll", words.ASYNCIO, Declaration(every=60.0))
    runs = [(run, poll.start(run)) for run in [poll.schedule() for _ in range(3)]]
    poll.collect(runs[0][0])
    poll.note(layout.LANE_SWALLOWED)
    route = ledger.route("POST /register/{name}")
    one.set_word(route, 7)
    one.set_word(route + 1, 2)
    link = ledger.link(route, poll)
    ledger.expect(link)
    one.set_word(link, 6)
    one.set_word(link + 1, 3)
    ledger.note_stack(runs[1][0], "shop/app.py:12 in poll")


def _of_the_third_release(one: Owner, mail: Account, runs: list[Run]) -> None:
    """A traced run that is on and one that waits, both from a route."""
    ledger = one.ledger
    assert ledger is not None
    route = ledger.route_number(ledger.route("POST /register/{name}"))
    for run, span in ((runs[8], 0x1234), (runs[9], 0)):
        note_origin(mail.words, run, route)
        mail.words[run + layout.SLOT_PARENT] = 0xFEED
        mail.words[run + layout.SLOT_TRACE], mail.words[run + layout.SLOT_TRACE + 1] = 0xABC, 0xDEF
        mail.words[run + layout.SLOT_SPAN] = span
    ledger.note_exemplar(0, 2, 0xABC << 64 | 0xDEF, 0x77, 60_000_000, 5)
    ledger.note_exemplar(0, layout.EXEMPLAR_FAILED, 0xABC << 64 | 0xDEF, 0x78, 60_000_000, 6)
    one.note_resource(b'{"service.name":"shop"}')


def _of_the_fourth_release(one: Owner, mail: Account, runs: list[Run]) -> None:
    """A traced failure, a drop of a run without a slot, and where a run is stuck, frame by frame."""
    ledger = one.ledger
    assert ledger is not None
    failed = BadEnding(0, 0, words.FAILED, "KeyError", 1, runs[2], 10, 20, 30, 0xABC << 64 | 0xDEF, 0x99)
    ledger.note_ending(mail, failed)
    ledger.note_ending(
        mail, failed._replace(ending=words.DROPPED, reason=words.SIBLING_FAILED, route=0, run=-7, started=0, trace=0)
    )
    places = ("shop/app.py:12 in send", "lib/http.py:7 in post", "shop/app.py:12 in send")
    ledger.note_stack(runs[8], layout.STACK_SEPARATOR.join(places))


if __name__ == "__main__":
    main(sys.argv[1])
