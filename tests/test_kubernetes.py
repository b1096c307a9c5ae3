"""The kustomize base: generated parts are current, the published schemas accept it all, and the parts fit together."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from afterword.alerts import render
from afterword.alerts.config import Config
from afterword.settings import values
from docs.generate import config_maps

ROOT = Path(__file__).parents[1]
KUBERNETES = ROOT / "deploy" / "kubernetes"
FILES = sorted(KUBERNETES.rglob("*.yaml"))
CORE = ("ConfigMap", "Deployment")
#: Published validators of the operator's resources, made from its CRDs.
VALIDATORS = "@kubernetes-models/prometheus-operator@6.0.0"


def objects(path: Path) -> list[dict[str, Any]]:
    """The documents of a file."""
    return [document for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) if document]


def the(kind: str, folder: str) -> dict[str, Any]:
    """The one object of a kind in a folder."""
    (found,) = (o for path in sorted((KUBERNETES / folder).glob("*.yaml")) for o in objects(path) if o["kind"] == kind)
    return found


def test_generated_files_are_current():
    """What is applied is what the code says today."""
    base = KUBERNETES / "base"
    assert (base / "prometheusrule.yaml").read_text(encoding="utf-8") == render(form="prometheusrule")
    assert (base / "dashboards.yaml").read_text(encoding="utf-8") == config_maps()


def test_every_resource_that_is_listed_is_there():
    """And nothing lies beside the lists."""
    for path in KUBERNETES.rglob("kustomization.yaml"):
        (kustomization,) = objects(path)
        listed = [*kustomization.get("resources", []), *kustomization.get("components", [])]
        listed += [patch["path"] for patch in kustomization.get("patches", [])]
        assert all((path.parent / name).exists() for name in listed)
        others = {other.name for other in path.parent.glob("*.yaml")} - {path.name}
        assert others == {name for name in listed if name.endswith(".yaml")}


def test_config_maps_fit_into_a_cluster():
    """One mebibyte is all that etcd takes; Grafana's sidecar looks for the label."""
    for document in objects(KUBERNETES / "base" / "dashboards.yaml"):
        assert len(json.dumps(document)) < 1 << 20
        assert document["metadata"]["labels"] == {"grafana_dashboard": "1"}
        ((name, text),) = document["data"].items()
        assert name == f"{json.loads(text)['uid']}.json"


@pytest.mark.parametrize("version", ["1.29", "1.33", "1.37"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(KUBERNETES)))
def test_the_published_schemas_accept_it(path, version):
    """Strictly: a key that Kubernetes does not know is a mistake. 1.29 is the first with sidecar containers."""
    validate = pytest.importorskip("kubernetes_validate", reason="comes with the development tools")
    for document in (document for document in objects(path) if document["kind"] in CORE):
        whole = _with_selector(document) if document["metadata"]["name"] == "any" else document
        validate.validate(whole, version, strict=True)


def _with_selector(patch: dict[str, Any]) -> dict[str, Any]:
    """What a Deployment has beside the patch."""
    whole: dict[str, Any] = json.loads(json.dumps(patch))
    whole["spec"]["selector"] = {"matchLabels": {"app": "shop"}}
    for container in whole["spec"]["template"]["spec"]["containers"]:
        container["image"] = "shop"
    return whole


def test_a_misspelt_key_would_be_noticed():
    """The check above can fail."""
    validate = pytest.importorskip("kubernetes_validate", reason="comes with the development tools")
    wrong = _with_selector(the("Deployment", "sidecar"))
    wrong["spec"]["template"]["spec"]["initContainers"][0]["restartPolice"] = "Always"
    with pytest.raises(validate.ValidationError):
        validate.validate(wrong, "1.29", strict=True)


