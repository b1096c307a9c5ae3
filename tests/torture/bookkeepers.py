"""SIGKILL a bookkeeper while it books and folds; every lost run must be booked once, and no counter may fall.

Each round a few processes open ledgers, leave a known number of runs open and are killed. Bookkeepers
are started on the directory and killed, at random moments or at each of their system calls in turn,
until one is allowed to finish. After every kill a fresh reader must see the same totals.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from afterword import words
from afterword.books.bookkeeper import Bookkeeper
from tests.ledgers import account, key, owner, run_to_the_end

APPLICATIONS = 3


def forked(work: Callable[[], None]) -> int:
    """The pid of a child that does ``work`` and ends without cleaning up."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    return pid


def killed_application(directory: Path, ended: int, waiting: int, running: int) -> None:
    """A process that leaves ``waiting`` and ``running`` runs open when it is killed."""
    read_end, write_end = os.pipe()

    def work() -> None:
        mail = account(owner(directory, slots=64))
        for _ in range(ended):
            run_to_the_end(mail)
        for _ in range(running):
            mail.start(mail.schedule())
        for _ in range(waiting):
            mail.schedule()
        os.write(write_end, b"!")
        signal.pause()

    pid = forked(work)
    os.close(write_end)
    assert os.read(read_end, 1) == b"!", "the application did not get as far as its ledger"
    os.close(read_end)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def killed_after(directory: Path, seconds: float) -> bool:
    """Let a bookkeeper scan until it is killed; whether it got to the end before."""
    read_end, write_end = os.pipe()

    def work() -> None:
        os.write(write_end, b"!")
        Bookkeeper(directory).scan()

    pid = forked(work)
    os.read(read_end, 1)
    time.sleep(seconds)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    os.close(read_end)
    os.close(write_end)
    return os.WIFEXITED(status)


def killed_at_call(directory: Path, number: int) -> bool:
    """Let a bookkeeper kill itself at its ``number``-th audited call; whether it got to the end before."""

    def work() -> None:
        calls = 0

        def count(_: str, __: tuple[object, ...]) -> None:
            nonlocal calls
            calls += 1
            if calls == number:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        Bookkeeper(directory).scan()

    _, status = os.waitpid(forked(work), 0)
    return os.WIFEXITED(status)


def look(directory: Path) -> Counter[str]:
    """What a bookkeeper that may not fold sees: totals of everything that happened."""
    reader = Bookkeeper(directory)
    reader._fold = lambda *_: None  # type: ignore[method-assign]  # a reader without the right to fold
    books = reader.scan().totals.task(key())
    return Counter(
        scheduled=books.scheduled,
        started=books.started_total,
        succeeded=sum(books.finished[words.SUCCEEDED]),
        lost_waiting=books.lost_in(words.WAITING),
        lost_running=books.lost_in(words.RUNNING),
    )


def a_round(directory: Path, truth: Counter[str], chance: random.Random) -> None:
    """Three more applications die; ``truth`` is told."""
    for _ in range(APPLICATIONS):
        ended, waiting, running = chance.randrange(4), chance.randrange(5), chance.randrange(5)
        killed_application(directory, ended, waiting, running)
        truth.update(
            scheduled=ended + waiting + running,
            started=ended + running,
            succeeded=ended,
            lost_waiting=waiting,
            lost_running=running,
        )


def torture(directory: Path, kills: int, chance: random.Random) -> Counter[str]:
    """Kill ``kills`` bookkeepers; sums of what went wrong."""
    sums: Counter[str] = Counter()
    truth: Counter[str] = Counter()
    while sums["kills"] < kills:
        a_round(directory, truth, chance)
        by_call, number, done = sums["rounds"] % 2 == 0, 0, False
        sums["rounds"] += 1
        while not done and sums["kills"] < kills:
            number += 1
            done = killed_at_call(directory, number) if by_call else killed_after(directory, chance.random() * 0.004)
            sums["kills"] += not done
            sums["wrong"] += look(directory) != truth
        Bookkeeper(directory).scan()
        sums["wrong"] += look(directory) != truth
        sums["left_over"] += len(list(directory.glob("*.ledger")))
    sums["lost"] = truth["lost_waiting"] + truth["lost_running"]
    return sums


def main() -> None:
    """Kill as often as asked, print the sums as one line of JSON, and fail on any violation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    directory = Path(tempfile.mkdtemp(dir=base, prefix="torture-"))
    try:
        sums = torture(directory, options.kills, random.Random(options.seed))
    finally:
        shutil.rmtree(directory)
    print(json.dumps(sums))
    sys.exit(bool(sums["wrong"] or sums["left_over"]))


if __name__ == "__main__":
    main()
