"""What the API can be asked: every parameter with what is allowed; a word that is no parameter is refused."""

from typing import Annotated, Any, Literal

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from afterword import words
from afterword.view.endings import EndingQuery
from afterword.view.model import Ending, Health, State
from afterword.view.runs import RunQuery

Name = Annotated[str, Field(max_length=500)]
#: Unix seconds, until the year 2255.
Moment = Annotated[float, Field(ge=0, le=9_000_000_000, allow_inf_nan=False)]
Offset = Annotated[int, Field(ge=0, le=1_000_000_000)]
Limit = Annotated[int, Field(ge=1, le=1000)]
Kind = Literal[words.KINDS]  # type: ignore[valid-type]  # one list of words, known when this runs
Sort = Literal["bad", "name", "running", "waiting", "recent"]


class _Question(BaseModel):
    model_config = ConfigDict(extra="forbid")


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
    before: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None
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

    window: Annotated[float, Field(gt=0, le=86400, allow_inf_nan=False)] | None = None


async def refuse(request: Request, error: Exception) -> JSONResponse:
    """What is wrong and what is allowed, in the shape that the description promises."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    return JSONResponse({"detail": [_told(one, request) for one in found]}, 422)


def _told(one: dict[str, Any], request: Request) -> dict[str, Any]:
    name, context = ".".join(map(str, one["loc"][1:])), one.get("ctx", {})
    if one["type"] == "extra_forbidden":
        allowed = ", ".join(_parameters(request)) or "none"
        sentence = f"{name} is no parameter; allowed: {allowed}"
    elif "expected" in context:
        sentence = f"{name} is {one.get('input')!r}; allowed: {context['expected']}".replace("'", "")
    else:
        sentence = f"{name} is {one.get('input')!r}; allowed: {_lowered(one['msg'])}"
    return {"loc": list(one["loc"]), "msg": sentence[:1000], "type": one["type"]}


def _lowered(sentence: str) -> str:
    return sentence.removeprefix("Input should be ").removeprefix("Input ")


def _parameters(request: Request) -> list[str]:
    route = request.scope.get("route")
    flat = getattr(getattr(route, "dependant", None), "query_params", [])
    found = [field for one in flat for field in getattr(one.field_info.annotation, "model_fields", {one.name: None})]
    return sorted(found)
