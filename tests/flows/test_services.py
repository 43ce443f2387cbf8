"""The demo and `rpt up` on a private copy, with a real Prefect server and worker, stopped in every way a user
can stop them.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.pipelines import environment, joined_ray, private

pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]


@pytest.fixture
def own(finished, tmp_path) -> Path:
    return private(finished, tmp_path / "project")


SECRETS = {
    name: f"canary-{number}-of-{name.lower()}"
    for number, name in enumerate(
        ("AWS_SECRET_ACCESS_KEY", "GOOGLE_API_KEY", "HF_TOKEN", "WANDB_API_KEY", "DATABASE_PASSWORD")
    )
}


def start(root: Path, *arguments: str, own_ray: bool = False) -> subprocess.Popen:
    """The command line of the copy; its stages join a Ray of the tests unless it is to start `own_ray`. A
    user's secrets are about.
    """
    joined = {} if own_ray else joined_ray()
    command, env = [sys.executable, "-m", "flows.cli", *arguments], environment(root) | joined | SECRETS
    with open(root / "out.log", "w") as log:
        return subprocess.Popen(command, cwd=root, env=env, stdout=log, stderr=subprocess.STDOUT, text=True)


def output(root: Path) -> str:
    return (root / "out.log").read_text()


def events(root: Path) -> list[dict]:
    path = root / ".run" / "events.jsonl"
    return (
        [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")]
        if path.exists()
        else []
    )


def wait_until(condition, child: subprocess.Popen, root: Path, seconds: float = 600.0):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert child.poll() is None, output(root)
        assert time.monotonic() < end, output(root)
        time.sleep(0.2)
    return value


def processes_of(root: Path) -> list[str]:
    """Every process that works in the copy or was started with it on its path."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(str(root)) or process.environ().get("PYTHONPATH") == str(root):
                found.append(" ".join(process.cmdline())[:150])
        except psutil.Error:
            continue
    return found


def assert_all_gone(root: Path) -> None:
    end = time.monotonic() + 60
    while (left := processes_of(root)) and time.monotonic() < end:
        time.sleep(0.5)
    assert not left


def assert_no_secret_is_kept(root: Path) -> None:
    """In no file: logs, Prefect's database, dvc.lock, pages, cards."""
    values = [value.encode() for value in SECRETS.values()]
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any(path.suffix == ".db" for path in files), "Prefect's database is not among them"
    assert not [
        (path, value) for path in files if (data := path.read_bytes()) for value in values if value in data
    ]


def listening(root: Path) -> set[str]:
    """The addresses at which processes of the copy listen."""
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("PYTHONPATH") == str(root):
                found |= {
                    one.laddr.ip for one in process.net_connections() if one.status == psutil.CONN_LISTEN
                }
    return found


def begun(root: Path, stage: str) -> bool:
    return any(event["event"] == "begin" and event["stage"] == stage for event in events(root))


def test_killed_and_interrupted_demos_leave_nothing_behind_and_go_on(own):
    """Kill -9 while Ray and a stage run, Ctrl-C in a later stage, then to the end: what was done is never
    done again.
    """
    (own / ".run" / "events.jsonl").unlink(missing_ok=True)
    child = start(own, "demo", "-o", "packing.lexical_candidates=1", own_ray=True)
    wait_until(lambda: begun(own, "training@demo-retro"), child, own)
    assert any("infra.local_ray" in process for process in processes_of(own))
    child.kill()
    child.wait()
    assert_all_gone(own)

    child = start(own, "demo")
    wait_until(lambda: begun(own, "evaluation@demo-retro"), child, own)
    child.send_signal(signal.SIGINT)
    assert child.wait(240) == 75, output(own)
    assert_all_gone(own)

    child = start(own, "demo")
    assert child.wait(600) == 0, output(own)
    ran = {event["stage"]: event["result"] for event in events(own) if event["event"] == "end"}
    assert ran["lexical_supervision@demo"] == ran["training@demo-retro"] == "unchanged"
    assert ran["evaluation@demo-retro"] == "ran"
    assert "Perplexity on" in output(own)
    assert_all_gone(own)


def test_a_failing_demo_says_why_and_returns_the_stage_s_code(own):
    params = (own / "params.yaml").read_text()
    child = start(
        own,
        "demo",
        "-o",
        "ingestion.min_document_chars=100000000",
        "-o",
        "ingestion.max_quarantine_fraction=0.0",
    )
    code = child.wait(600)
    (own / "params.yaml").write_text(params)
    assert code == 4, output(own)
    assert "too many inputs were quarantined" in output(own)
    assert_all_gone(own)


def test_up_serves_prefect_deployment_run_from_any_directory(own, tmp_path):
    child = start(own, "up")
    try:
        wait_until(lambda: "in another shell" in output(own), child, own)
        refused = subprocess.run(
            [sys.executable, "-m", "flows.cli", "up"], cwd=own, text=True, capture_output=True, check=False
        )
        assert refused.returncode == 7
        lines = subprocess.run(
            [sys.executable, "-m", "flows.cli", "env"], cwd=own, text=True, capture_output=True, check=True
        ).stdout
        (tmp_path / "env.sh").write_text(lines)
        script = (
            f'. "{tmp_path}/env.sh" && "{sys.executable}" -m prefect deployment run rpt/full-pipeline '
            "--param overrides='{\"packing.lexical_candidates\": 1}' --watch"
        )
        clean = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT")}
        asked = subprocess.Popen(
            ["sh", "-c", script],
            cwd=tmp_path,
            env=clean | {"COLUMNS": "400"},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        watch, env = [sys.executable, "-m", "flows.cli", "watch"], environment(own)
        shown = subprocess.run(
            watch, cwd=own, env=env, text=True, capture_output=True, timeout=900, check=False
        )
        assert shown.returncode == 0, shown.stdout + shown.stderr
        said = asked.communicate(timeout=300)[0]
        assert asked.returncode == 0, said
        assert "prefect.artifact.updated" not in said
        for text in (shown.stdout, output(own), said):
            assert "training@demo-retro: done in" in text
            assert "Report: artifacts/demo/report/index.html" in text
        ran = {
            event["stage"]
            for event in events(own)
            if event["event"] == "end" and event["result"] != "unchanged"
        }
        runs = {f"{stage}@demo-retro" for stage in ("training", "evaluation", "oracle", "ceilings")}
        assert ran == {"lexical_supervision@demo", *runs, "retrieved@demo", "report@demo"}
        api = json.loads((own / ".run" / "up.json").read_text())["api_url"]
        assert api.startswith("http://127.0.0.1:")
        assert listening(own) == {"127.0.0.1"}
    finally:
        subprocess.run([sys.executable, "-m", "flows.cli", "down"], cwd=own, check=True, timeout=90)
    assert child.wait(60) == 0
    assert_all_gone(own)
    assert_no_secret_is_kept(own)
