"""What a user gets from `pip install afterword`: one package that works alone and does nothing at import."""

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*command, cwd, **environment):
    """Run a command away from the source tree and return its output."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("AFTERWORD_", "PYTHON"))} | environment
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from the sdist, so that a file missing from the sdist is noticed too."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT), cwd=out)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel):
    """Every file in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A fresh environment with the bare wheel and nothing else; returns its bin directory."""
    home = tmp_path_factory.mktemp("bare")
    venv.create(home, with_pip=False, symlinks=True)
    python = home / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", str(wheel), cwd=home)
    return home / "bin"


def test_wheel_has_one_top_level_name(names):
    """Only `afterword` appears in site-packages: no tests, demo, dashboards or instrumentation folder."""
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith((".dist-info", ".data"))} == {"afterword"}


def test_wheel_is_typed(names):
    """Type checkers read our annotations from the installed package."""
    assert "afterword/py.typed" in names


def test_wheel_can_instrument_without_code(wheel, names):
    """What `afterword run` puts on PYTHONPATH, with nothing beside it, and what `opentelemetry-instrument` asks for."""
    assert [name for name in names if name.startswith("afterword/auto/site/")] == [
        "afterword/auto/site/sitecustomize.py"
    ]
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in names if name.endswith(".dist-info/entry_points.txt"))
        told = archive.read(path).decode()
    assert "[opentelemetry_instrumentor]\nafterword = afterword.auto.otel:AfterwordInstrumentor\n" in told


def test_wheel_passes_check_wheel_contents(wheel):
    """No compiled files, duplicates, empty or doubtful library entries."""
    run(sys.executable, "-m", "check_wheel_contents", "--toplevel", "afterword", str(wheel), cwd=wheel.parent)


@pytest.mark.parametrize(
    ("folder", "pattern"), [("dashboards", "*.json"), ("alerts", "*.*"), ("alerts/runbooks", "*.md")]
)
def test_wheel_brings_the_files_to_import(names, folder, pattern):
    """Whoever only wants dashboards, rules and runbooks finds every one of them under share/afterword."""
    inside = f"/data/share/afterword/{folder}"
    shipped = {Path(name).name for name in names if name.rpartition("/")[0].endswith(inside)}
    assert shipped == {file.name for file in (ROOT / folder).glob(pattern)}


def test_metadata_names_one_dependency_and_the_readme(wheel):
    """Users install prometheus-client with us and nothing more, and read the README on the index page."""
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        head, _, body = archive.read(path).decode().partition("\n\n")
    required = [line for line in head.splitlines() if line.startswith("Requires-Dist:") and "extra ==" not in line]
    assert [line.split()[1].partition(">")[0] for line in required] == ["prometheus-client"]
    readme = ROOT / "README.md"
    assert not readme.exists() or body.strip() == readme.read_text(encoding="utf-8").strip()


def test_the_installed_command_works_from_anywhere(installed, tmp_path):
    """`python -m afterword --help` needs neither the source tree nor an extra."""
    assert "afterword" in run(str(installed / "python"), "-m", "afterword", "--help", cwd=tmp_path)
    assert "sidecar" in run(str(installed / "afterword"), "--help", cwd=tmp_path)


def test_the_installed_command_prints_the_alert_rules(installed, tmp_path):
    """Generating the rules needs only what `pip install afterword` brought."""
    rules = run(str(installed / "afterword"), "alerts", cwd=tmp_path)
    assert "groups:" in rules
    assert "AfterwordTaskLost" in rules


IMPORT_PROBE = """
import json, os, sys, threading

seen = []
package = None

def watch(event, args):
    if event == "open" and isinstance(args[0], str) and package is not None:
        if not args[0].startswith((sys.prefix, sys.base_prefix, package)):
            seen.append(f"open {args[0]}")
    elif event in ("socket.__new__", "subprocess.Popen", "os.fork", "os.mkdir", "_thread.start_new_thread"):
        seen.append(event)

class Watched(type(os.environ)):
    def __getitem__(self, key):
        seen.append(f"environment {key}")
        return super().__getitem__(key)

import importlib.util
package = os.path.dirname(importlib.util.find_spec("afterword").origin)
env = os.environ
os.environ = Watched(env._data, env.encodekey, env.decodekey, env.encodevalue, env.decodevalue)
sys.addaudithook(watch)
import afterword
os.environ = env
frameworks = {"fastapi", "starlette", "prometheus_client", "opentelemetry", "uvicorn"} & set(sys.modules)
print(json.dumps({"seen": seen, "frameworks": sorted(frameworks), "threads": threading.active_count()}))
"""


def test_importing_does_nothing(tmp_path):
    """No framework, thread, file, directory, socket or environment variable is touched before instrument()."""
    found = json.loads(run(sys.executable, "-B", "-c", IMPORT_PROBE, cwd=tmp_path))
    assert found == {"seen": [], "frameworks": [], "threads": 1}
