"""A worker's habit, on a clock of the test's own: what is rest, what is work, and what takes too long."""

from afterword.hooks.habit import Habit

S = 1_000_000_000


class Watched:
    """A worker as the tick sees it: at a place since a while, once a second."""

    def __init__(self, declared: float | None = None, scale: float = 1.0) -> None:
        self.now = 0
        self.habit = Habit(0, scale, declared)

    def waits(self, place: str, seconds: float, *, idle: bool = False) -> bool:
        """It moves on to a place and stays there; whether it has stalled at the end."""
        self.habit.observe(place, self.now, moved=True, idle=idle)
        for _ in range(int(seconds)):
            self.now += S
            self.habit.observe(place, self.now, moved=False, idle=idle)
        return self.stalled

    def waits_unseen(self, place: str, seconds: int) -> None:
        """It is seen there once and then not looked at for so long; when it is, it has moved on."""
        self.habit.observe(place, self.now, moved=True, idle=False)
        self.now += seconds * S

    @property
    def stalled(self) -> bool:
        """What the reader of the ledger makes of it."""
        limit = self.habit.limit
        return bool(limit) and self.now - self.habit.progress > limit

    def rounds(self, n: int = 6, *, rest: int = 5, work: int = 1) -> "Watched":
        """So many rounds of a worker that rests and works."""
        for _ in range(n):
            assert not self.waits("rest", rest)
            assert not self.waits("work", work)
        return self


def test_before_a_habit_is_known_nothing_is_said():
    """A worker that has not gone round yet may wait for hours for the first time."""
    assert not Watched().waits("start", 36_000)
    one = Watched()
    for place in ("a", "b"):
        assert not one.waits(place, 36_000)


def test_where_it_usually_rests_it_rests_as_long_as_it_likes():
    """It sleeps five seconds by day, and the whole night once."""
    assert not Watched().rounds().waits("rest", 36_000)


def test_work_that_takes_far_longer_than_ever_has_stalled_and_recovers():
    """Not for a minute, whatever the habit; then it has, until it moves."""
    one = Watched().rounds(20)
    assert not one.waits("work", 60)
    one.rounds(20)
    assert Watched().rounds().waits("work", 62)


def test_to_have_stalled_once_is_no_habit():
    """When it goes on after hours it has recovered; when it hangs there again, or elsewhere, that is told again."""
    one = Watched().rounds(100)
    assert one.waits("work", 36_000)
    assert not one.rounds(1).stalled
    assert not one.waits("rest", 36_000)
    assert one.waits("work", 1000)
    assert not one.rounds(1).stalled
    assert one.waits("elsewhere", 36_000)


def test_a_place_it_never_waited_at_is_work():
    """It hangs where it used to run through."""
    assert Watched().rounds().waits("elsewhere", 62)


def test_while_nobody_looks_no_place_becomes_the_one_where_it_rests():
    """The loop was blocked, before there was a habit or after: where it was seen once is work, and the rest is rest."""
    for before, after in ((0, 6), (3, 1), (20, 1)):
        for place in ("work", "elsewhere"):
            one = Watched().rounds(before)
            one.waits_unseen(place, 50)
            one.rounds(after)
            assert not one.waits("rest", 36_000)
            assert one.waits(place, 502)


def test_work_that_sometimes_takes_long_has_its_patience():
    """Ten times the longest it ever took."""
    one = Watched().rounds(rest=50)
    assert not one.waits("work", 40)
    one.rounds(rest=50)
    assert not one.waits("work", 390)
    assert Watched().rounds(rest=50).waits("work", 390)


def test_idle_is_no_work_wherever_that_is():
    """A queue that is empty, a loop that sleeps: also one that declares a deadline for its work."""
    for one in (Watched(), Watched(declared=30)):
        one.rounds()
        assert not one.waits("queue", 36_000, idle=True)
        one.rounds()
        assert not one.waits("other queue", 36_000, idle=True)
        assert one.waits("work", 62)


def test_a_declared_deadline_holds_from_the_start_and_everywhere():
    """Who declares how long it may go without progress is held to that, and not to a habit."""
    assert Watched(declared=30).waits("start", 31)
    assert not Watched(declared=30).waits("start", 30)
    one = Watched(declared=30).rounds(20)
    assert one.waits("rest", 31)
    assert not Watched(declared=600).rounds().waits("work", 599)


def test_a_faster_clock_has_less_patience():
    """The minute is of real time; what it learned is of its own."""
    assert Watched(scale=30).rounds(rest=2, work=0).waits("elsewhere", 3)
    assert not Watched(scale=30).rounds(rest=50, work=4).waits("work", 40)


def test_places_without_number_do_not_grow_and_the_rest_is_kept():
    """Generated code may be somewhere else each time."""
    one = Watched().rounds(rest=50)
    for n in range(2000):
        one.waits(f"place {n}", 1)
        one.waits("rest", 3)
    assert len(one.habit._seen) <= 256
    assert not one.waits("rest", 36_000)
    assert one.waits("place 1", 62)
