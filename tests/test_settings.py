"""Settings: three forms of each, and one sentence for whatever cannot be meant; never an exception."""

import os
from pathlib import Path

import pytest
from fastapi import BackgroundTasks, FastAPI
from fastapi.testclient import TestClient
from starlette.applications import Starlette

import afterword
from afterword import settings
from afterword.settings import SETTINGS, Address, Settings
from tests.helpers import Children


def load(environment: dict[str, str] | None = None, **keywords: object) -> tuple[Settings, list[str]]:
    """The settings and every sentence about them."""
    told: list[str] = []
    return settings.load(keywords, told.append, environment or {}), told


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory of each test, without an afterword.toml."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_any_setting_the_defaults_hold_and_nothing_is_said():
    """The normal case: no variable, no file, no keyword."""
    found, told = load()
    assert told == []
    assert found.directory == settings.default_directory()
    assert (found.service, found.deadline, found.start_deadline) == (None, 300, 60)
    assert (found.time_scale, found.slots, found.disabled) == (1, 4096, False)
    assert found.listen == ("127.0.0.1", 9796)


def test_a_keyword_beats_the_variable_and_the_variable_beats_the_file(folder):
    """Every setting has three forms, in this order."""
    (folder / "afterword.toml").write_text('service = "file"\ndeadline = 3\nstart_deadline = 7.5\nlisten = "[::1]:0"\n')
    found, told = load({"AFTERWORD_SERVICE": "variable", "AFTERWORD_DEADLINE": "2"}, service="keyword")
    assert told == []
    assert (found.service, found.deadline, found.start_deadline) == ("keyword", 2, 7.5)
    assert found.listen == Address("::1", 0)


def test_opentelemetry_names_the_service_when_nobody_else_does():
    """OTEL_SERVICE_NAME comes after our own three forms."""
    assert load({"OTEL_SERVICE_NAME": "otel"})[0].service == "otel"
    assert load({"OTEL_SERVICE_NAME": "otel", "AFTERWORD_SERVICE": "ours"})[0].service == "ours"


def test_the_time_scale_divides_defaults_and_leaves_given_durations():
    """What somebody wrote down is meant as it stands."""
    found, _ = load({"AFTERWORD_TIME_SCALE": "30", "AFTERWORD_DEADLINE": "12"})
    assert (found.deadline, found.start_deadline) == (12, 2)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("dir", "relative/path", "an absolute path"),
        ("dir", "/with\0nul", "an absolute path"),
        ("service", "  ", "a name that is not empty"),
        ("deadline", "soon", "seconds, more than 0 and at most a year"),
        ("deadline", "0", "seconds, more than 0 and at most a year"),
        ("deadline", "nan", "seconds, more than 0 and at most a year"),
        ("start_deadline", "inf", "seconds, more than 0 and at most a year"),
        ("start_deadline", "-5", "seconds, more than 0 and at most a year"),
        ("time_scale", "0", "a number from 0.001 to 100000"),
        ("slots", "63", "a whole number from 64 to 524288"),
        ("slots", "100.5", "a whole number from 64 to 524288"),
        ("slots", "9" * 400, "a whole number from 64 to 524288"),
        ("listen", "9796", "HOST:PORT with a port from 0 to 65535"),
        ("listen", "localhost:65536", "HOST:PORT with a port from 0 to 65535"),
        ("listen", "http://localhost:80", "HOST:PORT with a port from 0 to 65535"),
        ("trace", "sideways", "parent, link or off"),
        ("otlp_endpoint", "tempo:4318", "a URL that begins with http:// or https://"),
        ("otlp_endpoint", "http://:4318", "a URL that begins with http:// or https://"),
        ("trace_url", "http://tempo/trace", "a URL that begins with http:// or https:// and has {trace_id} in it"),
        ("trace_url", "tempo/{trace_id}", "a URL that begins with http:// or https:// and has {trace_id} in it"),
        ("metrics_listen", "9796", "HOST:PORT with a port from 0 to 65535"),
        ("allowed_hosts", "a b", "host names with commas between them"),
        ("allowed_hosts", 7, "host names with commas between them"),
        ("otlp_endpoint", "http://tempo:port", "a URL that begins with http:// or https://"),
        ("disabled", "maybe", "1 or 0"),
    ],
)
def test_an_impossible_value_is_told_with_what_is_allowed_and_the_default_holds(name, value, allowed):
    """One sentence that names the variable, the value and what may stand there."""
    default, _ = load()
    found, (sentence,) = load({f"AFTERWORD_{name.upper()}": value})
    assert sentence.startswith(f"AFTERWORD_{name.upper()} is {value!r}"[:40])
    assert sentence.endswith(f"; allowed: {allowed}")
    assert len(sentence) < 200
    assert found == default


