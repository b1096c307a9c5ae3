"""The command line: what is wrong is told in one sentence with exit status 2, and never with a traceback."""

import os
import subprocess
import sys

import pytest

from afterword import cli
from tests.helpers import Children

WRONG = 2
STRANGERS = "where other machines could read the page: set AFTERWORD_TOKEN, or show them only the metrics with"


def afterword(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """One command as a shell runs it, to its end."""
    command = [sys.executable, "-m", "afterword", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


@pytest.fixture
def told(capsys):
    """``told(*arguments)``: the one sentence of a command that refused, run in this process."""

    def run(*arguments: str) -> str:
        assert cli.main(arguments) == WRONG
        output = capsys.readouterr()
        (line,) = output.err.splitlines()
        assert output.out == ""
        assert line.startswith("afterword: ")
        return str(line.removeprefix("afterword: "))

    return run


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The working directory of each test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("", "the following arguments are required: COMMAND (try: afterword --help)"),
        ("sidecr", "argument COMMAND: invalid choice: 'sidecr' (choose from"),
        ("run", "a command is needed, for instance: afterword run -- uvicorn shop:app"),
        ("run --", "a command is needed, for instance: afterword run -- uvicorn shop:app"),
        ("run --reload uvicorn", "unrecognized arguments: --reload"),
        ("tpo", "argument COMMAND: invalid choice: 'tpo' (choose from"),
        ("sidecar --prot 3", "unrecognized arguments: --prot 3 (try: afterword sidecar --help)"),
        (
            "sidecar --lisen x",
            "unrecognized arguments: --lisen x; did you mean --listen? (try: afterword sidecar --help)",
        ),
        ("sidecar --list=9796", "unrecognized arguments: --list=9796; did you mean --listen?"),
        ("top --onec", "unrecognized arguments: --onec; did you mean --once? (try: afterword top --help)"),
        ("sidecar here", "unrecognized arguments: here (try: afterword sidecar --help)"),
        ("sidecar --listen", "argument --listen: expected one argument (try: afterword sidecar --help)"),
        ("sidecar --listen 9796", "--listen is '9796'; allowed: HOST:PORT with a port from 0 to 65535"),
        ("sidecar --listen localhost:http", "--listen is 'localhost:http'; allowed: HOST:PORT with a port"),
        ("sidecar --listen [::1]", "--listen is '[::1]'; allowed: HOST:PORT with a port from 0 to 65535"),
        ("sidecar --listen nobody.invalid:0", "listen is 'nobody.invalid:0', but 'nobody.invalid' is no host"),
        ("sidecar --listen a..b:0", "listen is 'a..b:0', but 'a..b' is no host that can be found"),
        ("sidecar --listen 192.0.2.1:0", "listen is '192.0.2.1:0': Cannot assign requested address"),
        (
            "sidecar --listen 0.0.0.0:0",
            f"listen is '0.0.0.0:0', {STRANGERS} --listen 127.0.0.1:9796 --metrics-listen 0.0.0.0:0",
        ),
        (
            "sidecar --listen [::]:0 --metrics-listen 0.0.0.0:9796",
            f"listen is '[::]:0', {STRANGERS} --listen 127.0.0.1:9797 --metrics-listen 0.0.0.0:9796",
        ),
        ("sidecar --metrics-listen 9797", "--metrics-listen is '9797'; allowed: HOST:PORT with a port from 0"),
        ("sidecar --listen :0 --metrics-listen a..b:0", "metrics_listen is 'a..b:0', but 'a..b' is no host that"),
        ("sidecar --token a-long-enough-secret", "unrecognized arguments: --token"),
        ("sidecar --dir here", "--dir is 'here'; allowed: an absolute path"),
        ("alerts --time-scale 0", "--time-scale is '0'; allowed: a number from 0.001 to 100000"),
        ("alerts --time-scale fast", "--time-scale is 'fast'; allowed: a number from 0.001 to 100000"),
        ("alerts --job (", "--job is '('; allowed: a regular expression that is not empty"),
        (
            "alerts --job (?!test)app",
            "--job is '(?!test)app'; allowed: what Prometheus (RE2) can match, so no lookaround",
        ),
        ("alerts --job (?<=a)b", "--job is '(?<=a)b'; allowed: what Prometheus (RE2) can match"),
        (r"alerts --job (a)\1", r"--job is '(a)\\1'; allowed: what Prometheus (RE2) can match"),
        ("alerts --job (?P<a>x)(?P=a)", "--job is '(?P<a>x)(?P=a)'; allowed: what Prometheus (RE2) can match"),
        ("alerts --job a*+", "--job is 'a*+'; allowed: what Prometheus (RE2) can match"),
        (
            "alerts --runbooks wiki/run",
            "--runbooks is 'wiki/run'; allowed: an http:// or https:// address without spaces",
        ),
        ("alerts --runbooks https:///run", "--runbooks is 'https:///run'; allowed: an http:// or https:// address"),
        ("alerts --grafana ftp://g", "--grafana is 'ftp://g'; allowed: an http:// or https:// address"),
        ("alerts --grafana https://g/?orgId=1", "--grafana is 'https://g/?orgId=1'; allowed: an http:// or https://"),
        ("alerts --grafana https://{{g}}", "--grafana is 'https://{{g}}'; allowed: an http:// or https:// address"),
        ("alerts -o none/rules.yml", "--output none/rules.yml: No such file or directory"),
        ("dashboards", "the following arguments are required: -o/--output (try: afterword dashboards --help)"),
        ("dashboards -o /dev/null/x", "--output /dev/null/x: Not a directory"),
    ],
)
def test_a_wrong_word_or_value_is_one_sentence_that_says_what_is_allowed(arguments, sentence, told):
    """Exit status 2, the name of what is wrong, what may stand there; no traceback."""
    assert told(*arguments.split()).startswith(sentence)


