"""Rows of panels on Grafana's grid of 24 columns, each at its own place and under its own number."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as d
from grafana_foundation_sdk.builders import text
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as m
from grafana_foundation_sdk.models.text import TextMode


@dataclass(frozen=True, slots=True)
class Place:
    """A panel with its number, which never changes, and its size on the grid of 24 columns."""

    id: int
    panel: Any
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Row:
    """One question, two lines on what its answer says and where to go next, and the panels that answer it."""

    id: int
    title: str
    places: Sequence[Place]
    text: str

    @property
    def shown(self) -> list[Place]:
        """Its panels, the text first."""
        return [Place(10 * self.id, _text(self.text), 24, _TEXT_HEIGHT), *self.places]


_TEXT_HEIGHT: Final = 2


def _text(markdown: str) -> Any:
    return text.Panel().mode(TextMode.MARKDOWN).content(markdown).transparent(True)


def assemble(builder: d.Dashboard, layout: Sequence[Row]) -> m.Dashboard:
    """The dashboard with every row and panel at its own place, under its own number."""
    for row in layout:
        builder.with_row(d.Row(row.title))
        for place in row.shown:
            builder.with_panel(place.panel)
    built = builder.build()
    for panel, (number, position) in zip(built.panels or [], _positions(layout), strict=True):
        panel.id_val = number
        panel.grid_pos = position
    return built


def to_json(dashboard: m.Dashboard) -> str:
    """The text that is committed."""
    return JSONEncoder(sort_keys=True, indent=2).encode(dashboard) + "\n"


def _positions(layout: Sequence[Row]) -> Iterable[tuple[int, m.GridPos]]:
    y = 0
    for row in layout:
        yield row.id, m.GridPos(h=1, w=24, x=0, y=y)
        y, x, height = y + 1, 0, 0
        for place in row.shown:
            if x + place.width > 24:
                x, y, height = 0, y + height, 0
            yield place.id, m.GridPos(h=place.height, w=place.width, x=x, y=y)
            x, height = x + place.width, max(height, place.height)
        y += height
