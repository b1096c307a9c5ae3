"""docker-compose.yml without an engine: its schema, and every path, program, flag, address and variable it names."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from afterword.settings import SETTINGS, values
from tests.promtool import promtool

ROOT = Path(__file__).parents[1]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DEPLOY = ROOT / "demo_app" / "compose"
OURS = [name for name, service in SERVICES.items() if "build" in service]

#: The program that a third-party image runs, by Debian's and by upstream's name.
PROGRAMS = {
    "prometheus": ("prometheus",),
    "alertmanager": ("prometheus-alertmanager", "alertmanager"),
}
#: Where each image listens unless it is told otherwise.
DEFAULT_PORTS = {"prometheus": 9090, "alertmanager": 9093, "grafana": 3000}


def command_of(service: str) -> list[str]:
    """The last program a service runs: what stands behind ``exec`` in a shell line."""
    command: list[str] = SERVICES[service]["command"]
    return shlex.split(command[2].partition("exec ")[2]) if command[:2] == ["sh", "-c"] else command


def mounts() -> list[tuple[str, Path, str]]:
    """(service, path in the repository, path in the container) of every bind mount."""
    found = []
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source, target = volume.split(":")[:2]
            if source.startswith("."):
                found.append((name, ROOT / source, target))
    return found


def help_of(command: list[str]) -> str:
    """What the program says about its own flags."""
    programs = {"python": [sys.executable], "uvicorn": [sys.executable, "-m", "uvicorn"]}
    programs["afterword"] = [sys.executable, "-m", "afterword"]
    words = [*programs[command[0]], *command[1:3], "--help"] if command[0] == "python" else None
    words = words or [*programs[command[0]], *[word for word in command[1:2] if word.isalpha()], "--help"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment, timeout=60)
    return done.stdout


def listening(service: str) -> set[int]:
    """The ports its command names, or its image's own."""
    named = re.findall(r"(?:0\.0\.0\.0:|port )(\d+)", " ".join(map(str, SERVICES[service].get("command", []))))
    return {int(port) for port in named} or {DEFAULT_PORTS[service]}


def test_the_file_keeps_to_the_compose_specification():
    """The schema is the specification's own, as check-jsonschema carries it."""
    pytest.importorskip("check_jsonschema", reason="the compose specification's schema comes with check-jsonschema")
    schema = resources.files("check_jsonschema.builtin_schemas.vendor") / "compose-spec.json"
    jsonschema.validate(COMPOSE, json.loads(schema.read_text(encoding="utf-8")))


@pytest.mark.parametrize(("service", "source", "target"), mounts())
def test_every_mounted_path_exists(service: str, source: Path, target: str):
    """Docker makes an empty directory of a missing one, and the container starts without its file."""
    assert source.exists(), f"{service} mounts {source}"
    assert source.is_dir() == (Path(target).suffix == ""), "a file goes on a file, a directory on a directory"


def test_the_image_gets_every_file_it_is_built_from():
    """The ignore file lets through what pyproject.toml needs, and names nothing that is not there."""
    text = (DEPLOY / "Dockerfile.dockerignore").read_text(encoding="utf-8")
    allowed = [line[1:] for line in text.splitlines() if line.startswith("!")]
    missing = [name for name in allowed if not (ROOT / name).exists() and name != "README.md"]
    assert not missing
    assert {"pyproject.toml", "hatch_build.py", "LICENSE", "instrumentation", "alerts", "dashboards"} <= set(allowed)
    for name in OURS:
        build = SERVICES[name]["build"]
        assert (ROOT / build["context"] / build["dockerfile"]).is_file()


@pytest.mark.parametrize("service", OURS)
def test_every_flag_of_our_commands_exists(service: str):
    """Each program is asked itself."""
    command = command_of(service)
    known = help_of(command)
    for flag in (word for word in command if word.startswith("--")):
        assert re.search(rf"{flag}(?![\w-])", known), f"{' '.join(command[:3])} has no {flag}"


