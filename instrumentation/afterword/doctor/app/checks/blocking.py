"""AW105 and AW115: a task in the event loop that holds up everybody else."""

import re
from collections.abc import Iterator
from typing import Final

from afterword.doctor.app.application import Application, Running
from afterword.doctor.app.registry import Place, at, check

_VERBS: Final = "(get|post|put|patch|delete|head|options|request)"
_BLOCKING: Final = re.compile(
    rf"requests\.(api\.)?{_VERBS}|requests\.(sessions\.)?[Ss]ession\(\)\.({_VERBS}|send)"
    rf"|httpx\.({_VERBS}|stream)|httpx\.Client\(\)\.({_VERBS}|send|stream)"
    r"|urllib\.request\.(urlopen|urlretrieve)|urllib3\.(request|PoolManager\(\)\.(request|urlopen))"
    r"|http\.client\.HTTPS?Connection\(\)\.(connect|request|getresponse)"
    r"|smtplib\.(SMTP|SMTP_SSL|LMTP)|(imaplib\.IMAP4|poplib\.POP3)(_SSL)?|ftplib\.FTP(_TLS)?"
    r"|socket\.create_connection|socket\.(gethostbyname|getaddrinfo)|time\.sleep"
    r"|subprocess\.(run|call|check_call|check_output)|os\.system"
    r"|psycopg2?\.connect|pymysql\.connect|MySQLdb\.connect"
)
_COMPUTING: Final = re.compile(
    r"PIL\.Image\.open|bcrypt\.(hashpw|checkpw)|hashlib\.(pbkdf2_hmac|scrypt)"
    r"|pandas\.read_(csv|excel|parquet|json)|cv2\.(imread|resize|imwrite)"
    r"|shutil\.(make_archive|unpack_archive|copytree|rmtree)|cProfile\.run"
)
_ELSE: Final = (
    "put it into a plain function for `asyncio.to_thread`, or make the task a plain `def`, which runs in a thread."
)
#: What helps against each of them; the first that fits.
_CURES: Final = (
    (r"time\.sleep", "Await `asyncio.sleep(...)`, or make the task a plain `def`, which runs in a thread."),
    (r"requests\.|httpx\.|urllib|http\.client", f"Await `httpx.AsyncClient`, or {_ELSE}"),
    (r"smtplib", f"Await `aiosmtplib.send(...)`, or {_ELSE}"),
    (r"imaplib|poplib|ftplib", _ELSE[0].upper() + _ELSE[1:]),
    (r"socket\.create_connection", f"Await `asyncio.open_connection(host, port)`, or {_ELSE}"),
    (r"socket\.get", f"Await `asyncio.get_running_loop().getaddrinfo(host, port)`, or {_ELSE}"),
    (r"subprocess|os\.system", f"Await `asyncio.create_subprocess_exec(...)`, or {_ELSE}"),
    (r"psycopg", f"Await `psycopg.AsyncConnection.connect(...)`, or {_ELSE}"),
    (r"pymysql|MySQLdb", f"Await `asyncmy.connect(...)`, or {_ELSE}"),
)


@check(
    "AW105",
    finds="a call that blocks, such as `requests`, sync `httpx`, `smtplib` or `time.sleep`, in an async task",
    why="An `async def` task runs in the event loop. While the call waits, no request of this process is answered and "
    "no other task goes on; a server that looks dead is killed, and with it all that was under way.",
    fix="Await an async client (`httpx.AsyncClient`, `asyncio.sleep`), make the task a plain `def`, which runs in a "
    "thread, or call it through `asyncio.to_thread`.",
)
def blocks(app: Application) -> Iterator[Place]:
    """Look at every function that runs in the event loop because of a task."""
    for run in app.running:
        if run.in_loop:
            yield from _calls(run, app, _BLOCKING, "blocks the event loop")


@check(
    "AW115",
    finds="long computation, such as images, archives or password hashes, in an async task",
    why="An `async def` task computes in the event loop, and all requests and tasks of the process wait for it.",
    fix="Make the task a plain `def`, which runs in a thread, use `asyncio.to_thread` or a process pool, or give it to "
    "a queue with workers of its own.",
)
def computes(app: Application) -> Iterator[Place]:
    """Look at every function that runs in the event loop because of a task."""
    for run in app.running:
        if run.in_loop:
            yield from _calls(run, app, _COMPUTING, "computes in the event loop")


def _calls(run: Running, app: Application, pattern: re.Pattern[str], does: str) -> Iterator[Place]:
    for call in run.function.calls:
        name = app.symbols.called(call, run.function.module)
        if name and pattern.fullmatch(name):
            shown = name.replace("()", "")
            problem = f"{shown} {does} in the async task {run.task.name}"
            yield at(run.function.module, call, problem, _cure(shown))


def _cure(name: str) -> str:
    """What helps against a call by its name; empty if that is the same for all of its check."""
    return next((cure for pattern, cure in _CURES if re.match(pattern, name)), "")