@pytest.mark.parametrize("secret", ["short", "a secret with spaces in it", "ein-gehe\u00efmnis-das-lang-ist"])
def test_a_token_that_cannot_be_used_is_not_shown(secret):
    """It would be in the log of whoever starts it."""
    found, (sentence,) = load({"AFTERWORD_TOKEN": secret})
    allowed = "allowed: at least 16 visible ASCII characters, no spaces"
    assert sentence == f"AFTERWORD_TOKEN cannot be used and is not shown; {allowed}"
    assert found.token is None


def test_a_toml_value_of_the_wrong_type_is_no_number(folder):
    """`deadline = true` is a mistake, not one second."""
    (folder / "afterword.toml").write_text('deadline = true\nslots = 64.5\nservice = 3\ndir = ["a"]\n')
    _, told = load()
    assert told == [
        "dir in afterword.toml is ['a']; allowed: an absolute path",
        "service in afterword.toml is 3; allowed: a name that is not empty",
        "deadline in afterword.toml is True; allowed: seconds, more than 0 and at most a year",
        "slots in afterword.toml is 64.5; allowed: a whole number from 64 to 524288",
    ]


def test_an_object_that_cannot_even_be_shown_raises_nothing():
    """A keyword may be any object of the application's."""

    class Hostile:
        def __fspath__(self) -> str:
            raise RuntimeError

        __repr__ = __fspath__

    _, (sentence,) = load(dir=Hostile())
    assert sentence.endswith("allowed: an absolute path")


def test_an_empty_variable_is_not_given_and_an_empty_keyword_is_wrong():
    """`AFTERWORD_DIR=` in a compose file unsets it; `--dir ""` is a slip of a script."""
    assert load({setting.variable: "" for setting in SETTINGS}) == load()
    assert load(dir="")[1] == ["dir is ''; allowed: an absolute path"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("AFTERWORD_DEADLIN", "AFTERWORD_DEADLIN is no setting; did you mean AFTERWORD_DEADLINE?"),
        (
            "AFTERWORD_XYZZY42",
            "AFTERWORD_XYZZY42 is no setting; allowed: AFTERWORD_ALLOWED_HOSTS, AFTERWORD_DEADLINE, AFTERWORD_DIR, ",
        ),
        ("AFTERWORD_DIRECTORY", "AFTERWORD_DIRECTORY is no setting; did you mean AFTERWORD_DIR?"),
    ],
)
def test_an_unknown_variable_is_told_with_the_nearest_name(name, sentence):
    """A typing error must not be silence."""
    _, (told,) = load({name: "1"})
    assert told.startswith(sentence)


def test_the_variables_of_a_kubernetes_service_called_afterword_are_no_typing_errors():
    """Kubernetes sets them in every container of the namespace; the sidecar must start."""
    links = {
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "AFTERWORD_SERVICE_HOST": "10.0.0.2",
        "AFTERWORD_SERVICE_PORT": "9796",
        "AFTERWORD_SERVICE_PORT_METRICS": "9796",
        "AFTERWORD_PORT": "tcp://10.0.0.2:9796",
        "AFTERWORD_PORT_9796_TCP": "tcp://10.0.0.2:9796",
        "AFTERWORD_PORT_9796_TCP_ADDR": "10.0.0.2",
        "AFTERWORD_SIDECAR_SERVICE_HOST": "10.0.0.3",
    }
    assert load(links) == load()
    assert len(load({**links, "AFTERWORD_DEADLIN": "1"})[1]) == 1


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (b"deadlin = 3\n", ["deadlin in afterword.toml is no setting; did you mean deadline?"]),
        (b"[afterword]\ndeadline = 3\n", ["[afterword] in afterword.toml is no setting; allowed: "]),
        (b"deadline 3\n", ["afterword.toml is not TOML: Expected '=' after a key"]),
        (b"service = '\xff'\n", ["afterword.toml is not UTF-8 text; allowed: a TOML file"]),
        (b"a = " + b"[" * 100_000, ["afterword.toml is not TOML: "]),
        (b"", []),
    ],
)
def test_a_settings_file_that_cannot_be_meant_is_told_in_one_sentence(folder, text, sentences):
    """A wrong key, a table, wrong syntax, wrong bytes, too deep."""
    (folder / "afterword.toml").write_bytes(text)
    found, told = load()
    assert [sentence[: len(told_start)] for sentence, told_start in zip(told, sentences, strict=True)] == sentences
    assert found.deadline == 300


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_settings_file_that_is_no_file_is_not_waited_for(folder, make):
    """A pipe of this name would hang the application at its start."""
    make(folder / "afterword.toml")
    assert load()[1] == ["afterword.toml is not a file; allowed: a TOML file"]