@pytest.mark.parametrize("service", PROGRAMS)
def test_every_flag_of_the_images_commands_exists(service: str):
    """The installed program stands for the one in the image."""
    program = next((path for name in PROGRAMS[service] if (path := shutil.which(name))), None)
    if program is None:
        pytest.skip(f"{service} is not installed")
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=False, timeout=60)
    known = done.stdout + done.stderr
    for word in SERVICES[service]["command"]:
        assert f"{word.partition('=')[0]}=" in known


def test_the_shop_and_its_sidecar_share_one_memory_backed_directory():
    """Liveness is a lock on a file, so both need the same file system; a disk would make bookings wait."""
    directory = SERVICES["shop"]["environment"]["AFTERWORD_DIR"]
    mount = f"ledgers:{directory}"
    assert mount in SERVICES["shop"]["volumes"]
    assert mount in SERVICES["sidecar"]["volumes"]
    command = command_of("sidecar")
    assert command[command.index("--dir") + 1] == directory
    options = COMPOSE["volumes"]["ledgers"]["driver_opts"]
    assert (options["type"], options["device"]) == ("tmpfs", "tmpfs")
    user = re.search(r"^USER (\d+)$", (DEPLOY / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    assert user is not None
    assert {f"uid={user[1]}", "mode=0700"} <= set(options["o"].split(","))


def test_the_shop_runs_two_workers():
    """Killing one must leave one."""
    command = command_of("shop")
    assert command[command.index("--workers") + 1] == "2"


def test_every_variable_is_read_by_somebody():
    """AFTERWORD_* by the settings, SHOP_* by the shop, PROMETHEUS_MULTIPROC_DIR by the article's counters."""
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "demo_app").glob("*.py"))
    known = {setting.variable for setting in SETTINGS}
    for name in OURS:
        for variable in SERVICES[name].get("environment", {}):
            assert variable in known or f'"{variable}"' in sources, variable


def test_nothing_is_published_beyond_this_machine():
    """Every published port is bound to loopback, and is one its service listens on."""
    for name, service in SERVICES.items():
        for published in service.get("ports", []):
            host, _, inside = published.split(":")
            assert host == "127.0.0.1", name
            assert int(inside) in listening(name), name


def test_the_page_needs_a_token_and_prometheus_none():
    """Inside the container the page listens to others; the default token is one that a sidecar takes."""
    command, sidecar = command_of("sidecar"), SERVICES["sidecar"]
    variable, default = re.findall(r"\$\{(\w+):-(.+)\}", sidecar["environment"]["AFTERWORD_TOKEN"])[0]
    assert variable == "AFTERWORD_TOKEN"
    assert values.token(default) == default
    assert f"password {default}" in (ROOT / "docker-compose.yml").read_text(encoding="utf-8").partition("services:")[0]
    page = values.address(command[command.index("--listen") + 1])
    metrics = values.address(command[command.index("--metrics-listen") + 1])
    assert sidecar["ports"] == [f"127.0.0.1:{page.port}:{page.port}"]
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))
    assert f"sidecar:{metrics.port}" in str(config["scrape_configs"])
    assert f"sidecar:{page.port}" not in str(config["scrape_configs"])


def test_prometheus_scrapes_and_alerts_where_somebody_listens():
    """Every target is a service of the file on a port it listens on."""
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text(encoding="utf-8"))
    groups = [*config["scrape_configs"], *config["alerting"]["alertmanagers"]]
    targets = [target for group in groups for static in group["static_configs"] for target in static["targets"]]
    assert {target.partition(":")[0] for target in targets} == {"sidecar", "shop", "alertmanager"}
    for target in targets:
        service, _, port = target.partition(":")
        assert int(port) in listening(service), target


def test_prometheus_accepts_its_configuration_with_the_rules_in_place(tmp_path: Path):
    """Promtool reads it as the container would: the mounted rules are where the configuration looks for them."""
    inside = next(target for _, source, target in mounts() if source.name == "afterword.rules.yml")
    rules = tmp_path / Path(inside).name
    shutil.copy(ROOT / "alerts" / rules.name, rules)
    text = (DEPLOY / "prometheus.yml").read_text(encoding="utf-8")
    config = tmp_path / "prometheus.yml"
    config.write_text(text.replace(str(Path(inside).parent), str(tmp_path)), encoding="utf-8")
    done = promtool("check", "config", config)
    assert done.returncode == 0, done.stderr
    assert re.search(r"SUCCESS: [1-9]\d* rules found", done.stdout)


