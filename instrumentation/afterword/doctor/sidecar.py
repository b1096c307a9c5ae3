"""The sidecar: whether one is running for this directory, in this version, and sees."""

import re
import time
from collections.abc import Iterator
from typing import Final

from afterword import __version__, contract
from afterword.doctor.finding import Finding, counted, note, ok, problem, warning
from afterword.doctor.processes import listener, user
from afterword.doctor.scene import Scene, is_here
from afterword.doctor.web import NoAnswerError

#: An answer that reads ledgers reads them now; this is older than any of its clocks differ, in seconds.
_SCAN_STALE: Final = 60.0
_OK, _UNAUTHORIZED, _NOT_FOUND = 200, 401, 404
_BUILD: Final = re.compile(rf'^{contract.SIDECAR_BUILD.sample}{{.*version="([^"]*)"', re.MULTILINE)


def answers(scene: Scene) -> Iterator[Finding]:
    """A sidecar answers, and not another program."""
    site, silent = scene.sidecar, scene.sidecar_silent
    start = f"afterword sidecar --dir {scene.directory}"
    if silent is None:
        answer = site.get("/healthz")
        if answer.status == _OK and answer.text.strip() == "ok":
            yield ok(f"a sidecar answers at {site.url}")
        else:
            yield problem(
                f"{site.url} answers, but not as a sidecar does (/healthz: {answer.status})",
                f"another program has the port: {start} --listen 127.0.0.1:9797",
            )
    elif is_here(site.host) and (uid := listener(site.port)) is not None:
        yield problem(
            f"another program, of {user(uid)}, has the port of {site.url}: {silent}", f"{start} --listen 127.0.0.1:9797"
        )
    elif scene.sidecar_url is not None:
        yield problem(f"no sidecar answers at {site.url}: {silent}", start)
    elif scene.settings.metrics is not None:
        yield note(
            f"no sidecar answers at {site.url} ({silent}); the application itself serves {scene.settings.metrics}"
        )
    else:
        yield warning(f"no sidecar answers at {site.url}: {silent}", start)


def ready(scene: Scene) -> Iterator[Finding]:
    """As the sidecar sees it, applications can keep ledgers in the directory."""
    if not _is_sidecar(scene):
        return
    answer = scene.sidecar.get("/readyz")
    if answer.status == _OK:
        yield ok("it says that applications can keep ledgers")
    elif answer.status == _UNAUTHORIZED:
        yield from _wants_token(scene, "/readyz")
    else:
        yield problem(
            f"it says that applications cannot keep ledgers: {answer.text.strip()}",
            "see the directory above, as the sidecar's user and in its container",
        )


def version(scene: Scene) -> Iterator[Finding]:
    """It is of the application's version."""
    if not _is_sidecar(scene):
        return
    theirs = scene.status.get("version") or _build(scene)
    writers = {ledger.header.version for ledger in scene.contents.living} or {__version__}
    if theirs is None:
        return  # it refuses its pages, or has none: `sidecar.scan` says so
    if writers == {theirs}:
        yield ok(f"afterword {theirs}, as the application")
    else:
        yield warning(
            f"the sidecar is afterword {theirs}, the application {', '.join(sorted(writers))}: each reads the "
            "other's ledgers, but what is new in one is not seen",
            "upgrade both and restart them",
        )


def scan(scene: Scene) -> Iterator[Finding]:
    """It has read the ledgers just now, and all of them."""
    if not _is_sidecar(scene):
        return
    answer = scene.sidecar.get("/metrics")
    if answer.status == _UNAUTHORIZED:
        yield from _wants_token(scene, "/metrics")
        return
    numbers = _numbers(answer.text)
    at = numbers.get(contract.SIDECAR_SCAN.sample)
    if answer.status != _OK:
        yield problem(f"/metrics answers {answer.status}: {answer.text.strip()}", "see the sidecar's log")
        return
    if at is None:
        yield problem(f"/metrics has no {contract.SIDECAR_SCAN.sample}", "is that the sidecar's port?")
        return
    age, took = time.time() - at, numbers.get(contract.SIDECAR_SCAN_DURATION.sample, 0.0)
    if abs(age) > _SCAN_STALE:
        yield warning(
            f"its last scan is {age:.0f} s old", "see the sidecar's log; if its machine is another, its clock"
        )
    else:
        yield ok(f"its last scan is {max(age, 0):.1f} s old and took {took * 1000:.1f} ms")
    for metric in (
        contract.SIDECAR_UNREADABLE,
        contract.SIDECAR_UNKNOWN,
        contract.SIDECAR_UNACCOUNTED,
        contract.SIDECAR_FOLD_ERRORS,
    ):
        if numbers.get(metric.sample):
            yield warning(f"it counts {metric.sample} {numbers[metric.sample]:g}: {metric.help}", "see its log")