@pytest.mark.parametrize(
    ("arguments", "nearest"),
    [("tpo", "top"), ("sidecr", "sidecar"), ("lost --kind backgroud", "background"), ("completion bsh", "bash")],
)
def test_a_slip_of_a_word_is_told_with_the_nearest(arguments, nearest, told):
    """Beside all that may stand there."""
    command = " ".join(["afterword", *arguments.split()[:-2]])
    assert told(*arguments.split()).partition("); ")[2].startswith(f"did you mean {nearest}? (try: {command}")


def test_a_word_like_no_other_is_told_without_a_guess(told):
    """A wrong guess would be worse than none."""
    assert "did you mean" not in told("zzz")


def test_a_shell_sees_the_sentence_and_the_status():
    """The same through `python -m afterword`, once."""
    done = afterword("sidecar", "--listen", "9796")
    assert (done.returncode, done.stdout) == (WRONG, "")
    assert done.stderr == "afterword: --listen is '9796'; allowed: HOST:PORT with a port from 0 to 65535\n"


@pytest.mark.parametrize(
    "arguments",
    [("sidecar", "--dir", ""), ("alerts", "--job", ""), ("alerts", "--runbooks", ""), ("alerts", "--grafana", "a b")],
)
def test_an_empty_value_is_a_slip_of_a_script_and_not_the_default(arguments, told):
    """`--dir "$DIR"` with DIR unset must not watch another directory in silence."""
    assert told(*arguments).startswith(f"{arguments[1]} is {arguments[2]!r}; allowed: ")


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"AFTERWORD_LISTENN": "x"}, "AFTERWORD_LISTENN is no setting; did you mean AFTERWORD_LISTEN?"),
        ({"AFTERWORD_LISTEN": "x"}, "AFTERWORD_LISTEN is 'x'; allowed: HOST:PORT with a port from 0 to 65535"),
        ({"AFTERWORD_SLOTS": "1"}, "AFTERWORD_SLOTS is '1'; allowed: a whole number from 64 to 524288"),
        ({"AFTERWORD_CONFIG": "/none"}, "AFTERWORD_CONFIG names '/none', which does not exist; allowed: a TOML file"),
    ],
)
@pytest.mark.parametrize("command", ["sidecar", "alerts"])
def test_a_wrong_variable_ends_the_command(variables, sentence, command, told, monkeypatch):
    """What an application shrugs off, a command refuses: nobody reads the log of a sidecar that starts."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert told(command) == sentence


@pytest.mark.parametrize("token", ["short-one", "a long secret with spaces", "a-lång-enough-secret"])
def test_a_token_that_cannot_be_used_is_refused_and_not_shown(folder, token, told, monkeypatch):
    """From a variable or from the file; what is told ends up in logs."""
    (folder / "afterword.toml").write_text(f"token = {token!r}", encoding="utf-8")
    sentences = [told("sidecar")]
    monkeypatch.setenv("AFTERWORD_TOKEN", token)
    sentences.append(told("sidecar"))
    allowed = "cannot be used and is not shown; allowed: at least 16 visible ASCII characters, no spaces"
    assert sentences == [f"token in afterword.toml {allowed}", f"AFTERWORD_TOKEN {allowed}"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("tasks = 3", "tasks in afterword.toml is no setting; allowed: "),
        ("slots = 3", "slots in afterword.toml is 3; allowed: a whole number from 64 to 524288"),
        ("[sidecar]\nlisten = 'x'", "[sidecar] in afterword.toml is no setting; allowed: "),
        ("slots", "afterword.toml is not TOML: "),
    ],
)
def test_a_wrong_settings_file_ends_the_command(folder, text, sentence, told):
    """A wrong key, value, table or syntax in afterword.toml."""
    (folder / "afterword.toml").write_text(text)
    assert told("sidecar").startswith(sentence)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ((), ("run", "sidecar", "alerts", "dashboards", "--version")),
        (("run",), ("COMMAND ...", "AFTERWORD_*", "afterword.toml", "Example: afterword run -- uvicorn shop:app")),
        (
            ("sidecar",),
            (
                *("--dir", "AFTERWORD_DIR", "--listen", "127.0.0.1:9796", "--metrics-listen", "/metrics"),
                *("AFTERWORD_METRICS_LISTEN", "AFTERWORD_TOKEN", "AFTERWORD_ALLOWED_HOSTS", "ps would show it"),
            ),
        ),
        (
            ("alerts",),
            ("--time-scale", "AFTERWORD_TIME_SCALE", "--job", "--runbooks", "--grafana", "--output", "Prometheus"),
        ),
        (("dashboards",), ("--output", "Grafana")),
    ],
)
def test_help_names_every_option_its_variable_and_its_default(command, words):
    """`--help` is the first page that anybody reads."""
    done = afterword(*command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert [word for word in words if word not in done.stdout] == []


@pytest.mark.parametrize("dashes", [(), ("--",)])
@pytest.mark.parametrize(
    ("command", "status", "sentence"),
    [
        ("afterword-nothing-like-that", 127, "afterword-nothing-like-that: command not found"),
        ("./none/at-all", 127, "./none/at-all: command not found"),
        ("./plain", 126, "./plain: Permission denied"),
        ("/", 126, "/: Permission denied"),
        ("./moved", 126, "./moved: the interpreter in its first line does not exist"),
        ("./empty", 126, "./empty: Exec format error"),
    ],
)
def test_a_command_that_cannot_be_run_is_told_as_a_shell_does(folder, capsys, dashes, command, status, sentence):
    """127 if it is not there, 126 if it cannot be executed; a script of an environment that was moved is there."""
    for name, mode in (("plain", 0o600), ("moved", 0o700), ("empty", 0o700)):
        (folder / name).write_text("#!/none/bin/python\n" if name == "moved" else "")
        (folder / name).chmod(mode)
    assert cli.main(["run", *dashes, command, "--port", "1"]) == status
    assert capsys.readouterr() == ("", f"afterword: {sentence}\n")


def test_a_command_that_is_empty_is_none(told):
    """A variable of a script that is not set."""
    assert told("run", "--", "", "shop:app").startswith("a command is needed")


@pytest.mark.parametrize("dashes", [(), ("--",)])
def test_run_hands_on_every_word(dashes):
    """Dashes behind the command are the command's, also those that `afterword` has a meaning for."""
    done = afterword("run", *dashes, "echo", "--help", "--", "-h", "--version", "run")
    assert (done.returncode, done.stdout, done.stderr) == (0, "--help -- -h --version run\n", "")