def test_alertmanager_accepts_its_configuration():
    """Amtool reads it as Alertmanager would."""
    amtool = shutil.which("amtool")
    if amtool is None:
        pytest.skip("amtool is not installed")
    command = [amtool, "check-config", str(DEPLOY / "alertmanager.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_grafana_finds_its_data_source_and_its_dashboards():
    """The data source is the Prometheus of the file; the dashboards are ours, where the provider looks for them."""
    source = yaml.safe_load((DEPLOY / "grafana" / "datasources.yml").read_text(encoding="utf-8"))["datasources"][0]
    assert (source["type"], source["url"]) == ("prometheus", "http://prometheus:9090")
    provider = yaml.safe_load((DEPLOY / "grafana" / "dashboards.yml").read_text(encoding="utf-8"))["providers"][0]
    mounted = {target: path for service, path, target in mounts() if service == "grafana"}
    dashboards = mounted[provider["options"]["path"]]
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == provider["options"]["path"]
    assert json.loads((dashboards / home.name).read_text(encoding="utf-8"))["uid"]
    for target in mounted:
        assert "provisioning" not in target or target.startswith("/etc/grafana/provisioning/")


def served_by_configuration() -> dict[str, set[int]]:
    """The ports that Tempo and Loki are told to listen on."""
    tempo = yaml.safe_load((DEPLOY / "tempo.yml").read_text(encoding="utf-8"))
    loki = yaml.safe_load((DEPLOY / "loki.yml").read_text(encoding="utf-8"))
    otlp = tempo["distributor"]["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    return {
        "tempo": {tempo["server"]["http_listen_port"], int(otlp.rpartition(":")[2])},
        "loki": {loki["server"]["http_listen_port"]},
        "prometheus": {DEFAULT_PORTS["prometheus"]},
    }


def test_exemplar_trace_and_logs_are_one_click_apart():
    """Each data source is a service that listens there, leads on to one that exists, and exemplars are stored."""
    sources = yaml.safe_load((DEPLOY / "grafana" / "datasources.yml").read_text(encoding="utf-8"))["datasources"]
    listens, known = served_by_configuration(), {source["uid"] for source in sources}
    for source in sources:
        host, _, port = source["url"].removeprefix("http://").partition(":")
        assert int(port) in listens[host], source["url"]
    by_type = {source["type"]: source["jsonData"] for source in sources}
    (exemplar,) = by_type["prometheus"]["exemplarTraceIdDestinations"]
    (field,) = by_type["loki"]["derivedFields"]
    leads = {
        "prometheus": exemplar["datasourceUid"],
        "tempo": by_type["tempo"]["tracesToLogsV2"]["datasourceUid"],
        "loki": field["datasourceUid"],
    }
    assert leads == {"prometheus": "tempo", "tempo": "loki", "loki": "tempo"}
    assert set(leads.values()) <= known
    assert exemplar["name"] == field["matcherRegex"] == "trace_id"
    assert "--enable-feature=exemplar-storage" in SERVICES["prometheus"]["command"]


def test_spans_and_logs_are_sent_where_somebody_listens():
    """By the shop, and by the sidecar for those that died."""
    environment = SERVICES["shop"]["environment"]
    command = command_of("sidecar")
    sent_to = [
        environment["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"],
        environment["OTEL_EXPORTER_OTLP_LOGS_ENDPOINT"],
        command[command.index("--otlp-endpoint") + 1],
    ]
    for url in sent_to:
        host, _, port = url.removeprefix("http://").partition("/")[0].partition(":")
        assert int(port) in served_by_configuration()[host], url
    assert sent_to[0] == sent_to[2] + "/v1/traces"
