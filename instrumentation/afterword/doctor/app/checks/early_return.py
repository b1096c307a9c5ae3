"""AW101: a successful answer that leaves before ``add_task``."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from afterword.doctor.app import syntax
from afterword.doctor.app.application import Application
from afterword.doctor.app.flow import Exit
from afterword.doctor.app.model import Function
from afterword.doctor.app.registry import Place, at, check
from afterword.doctor.app.scheduling import scheduling_exits

#: Responses that are 200 unless they are told otherwise; of others nobody knows what they mean.
_PLAIN_RESPONSES: Final = frozenset(
    {"Response", "JSONResponse", "ORJSONResponse", "UJSONResponse", "PlainTextResponse"}
)
#: The client is told that it failed, with 200.
_ERROR: Final = re.compile(r"(?i)error|fail|invalid|required|missing|not.found|denied|forbidden|unauthori|bad.request")
#: There is nothing to be done on this way, and the code says so.
_NOTHING_OWED: Final = re.compile(
    r"(?i)already|exist|cache|duplicate|seen|unchanged|no.change|changed|skip|ignor|nothing|noop|dry|preview|debug|test"
    r"|disabled|enabled|opt.?out|opt.?in|unsubscrib|notif|silent|should|want|created|is.new|dirty|ping|pong|challenge"
    r"|health|pending|queued|running|in.progress|send|due"
)
#: Routes that others call with everything that happens, and that acknowledge what they do not need.
_RECEIVES: Final = re.compile(
    r"(?i)hook|callback|event|slack|telegram|whatsapp|discord|stripe|github|gitlab|bot|receive"
)


@check(
    "AW101",
    finds="a route that answers with success before it reaches `add_task`",
    why="The client sees 200 on both ways, and on one of them no task ever existed: nothing can fail, and "
    "nothing is logged.",
    fix="Hand the task over before that return, or let the way that owes nothing fail with `raise HTTPException`.",
)
def early_return(app: Application) -> Iterator[Place]:
    """Look at the routes that hand over on their main way."""
    for function in app.routes.http:
        found = scheduling_exits(function, app, helpers=True)
        behind = [one for one in found if one.must and not isinstance(one.node, ast.Raise)]
        if not behind or not _is_last(behind, found, function):
            continue
        for one in found:
            if isinstance(one.node, ast.Return) and not one.may and _is_mistake(one.node, behind, function):
                problem = f"{function.name} answers with success here, before it hands over its task"
                yield at(function.module, one.node, problem)


def _is_last(behind: list[Exit], found: list[Exit], function: Function) -> bool:
    """Whether the way on which the task is handed over is the one that goes on to the end."""
    orderly = [one for one in found if not isinstance(one.node, ast.Raise)]
    return max(orderly, key=lambda one: _line(one, function)) in behind


def _line(one: Exit, function: Function) -> int:
    return 10**9 if one.node is function.node else getattr(one.node, "lineno", 0)


def _is_mistake(node: ast.Return, behind: list[Exit], function: Function) -> bool:
    value, guard = _plain(node.value), _Guard(node, function)
    if guard.sets_status or (value is None and node.value is not None):
        return False
    text = ast.unparse(value) if value is not None else ""
    if _tells_failure(value):
        return True
    if _NOTHING_OWED.search(f"{text} {guard.text}"):
        return False
    if not guard.is_validation or _RECEIVES.search(_about(function)):
        return False
    same = any(isinstance(other.node, ast.Return) and _text(other.node.value) == _text(node.value)
               for other in behind)  # fmt: skip
    return same or value is None or isinstance(value, ast.Dict | ast.Constant)


def _about(function: Function) -> str:
    """What a route is called, with its path."""
    return " ".join([function.qualname, *(ast.unparse(one) for one in function.decorators)])


def _plain(value: ast.expr | None) -> ast.expr | None:
    """What the client gets with status 200, as far as it is spelled out; a name or an attribute as it is."""
    if isinstance(value, ast.Call):
        if syntax.keyword(value, "background") is not None:
            return None
        kind = syntax.dotted(value.func).rpartition(".")[2]
        if kind == "dict":
            return ast.copy_location(ast.Dict([ast.Constant(one.arg or "") for one in value.keywords],
                                              [one.value for one in value.keywords]), value)  # fmt: skip
        status = syntax.argument(value, 1, "status_code")
        if kind not in _PLAIN_RESPONSES or (status is not None and not _is_success(status)):
            return None
        return _plain(syntax.argument(value, 0, "content")) or ast.Constant("")
    if isinstance(value, ast.Dict | ast.Constant | ast.Name | ast.Attribute):
        return value
    return None


def _is_success(status: ast.expr) -> bool:
    code = syntax.number(status)
    if code is not None:
        return code < 300 and code != 204  # who says that there is nothing has thought of it
    return "HTTP_20" in syntax.dotted(status).replace("HTTP_204", "") or syntax.dotted(status).endswith(
        (".OK", ".CREATED", ".ACCEPTED")
    )


def _tells_failure(value: ast.expr | None) -> bool:
    if not isinstance(value, ast.Dict):
        return False
    for key, one in zip(value.keys, value.values, strict=True):
        name = key.value if isinstance(key, ast.Constant) else ""
        told = one.value if isinstance(one, ast.Constant) else None
        if name in {"error", "errors"} and not (isinstance(one, ast.Constant) and not told):
            return True
        if name in {"ok", "success"} and told is False:
            return True
        if name in {"message", "detail", "status", "result", "msg"} and isinstance(told, str) and _ERROR.search(told):
            return True
    return False


def _text(value: ast.expr | None) -> str:
    return ast.unparse(value) if value is not None else ""


class _Guard:
    """What decides that a return is reached: the test of the innermost ``if``, or a handler."""

    def __init__(self, node: ast.Return, function: Function) -> None:
        parents = function.module.parents
        child: ast.AST = node
        around = parents.get(node)
        while around is not None and not isinstance(around, ast.If | ast.ExceptHandler | ast.Match):
            if around is function.node:
                break
            child, around = around, parents.get(around)
        self.text, self.is_validation, self.sets_status = "", False, False
        if isinstance(around, ast.If):
            self.text = ast.unparse(around.test)
            self.is_validation = child in around.body and _says_absent(around.test)
            self.sets_status = _sets_status(around.body if child in around.body else around.orelse)
        elif isinstance(around, ast.ExceptHandler):
            self.is_validation = True
            self.sets_status = _sets_status(around.body)


def _sets_status(block: list[ast.stmt]) -> bool:
    """``response.status_code = 404`` before the return."""
    return any(isinstance(one, ast.Attribute) and one.attr == "status_code" and isinstance(one.ctx, ast.Store)
               for statement in block for one in ast.walk(statement))  # fmt: skip


def _says_absent(test: ast.expr) -> bool:
    """``not x``, ``x is None``, ``x == ""``, ``len(x) < 3`` and the like: something asked for is not there."""
    match test:
        case ast.UnaryOp(op=ast.Not()):
            return True
        case ast.BoolOp():
            return any(_says_absent(one) for one in test.values)
        case ast.Compare(ops=[ast.Is() | ast.Eq()], comparators=[ast.Constant(value=None | "" | 0)]):
            return True
        case ast.Compare(ops=[ast.Lt() | ast.LtE() | ast.Gt() | ast.GtE() | ast.NotIn()]):
            return True
        case _:
            return False