def directory(scene: Scene) -> Iterator[Finding]:
    """It watches this directory."""
    if not _is_sidecar(scene):
        return
    theirs, ours = scene.status.get("directory"), str(scene.directory)
    if theirs == ours:
        yield ok(f"it watches {ours}")
        return
    if theirs is not None:
        yield problem(
            f"it watches {theirs}, this looks at {ours}",
            "give application and sidecar the same AFTERWORD_DIR; in containers the same volume",
        )
        return
    seen = _numbers(scene.sidecar.get("/metrics").text).get(contract.SIDECAR_LEDGERS.sample)
    living = len(scene.contents.living)
    if seen is not None and bool(seen) != bool(living):
        yield warning(
            f"it reads {counted(int(seen), 'ledger')}, here are {living} of living processes: another directory?",
            "give application and sidecar the same AFTERWORD_DIR; in containers the same volume",
        )
    elif seen is not None:
        yield ok(f"it reads {counted(int(seen), 'ledger')}, here are {living} of living processes")


def owner(scene: Scene) -> Iterator[Finding]:
    """It runs as a user who can read what the application writes."""
    site = scene.sidecar
    uid = listener(site.port) if is_here(site.host) and scene.sidecar_silent is None else None
    if uid is None or not _is_sidecar(scene) or not scene.directory.exists():
        return
    whose = scene.directory.stat().st_uid
    if uid == whose:
        yield ok(f"it runs as {user(uid)}, to whom the directory belongs")
    elif uid == 0:
        yield warning(
            f"it runs as root, the directory belongs to {user(whose)}: what it keeps there nobody else can read",
            f"run it as {user(whose)}",
        )
    else:
        yield problem(
            f"it runs as {user(uid)}, who cannot read the ledgers of {user(whose)}", f"run it as {user(whose)}"
        )


def history(scene: Scene) -> Iterator[Finding]:
    """It keeps the history of bad endings without trouble."""
    kept = scene.status.get("history")
    if not isinstance(kept, dict):
        return
    if kept.get("problem"):
        yield warning(f"its history has trouble: {kept['problem']}", "see its log; counters are not concerned")
    elif kept.get("missed"):
        yield note(f"its history has {kept.get('kept')} bad endings; {kept['missed']} were never kept one by one")
    else:
        yield ok(f"its history has {kept.get('kept')} of at most {kept.get('limit')} bad endings")


def _is_sidecar(scene: Scene) -> bool:
    """Something answers as a sidecar does; what does not is told once."""
    try:
        return scene.sidecar_silent is None and scene.sidecar.get("/healthz").text.strip() == "ok"
    except NoAnswerError:
        return False


def _wants_token(scene: Scene, path: str) -> Iterator[Finding]:
    has = scene.settings.token is not None
    yield warning(
        f"{path} answers 401: {'AFTERWORD_TOKEN is not its token' if has else 'it wants a token'}",
        "AFTERWORD_TOKEN=... afterword doctor, with the sidecar's own",
    )


def _build(scene: Scene) -> str | None:
    answer = scene.sidecar.get("/metrics")
    found = _BUILD.search(answer.text)
    return found[1] if found and answer.status == _OK else None


def _numbers(page: str) -> dict[str, float]:
    """The sidecar's own numbers, added up over their labels."""
    found: dict[str, float] = {}
    for name, value in re.findall(r"(?m)^(afterword_sidecar_\w+)(?:\{.*\})? (\S+)$", page):
        try:
            found[name] = found.get(name, 0.0) + float(value)
        except ValueError:
            continue
    return found
