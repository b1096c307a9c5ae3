"""AW106: a task that may wait for ever."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from afterword.doctor.app import syntax
from afterword.doctor.app.application import Application, Running
from afterword.doctor.app.model import Module
from afterword.doctor.app.registry import Place, at, check
from afterword.doctor.app.symbols import Outside

_VERBS: Final = "(get|post|put|patch|delete|head|options|request)"
_SESSION: Final = re.compile(rf"requests\.(sessions\.)?[Ss]ession\(\)\.({_VERBS}|send)")
#: Waits for ever unless it is told otherwise; the place of the argument, 99 where it has a name only.
_ENDLESS: Final = (
    (re.compile(rf"requests\.(api\.)?{_VERBS}"), 99),
    (_SESSION, 99),
    (re.compile(r"urllib\.request\.urlopen"), 2),
    (re.compile(r"smtplib\.SMTP"), 3),
    (re.compile(r"smtplib\.SMTP_SSL"), 99),
    (re.compile(r"smtplib\.LMTP"), 99),
    (re.compile(r"http\.client\.HTTPConnection"), 2),
    (re.compile(r"http\.client\.HTTPSConnection"), 99),
    (re.compile(r"imaplib\.IMAP4"), 2),
    (re.compile(r"poplib\.POP3"), 2),
    (re.compile(r"(imaplib\.IMAP4|poplib\.POP3)_SSL"), 99),
    (re.compile(r"ftplib\.FTP"), 4),
    (re.compile(r"socket\.create_connection"), 1),
)
#: Has a limit of its own, unless it is told to have none.
_LIMITED: Final = re.compile(
    rf"httpx\.({_VERBS}|stream)|httpx\.(Async)?Client\(\)\.({_VERBS}|stream)"
    rf"|aiohttp\.(client\.)?ClientSession\(\)\.(ws_connect|{_VERBS})|aiosmtplib\.send"
)
_NO_LIMIT: Final = re.compile(r"(httpx|aiohttp)\.(Timeout|ClientTimeout)\(\)")
_STREAMS: Final = "asyncio.open_connection"
_AROUND: Final = "Put a limit around it: `async with asyncio.timeout(10):`, in seconds."


@check(
    "AW106",
    finds="an HTTP, SMTP or socket call without a timeout in a task",
    why="`requests`, `urllib`, `smtplib` and sockets wait for ever for a partner that does not answer, and so does "
    "`httpx` with `timeout=None`. The task neither fails nor ends, and holds a thread of the pool until none is left.",
    fix="Say how long it may take: `requests.post(url, timeout=10)`, `httpx.AsyncClient(timeout=10)`, "
    "`smtplib.SMTP(host, timeout=10)`.",
)
def waits_for_ever(app: Application) -> Iterator[Place]:
    """Look at every function that runs because of a task."""
    has_default = _sets_default(app)
    for run in app.running:
        for call in run.function.calls:
            yield from _one(call, run, app, has_default=has_default)


def _one(call: ast.Call, run: Running, app: Application, *, has_default: bool) -> Iterator[Place]:
    function = run.function
    found = app.symbols.resolve(call.func, function, function.module)
    if not isinstance(found, Outside):
        return
    shown = found.name.replace("()", "")
    inside = f"in the task {run.task.name}"
    for pattern, position in _ENDLESS:
        if not pattern.fullmatch(found.name) or (has_default and not shown.startswith("requests.")):
            continue
        timeout = syntax.argument(call, position, "timeout")
        if syntax.spreads(call) or not _is_endless(timeout):
            return
        if _SESSION.fullmatch(found.name) and _is_adapted(call, run, app):
            return
        yield at(function.module, call, f"{shown} has no timeout {inside}", _cure(shown))
    is_limited = run.limited or app.is_limited(call, function)
    if found.name == _STREAMS and not is_limited:
        yield at(function.module, call, f"{shown} has no timeout {inside}", _AROUND)
    if _LIMITED.fullmatch(found.name) and not is_limited:
        yield from _told_to_wait(call, found, run, app, f"{shown} waits without a limit {inside}")


def _cure(name: str) -> str:
    """The call as it should be; of a client or session, the call of its method."""
    owner, _, method = name.rpartition(".")
    base = owner.rpartition(".")[2]
    made = "client" if base.endswith("Client") else "session" if base.lower().endswith("session") else ""
    shown = f"{made}.{method}" if made else name
    seconds = "timeout=aiohttp.ClientTimeout(total=10)" if name.startswith("aiohttp") else "timeout=10"
    return f"Say how long it may take, in seconds: `{shown}(..., {seconds})`."


def _told_to_wait(call: ast.Call, found: Outside, run: Running, app: Application, problem: str) -> Iterator[Place]:
    """``timeout=None`` at the call, or where its client was made."""
    own = syntax.keyword(call, "timeout")
    if own is not None:
        if _is_unlimited(own, run.function.module, app):
            yield at(run.function.module, call, problem, _cure(found.name.replace("()", "")))
    elif found.made_by is not None:
        made, module = found.made_by
        default = syntax.keyword(made, "timeout")
        if default is not None and _is_unlimited(default, module, app):
            yield at(module, made, problem, _cure(app.symbols.called(made, module)))


def _is_endless(timeout: ast.expr | None) -> bool:
    return timeout is None or syntax.is_none(timeout)


def _is_unlimited(timeout: ast.expr, module: Module, app: Application) -> bool:
    if syntax.is_none(timeout):
        return True
    if not isinstance(timeout, ast.Call):
        return False
    name = app.symbols.outside(timeout, module.function_of(timeout), module)
    total = syntax.argument(timeout, 0, "total" if name.startswith("aiohttp") else "timeout")
    return bool(_NO_LIMIT.fullmatch(name)) and syntax.is_none(total) and len(timeout.args) + len(timeout.keywords) == 1


def _is_adapted(call: ast.Call, run: Running, app: Application) -> bool:
    """Whether the session got an adapter or a ``request`` of somebody's own, which may know a timeout."""
    base = syntax.dotted(call.func).rpartition(".")[0]
    for node in ast.walk(run.function.module.tree):
        if isinstance(node, ast.Call) and base and syntax.dotted(node.func) == f"{base}.mount" and len(node.args) > 1:
            adapter = app.symbols.outside(node.args[1], run.function, run.function.module)
            if adapter != "requests.adapters.HTTPAdapter()":
                return True
        if isinstance(node, ast.Assign) and any(syntax.dotted(one).startswith(f"{base}.") for one in node.targets):
            return True
    return False


def _sets_default(app: Application) -> bool:
    """Whether ``socket.setdefaulttimeout`` limits what has no limit of its own."""
    return any(
        app.symbols.outside(node.func, None, module) == "socket.setdefaulttimeout"
        for module in app.project.modules.values()
        for node in module.calls
        if syntax.dotted(node.func).endswith("setdefaulttimeout")
    )
