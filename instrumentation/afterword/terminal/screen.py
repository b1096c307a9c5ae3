"""The whole screen of ``afterword top``: as many lines as the terminal has, or all there is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from afterword.terminal import blocks
from afterword.terminal.cells import Line, crop
from afterword.terminal.figures import moment
from afterword.terminal.rates import Key, Rates, bad, key_of
from afterword.terminal.reading import Shown
from afterword.view.model import HEALTH, Task

#: What ``--once`` shows of runs and endings.
_SHOWN_ONCE: Final = 10
#: Reasons beside the first one, while there is room for more.
_REASONS: Final = 3
#: Lines without which the books of the selected task are not told as an equation, or sections not set apart.
_ROOM_FOR_DETAIL, _ROOM_FOR_GAPS = 10, 16
_KEYS: Final = "q quit  s sort  p pause  ? help"
_HELP: Final = (
    ("q", "quit"),
    ("s", "the next order of the tasks: worst, name, busy, running, waiting"),
    ("p, space", "pause, and go on"),
    ("j, k, arrows", "select a task: its books as an equation"),
    ("page up, page down, g, G", "ten tasks up or down, the first, the last"),
    ("escape", "select nothing"),
    ("?", "this help"),
)


@dataclass(slots=True)
class State:
    """What the keys have changed."""

    sort: str = "worst"
    paused: bool = False
    help: bool = False
    selected: Key | None = None
    rates: Mapping[Key, Rates] = field(default_factory=dict)

    def order(self, tasks: Sequence[Task]) -> list[Task]:
        """The tasks in the chosen order."""
        return sorted(tasks, key=lambda task: (SORTS[self.sort](self, task), key_of(task)))

    def busy(self, task: Task) -> float:
        """How many runs a second are handed over; before there are rates, how many ever were."""
        rates = self.rates.get(key_of(task))
        return task.books.scheduled if rates is None or rates.scheduled is None else rates.scheduled


#: The orders of the tasks, smallest first.
SORTS: Final[Mapping[str, Callable[[State, Task], tuple[float, ...]]]] = {
    "worst": lambda _, task: (-HEALTH.index(task.health), -(task.last_bad or 0), -bad(task.books)),
    "name": lambda _, _task: (),
    "busy": lambda state, task: (-state.busy(task),),
    "running": lambda _, task: (-task.books.running,),
    "waiting": lambda _, task: (-task.books.waiting,),
}


def once(shown: Shown, state: State, room: int | None) -> list[Line]:
    """All tasks, the open runs and the newest bad endings, however long that is."""
    lines = [*blocks.verdict(shown.status, room, len(shown.status.reasons), 9), blocks.summary(shown)]
    sections = [
        blocks.tasks(state.order(shown.tasks), state.rates, room),
        blocks.runs(shown.runs[:_SHOWN_ONCE], room),
        blocks.endings(shown.endings[:_SHOWN_ONCE], shown.status.at, room),
    ]
    for section in sections:
        if len(section) > 1:
            lines += [[], *section]
    return lines


def live(shown: Shown, state: State, columns: int, rows: int) -> list[Line]:
    """Exactly ``rows`` lines of at most ``columns``: the verdict, what there is room for, and the keys."""
    most = max(0, min(_REASONS, rows - 12))
    verdict = blocks.verdict(shown.status, columns, most, sentence_lines=1 + (rows > 10) + (rows > 20))
    head = [*verdict, blocks.summary(shown)][: max(1, rows - 3)]
    room = max(0, rows - len(head) - 1)
    body = _help() if state.help else _body(shown, state, columns, room)
    lines = [*head, *body[:room]]
    lines += [[] for _ in range(rows - 1 - len(lines))]
    return [crop(line, columns) for line in [*lines[: rows - 1], _foot(shown, state)]]


def share(room: int, wanted: Sequence[int]) -> list[int]:
    """How many of ``room`` lines each section gets that wants so many; the first gets every second one.

    A title without a row is of no use: its line goes to the first section.
    """
    given = [0] * len(wanted)
    turns = [at for other in range(1, len(wanted)) for at in (0, other)] or [0]
    while sum(given) < room and given != list(wanted):
        for at in turns:
            if given[at] < wanted[at] and sum(given) < room:
                given[at] += 1
    for at in range(1, len(given)):
        if given[at] == 1:
            given[0], given[at] = min(wanted[0], given[0] + 1), 0
    return given


def _body(shown: Shown, state: State, columns: int, room: int) -> list[Line]:
    ordered = state.order(shown.tasks)
    at = next((at for at, task in enumerate(ordered) if key_of(task) == state.selected), None)
    detail = [] if at is None or room < _ROOM_FOR_DETAIL else blocks.books_of(ordered[at], columns)
    gap: list[Line] = [[]] if room >= _ROOM_FOR_GAPS else []
    around = 1 + len(gap)
    wanted = [len(found) + around if found else 0 for found in (ordered, shown.runs, shown.endings)]
    fit, runs, endings = (max(0, lines - around) for lines in share(room - len(detail), wanted))
    lines = [*_tasks(ordered, state, at, columns, fit), *detail, *gap]
    if runs:
        lines += [*blocks.runs(shown.runs[:runs], columns), *gap]
    if endings:
        lines += blocks.endings(shown.endings[:endings], shown.status.at, columns)
    return lines


def _tasks(ordered: list[Task], state: State, selected: int | None, columns: int, fit: int) -> list[Line]:
    """As many tasks as fit, the selected one among them; the title says which, when there are more."""
    if not ordered or not fit:
        return []
    first = 0 if selected is None else max(0, min(selected - fit // 2, len(ordered) - fit))
    title = f"TASK {first + 1}-{first + fit}/{len(ordered)}" if fit < len(ordered) else "TASK"
    lines = blocks.tasks(ordered[first : first + fit], state.rates, columns, title)
    if selected is not None:
        lines[selected - first + 1] = [(text, "selected") for text, _ in lines[selected - first + 1]]
    return lines


def _help() -> list[Line]:
    size = max(len(keys) for keys, _ in _HELP)
    return [[], *([(f"  {keys:{size}}", "title"), (f"  {meaning}", "")] for keys, meaning in _HELP)]


def _foot(shown: Shown, state: State) -> Line:
    paused = [("PAUSED  ", "degraded")] if state.paused else []
    return [*paused, (f"{moment(shown.status.at).partition(' ')[2]}  sorted: {state.sort}  {_KEYS}", "dim")]
