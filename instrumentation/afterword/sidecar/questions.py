"""What the API can be asked: every parameter with what is allowed; a word that is no parameter is refused."""

import reprlib
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from afterword import words
from afterword.view.endings import EndingQuery
from afterword.view.model import Ending, Health, State
from afterword.view.runs import RunQuery

_LAST_OFFSET, _LAST_LIMIT, _LAST_NUMBER = 1_000_000_000, 1000, 2**63 - 1
_DAY: Final = 86400
Name = Annotated[str, Field(max_length=500)]
#: Unix seconds, until the year 2255.
Moment = Annotated[float, Field(ge=0, le=9_000_000_000, allow_inf_nan=False)]
Offset = Annotated[int, Field(ge=0, le=_LAST_OFFSET)]
Limit = Annotated[int, Field(ge=1, le=_LAST_LIMIT)]
Kind = Literal[words.KINDS]  # type: ignore[valid-type]  # one list of words, known when this runs
Sort = Literal["bad", "name", "running", "waiting", "recent"]


class _Question(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NoQuestion(_Question):
    """Nothing can be asked for: there is one answer."""


class ServiceQuestion(_Question):
    """Of one service, a page of them."""

    service: Name | None = None
    offset: Offset = 0
    limit: Limit = 200


class TasksQuestion(ServiceQuestion):
    """Which tasks; ``search`` is part of the name."""

    task: Name | None = None
    kind: Kind | None = None
    health: Health | None = None
    search: Name | None = None
    sort: Sort = "bad"


class RunsQuestion(_Question):
    """Which open runs."""

    service: Name | None = None
    task: Name | None = None
    kind: Kind | None = None
    state: list[State] = Field(default=[], max_length=8)
    process: Name | None = None
    since: Moment | None = None
    until: Moment | None = None
    sort: Literal["left", "age"] = "left"
    offset: Offset = 0
    limit: Limit = 100

    def query(self) -> RunQuery:
        """As the view takes it."""
        return RunQuery(**{**self.model_dump(), "state": tuple(self.state)})


class EndingsQuestion(_Question):
    """Which bad endings."""

    service: Name | None = None
    task: Name | None = None
    kind: Kind | None = None
    ending: list[Ending] = Field(default=[], max_length=8)
    reason: Name | None = None
    since: Moment | None = None
    until: Moment | None = None
    before: Annotated[int, Field(ge=1, le=_LAST_NUMBER)] | None = None
    limit: Limit = 100

    def query(self) -> EndingQuery:
        """As the view takes it."""
        return EndingQuery(**{**self.model_dump(), "ending": tuple(self.ending)})


class SeriesQuestion(_Question):
    """Which tasks are summed up."""

    service: Name | None = None
    task: Name | None = None
    kind: Kind | None = None


class ProbeQuestion(_Question):
    """For how long lost work keeps a service from being well, in seconds; without it as the verdict has it."""

    window: Annotated[float, Field(gt=0, le=_DAY, allow_inf_nan=False)] | None = None


#: What a parameter with a number in it may be.
_NUMBERS: Final[Mapping[str, str]] = {
    "offset": f"a whole number from 0 to {_LAST_OFFSET}",
    "limit": f"a whole number from 1 to {_LAST_LIMIT}",
    "before": f"a whole number from 1 to {_LAST_NUMBER}",
    "since": "Unix seconds",
    "until": "Unix seconds",
    "window": f"seconds, more than 0 and at most {_DAY}",
}
_SHOWN: Final = reprlib.Repr()
_SHOWN.maxstring = 80


async def refuse(request: Request, error: Exception) -> JSONResponse:
    """What is wrong and what is allowed, in the shape that the description promises."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    return JSONResponse({"detail": [_told(one, request) for one in found]}, 422)


def _told(one: dict[str, Any], request: Request) -> dict[str, Any]:
    name, given = str(one["loc"][1]), one.get("input")
    if one["type"] == "extra_forbidden":
        sentence = f"{name} is no parameter; allowed: {', '.join(_parameters(request)) or 'none'}"
    elif one["type"] == "too_long":
        sentence = f"{name} is there {one['ctx']['actual_length']} times; allowed: {one['ctx']['max_length']} times"
    else:
        sentence = f"{name} is {_SHOWN.repr(given)}; allowed: {_allowed(name, one)}"
    return {"loc": list(one["loc"]), "msg": sentence[:1000], "type": one["type"]}


def _allowed(name: str, one: dict[str, Any]) -> str:
    context = one.get("ctx", {})
    if "expected" in context:
        return str(context["expected"]).replace("'", "")
    if one["type"] == "string_too_long":
        return f"at most {context['max_length']} characters"
    return _NUMBERS.get(name, str(one["msg"]))


def _parameters(request: Request) -> list[str]:
    route = request.scope.get("route")
    flat = getattr(getattr(route, "dependant", None), "query_params", [])
    found = [field for one in flat for field in getattr(one.field_info.annotation, "model_fields", {one.name: None})]
    return sorted(found)