def test_the_parts_fit_together():
    """One directory on one memory-backed volume, one port, one job that the rules know."""
    pod = the("Deployment", "sidecar")["spec"]["template"]
    (sidecar,), (app,) = pod["spec"]["initContainers"], pod["spec"]["containers"]
    (volume,) = pod["spec"]["volumes"]
    assert volume["emptyDir"]["medium"] == "Memory"
    for container in (sidecar, app):
        (mount,) = container["volumeMounts"]
        directory = next(v["value"] for v in container["env"] if v["name"] == "AFTERWORD_DIR")
        assert mount["name"] == volume["name"]
        assert Path(mount["mountPath"]) in Path(directory).parents  # a subdirectory: the volume itself is 0777
    monitor = the("PodMonitor", "base")["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert monitor["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert endpoint["port"] in {port["name"] for port in sidecar["ports"]}
    job = next(r["replacement"] for r in endpoint["relabelings"] if r["targetLabel"] == "job")
    assert re.fullmatch(Config().job, job)
    waits = int(re.findall(r"sleep\((\d+)\)", str(sidecar["lifecycle"]))[0])
    assert int(endpoint["interval"].removesuffix("s")) < waits < pod["spec"]["terminationGracePeriodSeconds"]


def test_prometheus_and_the_probes_reach_the_metrics_and_nobody_the_page():
    """The container's one port is the metrics listener's; the page is on the pod's loopback, without a token."""
    (sidecar,) = the("Deployment", "sidecar")["spec"]["template"]["spec"]["initContainers"]
    env = {variable["name"]: variable["value"] for variable in sidecar["env"]}
    page, metrics = (values.address(env[name]) for name in ("AFTERWORD_LISTEN", "AFTERWORD_METRICS_LISTEN"))
    assert (page.host, metrics.host) == ("127.0.0.1", "0.0.0.0")
    assert [port["containerPort"] for port in sidecar["ports"]] == [metrics.port] != [page.port]
    for probe in ("livenessProbe", "readinessProbe"):
        assert sidecar[probe]["httpGet"]["port"] == sidecar["ports"][0]["name"]
    forwarded = re.findall(r"kubectl port-forward \S+ (\d+)", (ROOT / "docs/kubernetes.md").read_text(encoding="utf-8"))
    assert set(forwarded) == {str(page.port)}


def test_the_pages_example_is_what_is_applied():
    """docs/deployment.md shows the same variables and probes as deploy/kubernetes/sidecar."""
    text = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    (block,) = (block for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "initContainers" in block)
    (shown,) = yaml.safe_load(block)["spec"]["initContainers"]
    (applied,) = the("Deployment", "sidecar")["spec"]["template"]["spec"]["initContainers"]
    assert (shown["env"], shown["ports"]) == (applied["env"], applied["ports"])
    for probe in ("livenessProbe", "readinessProbe"):
        assert shown[probe]["httpGet"]["path"] == applied[probe]["httpGet"]["path"]
        assert shown[probe]["httpGet"]["port"] == shown["ports"][0]["containerPort"]


def test_kustomize_builds_the_example():
    """With the real kustomize, where there is a kubectl; it needs no cluster."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed; it is no development tool")
    command = [kubectl, "kustomize", str(KUBERNETES / "example")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    built = [document for document in yaml.safe_load_all(done.stdout) if document]
    (shop,) = (document for document in built if document["kind"] == "Deployment")
    pod = shop["spec"]["template"]["spec"]
    assert [c["name"] for c in pod["initContainers"] + pod["containers"]] == ["afterword", "app"]
    assert {v["name"] for v in pod["containers"][0]["env"]} == {"AFTERWORD_SERVICE", "AFTERWORD_DIR"}
    assert {c["image"] for c in pod["initContainers"] + pod["containers"]} == {"registry.example/shop:1.0"}


SCRIPT = """
import { readFileSync } from "node:fs";
const [folder, file] = process.argv.slice(2);
for (const object of JSON.parse(readFileSync(file, "utf8"))) {
  const name = "ComGithubPrometheusOperatorPrometheusOperatorPkgApisMonitoringV1" + object.kind;
  const schemas = `${folder}/node_modules/@kubernetes-models/prometheus-operator/_schemas`;
  const { validate } = await import(`${schemas}/${name}.js`);
  if (!validate(object)) { console.log(JSON.stringify(validate.errors)); process.exitCode = 1; }
}
"""


@pytest.mark.long
def test_the_operators_schemas_accept_its_resources(tmp_path):
    """PodMonitor and PrometheusRule, by validators made from the operator's published CRDs; fetched as a package."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip("npm and node are not installed")
    subprocess.run([npm, "install", "--silent", "--prefix", str(tmp_path), VALIDATORS], check=True, timeout=100)
    (tmp_path / "check.mjs").write_text(SCRIPT, encoding="utf-8")

    def check(*given: dict[str, Any]) -> int:
        (tmp_path / "objects.json").write_text(json.dumps(given), encoding="utf-8")
        command = [node, str(tmp_path / "check.mjs"), str(tmp_path), str(tmp_path / "objects.json")]
        return subprocess.run(command, check=False, timeout=60).returncode

    monitor, rule = the("PodMonitor", "base"), the("PrometheusRule", "base")
    assert check(monitor, rule) == 0
    wrong = json.loads(json.dumps(rule))
    wrong["spec"]["groups"][0]["rules"][0]["for"] = "soon"
    assert check(wrong) == 1