def test_the_version_is_the_one_of_the_distribution():
    """`afterword --version`, for bug reports."""
    done = afterword("--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("afterword 0")


@pytest.mark.parametrize(
    ("missing", "arguments", "sentence"),
    [
        ("uvicorn", ["sidecar"], "`afterword sidecar` needs uvicorn: pip install 'afterword[sidecar]'"),
        ("fastapi", ["sidecar"], "`afterword sidecar` needs fastapi: pip install 'afterword[sidecar]'"),
        ("fcntl", ["sidecar"], f"`afterword sidecar` does not run on {sys.platform}: Python has no fcntl there"),
        (
            "grafana_foundation_sdk",
            ["dashboards", "-o", "made"],
            "`afterword dashboards` needs one more package: pip install 'afterword[dashboards]'",
        ),
    ],
)
def test_a_missing_extra_is_told_with_the_line_to_type(children: Children, missing, arguments, sentence):
    """Whoever installed without the extra learns what to install."""
    blocked = (
        f"import sys; sys.modules[{missing!r}] = None; from afterword.cli import main; sys.exit(main({arguments}))"
    )
    child = children.python("-c", blocked)
    assert child.wait() == WRONG
    assert child.output == f"afterword: {sentence}\n"


def test_the_application_needs_no_extra_at_all(children: Children):
    """instrument() itself works where neither uvicorn nor inotify is installed."""
    code = (
        "import sys; sys.modules.update(uvicorn=None, inotify_simple=None, grafana_foundation_sdk=None);"
        "import fastapi, afterword; afterword.instrument(fastapi.FastAPI(), dir=sys.argv[1])"
    )
    child = children.python("-c", code, str(children.folder / "ledgers"))
    assert child.wait() == 0
    assert child.output == ""


@pytest.mark.parametrize("arguments", [["alerts"], ["dashboards", "-o", "made"]])
def test_a_reader_that_has_enough_is_no_error(arguments):
    """`afterword alerts | head -1`: nobody reads the rest, however short it is."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "afterword", *arguments]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_behind_stdout_is_told():
    """Half a rules file must not look like a whole one."""
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-m", "afterword", "alerts"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == WRONG
    assert done.stderr == "afterword: stdout: No space left on device\n"


@pytest.mark.parametrize("job", [r"shop\\1|a\.b", "[(?=]x", "(?P<n>a)|(?:b)|(?i:c)", "a{2,3}?"])
def test_what_prometheus_can_match_is_taken(job):
    """What looks like a lookaround inside a class, or like a backreference behind an escape, is none."""
    assert cli.main(["alerts", "--job", job, "-o", os.devnull]) == 0


def test_alerts_link_where_the_options_say(folder):
    """A receiver can follow both links of an alert."""
    addresses = ("--runbooks", "https://wiki.example:8443/run/", "--grafana", "http://grafana.example/sub")
    assert cli.main(["alerts", *addresses, "-o", "rules.yml"]) == 0
    text = (folder / "rules.yml").read_text()
    assert '"https://wiki.example:8443/run/AfterwordTaskLost.md"' in text
    assert '"http://grafana.example/sub/d/afterword-losses?var-job=' in text


def test_what_is_written_is_what_is_printed(folder):
    """`-o FILE` and stdout hold the same rules, and all of them parse as one document."""
    printed = afterword("alerts", "--time-scale", "30")
    written = afterword("alerts", "--time-scale", "30", "-o", "rules.yml")
    assert (printed.returncode, written.returncode, written.stdout) == (0, 0, "")
    assert (folder / "rules.yml").read_text() == printed.stdout
