"""The manifests of infra/kubernetes: pods against the schemas of Kubernetes, the rest of KubeRay's objects
against the fields that we use.

KubeRay's own schemas are in no package; docs/log.md says when the manifests were held against them.
"""

import json
import subprocess
from copy import deepcopy

import kubernetes_validate
import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ruamel.yaml import YAML

from flows.commands.locks import pins
from flows.workspace import ROOT

KUBERNETES = "1.33"
FOLDER = ROOT / "infra" / "kubernetes"


def read(name: str) -> list[dict]:
    return list(YAML(typ="safe").load_all(FOLDER / name))


WORKSPACE = read("workspace.yaml")
(CLUSTER,) = read("ray-cluster.yaml")
(JOB,) = read("ray-job.yaml")


class Known(BaseModel):
    """An object without other fields than those named."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Template(Known):
    spec: dict


class Group(Known):
    rayStartParams: dict[str, str]
    template: Template


class WorkerGroup(Group):
    groupName: str
    replicas: int = Field(ge=0)
    minReplicas: int = Field(ge=0)
    maxReplicas: int = Field(ge=1)
    numOfHosts: int = 1


class AuthOptions(Known):
    mode: str = Field(pattern="^token$")


class ClusterSpec(Known):
    rayVersion: str
    authOptions: AuthOptions
    headGroupSpec: Group
    workerGroupSpecs: list[WorkerGroup]


class JobSpec(Known):
    clusterSelector: dict[str, str]
    entrypoint: str
    entrypointResources: str
    submissionMode: str = Field(pattern="^K8sJobMode$")
    submitterPodTemplate: Template


def groups() -> dict[str, dict]:
    """The pod templates of the cluster and of the job by what they are."""
    spec = CLUSTER["spec"]
    found = {"head": spec["headGroupSpec"]["template"], "submitter": JOB["spec"]["submitterPodTemplate"]}
    return found | {group["groupName"]: group["template"] for group in spec["workerGroupSpecs"]}


def check_pod(template: dict) -> None:
    """Raises kubernetes_validate.ValidationError if Kubernetes would not take a pod of this template."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "rpt"}, **template}
    kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def images(template: dict) -> set[str]:
    spec = template["spec"]
    return {one["image"] for one in [*spec.get("initContainers", []), *spec["containers"]]}


@pytest.mark.parametrize("manifest", WORKSPACE, ids=lambda manifest: manifest["kind"])
def test_what_the_cluster_shares_is_what_kubernetes_understands(manifest):
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", sorted(groups()))
def test_every_pod_is_what_kubernetes_understands_and_no_root(name):
    template = groups()[name]
    check_pod(template)
    assert template["spec"]["securityContext"]["runAsNonRoot"]
    assert images(template) <= {"rpt:cpu", "rpt:cuda", "rpt:tpu"}
    claims = {volume["persistentVolumeClaim"]["claimName"] for volume in template["spec"].get("volumes", [])}
    assert claims <= {one["metadata"]["name"] for one in WORKSPACE if one["kind"] == "PersistentVolumeClaim"}


def test_a_field_of_a_pod_that_there_is_not_is_found():
    wrong = deepcopy(groups()["gpu"])
    wrong["spec"]["nodeSelectors"] = wrong["spec"].pop("nodeSelector")
    with pytest.raises(kubernetes_validate.ValidationError):
        check_pod(wrong)


def test_cluster_and_job_have_the_fields_that_kuberay_knows():
    assert (CLUSTER["apiVersion"], CLUSTER["kind"]) == (JOB["apiVersion"], "RayCluster")
    assert (JOB["apiVersion"], JOB["kind"]) == ("ray.io/v1", "RayJob")
    ClusterSpec.model_validate(CLUSTER["spec"])
    JobSpec.model_validate(JOB["spec"])
    with pytest.raises(ValidationError, match="replica"):
        WorkerGroup.model_validate({**CLUSTER["spec"]["workerGroupSpecs"][0], "replica": 1})


def test_the_cluster_runs_the_ray_of_the_lock_with_a_token():
    (ray,) = [pin.version for pin in pins(ROOT / "requirements.txt") if pin.name == "ray"]
    assert CLUSTER["spec"]["rayVersion"] == ray
    assert CLUSTER["spec"]["authOptions"] == {"mode": "token"}


def test_the_job_runs_on_this_cluster_and_asks_for_the_chips_of_one_node():
    assert JOB["spec"]["clusterSelector"] == {"ray.io/cluster": CLUSTER["metadata"]["name"]}
    (tpu,) = groups()["tpu"]["spec"]["containers"]
    chips = int(tpu["resources"]["limits"]["google.com/tpu"])
    assert json.loads(JOB["spec"]["entrypointResources"]) == {"TPU": chips}


def test_the_volume_begins_as_the_image_and_holds_no_file_in_half(tmp_path):
    """The head is stopped while the volume is filled, and again later, when there are edits."""
    (container,) = CLUSTER["spec"]["headGroupSpec"]["template"]["spec"]["initContainers"]
    shell, options, script = container["command"]
    image, volume = tmp_path / "rpt", tmp_path / "volume"
    for place, text in {"a/code.py": "1" * 3000, "b.txt": "2", "params.yaml": "old"}.items():
        (image / place).parent.mkdir(parents=True, exist_ok=True)
        (image / place).write_text(text)
    (image / "link").symlink_to("b.txt")
    volume.mkdir()
    script = script.replace("/rpt/", f"{image}/").replace("/volume", str(volume))

    def fill(limit: str = "unlimited") -> int:  # of the size of a file, in blocks of 512 or 1,024 bytes
        return subprocess.run([shell, options, f"ulimit -f {limit}\n{script}"], check=False).returncode

    assert fill("2") != 0
    assert not (volume / "a").exists()
    assert fill() == 0
    (volume / "params.yaml").write_text("edited")
    (image / "b.txt").write_text("of the next image")
    assert fill() == 0
    assert {path.name for path in volume.iterdir()} == {"a", "b.txt", "params.yaml", "link"}
    assert (volume / "a/code.py").read_text() == "1" * 3000
    assert (volume / "params.yaml").read_text() == "edited"
    assert (volume / "link").readlink().name == "b.txt"