def test_a_named_settings_file_must_exist_and_dev_null_means_none(folder):
    """AFTERWORD_CONFIG that leads nowhere is a mistake; the usual way to say "no file" is none."""
    missing = str(folder / "none.toml")
    assert load({"AFTERWORD_CONFIG": missing})[1] == [
        f"AFTERWORD_CONFIG names {missing!r}, which does not exist; allowed: a TOML file"
    ]
    (folder / "afterword.toml").write_text("nonsense = 1")
    assert load({"AFTERWORD_CONFIG": os.devnull}) == load({"AFTERWORD_CONFIG": os.devnull})
    assert load({"AFTERWORD_CONFIG": os.devnull})[1] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_a_settings_file_closed_to_us_is_told_and_a_closed_folder_is_not(folder):
    """In a folder that we may not enter there is no file of ours; a file that is ours must be readable."""
    (folder / "afterword.toml").write_text("deadline = 3")
    (folder / "afterword.toml").chmod(0)
    folder.chmod(0o755)
    os.seteuid(65534)
    try:
        readable = load()[1]
        os.seteuid(0)
        folder.chmod(0o700)
        os.seteuid(65534)
        closed = load()[1]
    finally:
        os.seteuid(0)
    assert readable == ["afterword.toml cannot be read: Permission denied; allowed: a TOML file"]
    assert closed == []


def shop() -> FastAPI:
    """An application with one task."""
    app = FastAPI(title="shop")

    @app.get("/mail")
    async def mail(tasks: BackgroundTasks) -> str:
        tasks.add_task(print, end="")
        return "sent"

    return app


@pytest.mark.parametrize("apps", [1, 2])
def test_in_an_application_each_mistake_is_told_once_and_it_works_with_the_default(
    apps, monkeypatch, instrumented, capfd, scrape
):
    """Not once for every application, nor for every call of instrument()."""
    monkeypatch.setenv("AFTERWORD_DEADLINE", f"never{apps}")
    monkeypatch.setenv(f"AFTERWORD_SERVICE{apps}", "shop")
    made = [shop() for _ in range(apps)]
    for app in [*made, *made]:
        instrumented(app, start_deadline=-apps)
        assert TestClient(app).get("/mail").status_code == 200
    told = capfd.readouterr().err.splitlines()
    assert sorted(told) == [
        f"afterword: AFTERWORD_DEADLINE is 'never{apps}'; allowed: seconds, more than 0 and at most a year",
        f"afterword: AFTERWORD_SERVICE{apps} is no setting; did you mean AFTERWORD_SERVICE?",
        f"afterword: start_deadline is -{apps}; allowed: seconds, more than 0 and at most a year",
    ]
    assert scrape("afterword_task_deadline_seconds") == 300
    assert scrape("afterword_tasks_finished_total", outcome="succeeded") == 2 * apps


def test_disabled_means_no_file_and_no_hook(monkeypatch, directory, instrumented):
    """One variable turns everything off."""
    monkeypatch.setenv("AFTERWORD_DISABLED", "1")
    before = dict(BackgroundTasks.__dict__), dict(Starlette.__dict__)
    app = instrumented(shop(), metrics="/metrics")
    assert (dict(BackgroundTasks.__dict__), dict(Starlette.__dict__)) == before
    assert TestClient(app).get("/mail").status_code == 200
    assert TestClient(app).get("/metrics").status_code == 404
    assert list(directory.iterdir()) == []


def test_importing_afterword_reads_no_setting(children: Children, tmp_path: Path):
    """Nothing happens at import: not even a wrong file is looked at."""
    (tmp_path / "afterword.toml").write_text("nonsense")
    child = children.python("-c", "import afterword", AFTERWORD_XYZ="1")
    assert child.wait() == 0
    assert child.output == ""


def test_a_wrong_metrics_path_is_told_and_accounting_goes_on(instrumented, capfd, scrape):
    """`metrics="metrics"` must not be silence, and must not switch everything off."""
    app = instrumented(shop(), metrics="metrics")
    assert TestClient(app).get("/mail").status_code == 200
    assert capfd.readouterr().err == "afterword: metrics is 'metrics'; allowed: a path that begins with /\n"
    assert scrape("afterword_tasks_scheduled_total") == 1


def test_the_same_app_is_returned():
    """`app = instrument(FastAPI())` is how it is written."""
    app = shop()
    assert afterword.instrument(app) is app
    afterword.uninstrument(app)
