"""What is left of infra/ that other programs read: Ray's launcher, shells, and Prefect."""

import json
import os
import subprocess
from pathlib import Path
from uuid import uuid4

import kubernetes_validate
import pytest
from ruamel.yaml import YAML

from flows.workspace import ROOT
from tests.infra.test_containers import said
from tests.infra.test_kubernetes import KUBERNETES, WORKSPACE

yaml = YAML(typ="safe")
SCRIPTS = ("rpt", ".ci/run", "infra/install.sh", "infra/slurm/rpt.sbatch")
POOL = ROOT / "infra" / "prefect" / "kubernetes-pool.json"


def test_the_shell_scripts_have_no_finding_of_their_linter():
    assert said("shellcheck", *(str(ROOT / name) for name in SCRIPTS)) == ""


RAY = """
if [ "$1" = health-check ]; then exec test -e up; fi
for word; do
  echo "$word"
  case $word in --temp-dir=*) stat -c %a "${word#*=}";; esac
done >> told
touch up
"""
FAKES = {
    ".venv/bin/ray": RAY,
    ".venv/bin/python": "",
    "rpt": 'echo "rpt $RPT_STOP_SECONDS" >> told',
    "srun": 'echo "srun $*" >> told',
}


def slurm_job(place: Path, number: int) -> list[str]:
    """What a job of two nodes tells Ray and the second node, the mode of Ray's folder, and how long the run
    may take to stop.
    """
    place.mkdir()
    for name, text in FAKES.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_text(f"#!/bin/sh\n{text}\n")
        (place / name).chmod(0o755)
    slurm = {"SLURM_SUBMIT_DIR": str(place), "SLURM_JOB_ID": str(number), "SLURM_JOB_NUM_NODES": "2"}
    slurm |= {"SLURMD_NODENAME": "first", "PATH": f"{place}{os.pathsep}{os.environ['PATH']}"}
    script = str(ROOT / "infra" / "slurm" / "rpt.sbatch")
    subprocess.run(["bash", script], env={**os.environ, **slurm}, check=True, timeout=60)
    return (place / "told").read_text().split()


def test_two_jobs_of_slurm_on_one_node_share_no_port_and_no_folder(tmp_path):
    flags = ("--port=", "--ray-client-server-port=", "--temp-dir=")
    jobs = [slurm_job(tmp_path / str(number), number) for number in (71, 72)]
    given = [[word for word in words if word.startswith(flags)] for words in jobs]
    assert [len(words) for words in given] == [3, 3]
    assert not set(given[0]) & set(given[1])
    for words in jobs:
        assert "700" in words
        assert "rpt 540" in " ".join(words)
        told = dict(word.split("=") for word in words if word.startswith(flags))
        assert not Path(told["--temp-dir"]).exists(), "it goes with the job"
        assert words[-5:] == ["srun", "--overlap", "rm", "-rf", told["--temp-dir"]], "from all nodes"
        ports = told["--port"], told["--ray-client-server-port"]
        assert len({*ports}) == 2
        assert all(1024 <= int(port) < 32768 for port in ports), "Linux gives none of these away"


@pytest.fixture(scope="module")
def launcher() -> dict:
    """The launcher's file as Ray completes it."""
    from ray.autoscaler._private.util import prepare_config

    return prepare_config(yaml.load(ROOT / "infra" / "gcp" / "ray-cluster.yaml"))


def test_rays_launcher_takes_its_file(launcher):
    from ray.autoscaler._private.util import validate_config

    validate_config(launcher)
    with pytest.raises(Exception, match="worker_images"):
        validate_config({**launcher, "worker_images": []})


def test_ray_asks_for_a_token_and_installs_nothing_on_its_nodes(launcher):
    assert launcher["head_setup_commands"] == launcher["worker_setup_commands"] == []
    commands = launcher["head_start_ray_commands"], launcher["worker_start_ray_commands"]
    # A second `ray up` runs them again, and a Ray that is there refuses another.
    assert [stop for stop, _ in commands] == ["/opt/venv/bin/ray stop"] * 2
    starts = [start for _, start in commands]
    assert all(start.startswith("RAY_AUTH_MODE=token ") for start in starts)
    assert "--dashboard-host=127.0.0.1" in starts[0]


def test_tpu_nodes_are_of_one_host_and_say_how_many_chips_they_have(launcher):
    from ray._private.accelerators.tpu import (
        TPUAcceleratorManager,
        get_num_tpu_visible_chips_per_host,
        get_total_chips_from_accelerator_type,
    )

    nodes = {name: node for name, node in launcher["available_node_types"].items() if name.startswith("tpu")}
    assert set(nodes) == {"tpu-v4", "tpu-v5e"}
    for node in nodes.values():
        kind = node["node_config"]["acceleratorType"]
        assert TPUAcceleratorManager.is_valid_tpu_accelerator_type(kind)
        chips = get_total_chips_from_accelerator_type(kind)
        assert node["resources"]["TPU"] == chips <= get_num_tpu_visible_chips_per_host(kind)


def test_prefect_takes_the_deployment():
    from prefect.cli.deploy._models import DeploymentConfig, PrefectYamlModel

    text = yaml.load(ROOT / "prefect.yaml")
    read = PrefectYamlModel.model_validate(text)
    assert text.keys() <= PrefectYamlModel.model_fields.keys()  # others are ignored in silence
    for deployment in text["deployments"]:
        assert deployment.keys() <= DeploymentConfig.model_fields.keys()
    assert [deployment.name for deployment in read.deployments] == ["full-pipeline"]


def test_prefect_takes_the_alerts():
    from prefect.events.schemas.automations import AutomationCore

    text = (ROOT / "infra" / "prefect" / "alerts.yaml").read_text().replace("id: BLOCK", f"id: {uuid4()}")
    silent, failed = map(AutomationCore.model_validate, yaml.load(text)["automations"])
    assert silent.trigger.posture.value == "Proactive"
    assert "prefect.flow-run.heartbeat" in silent.trigger.expect
    assert {"prefect.flow-run.Failed", "prefect.flow-run.Crashed"} == set(failed.trigger.expect)


def test_a_job_of_the_work_pool_is_what_kubernetes_understands():
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.utilities.templating import apply_values, find_placeholders

    pool = WorkPoolCreate(name="a pool", type="kubernetes", base_job_template=json.loads(POOL.read_text()))
    variables = pool.base_job_template["variables"]["properties"]
    configuration = pool.base_job_template["job_configuration"]
    assert {placeholder.name for placeholder in find_placeholders(configuration)} == variables.keys()
    given = {name: value["default"] for name, value in variables.items() if "default" in value}
    given |= {"name": "a-run", "labels": {}, "command": ["prefect", "flow-run", "execute"]}
    manifest = apply_values(configuration["job_manifest"], {**given, "env": [{"name": "A", "value": "1"}]})
    kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    spec = manifest["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"]
    (claim,) = [one["persistentVolumeClaim"]["claimName"] for one in spec["volumes"] if "emptyDir" not in one]
    assert claim in {one["metadata"]["name"] for one in WORKSPACE}
