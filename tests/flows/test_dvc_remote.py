"""`dvc push` and `dvc pull` of all artifacts with a bucket as the remote, as docs/guides/object-stores.md
says it.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.pipelines import environment, private


def dvc(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=root,
        env=environment(root),
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in (root / "artifacts").rglob("*")
        if path.is_file()
    }


def test_everything_comes_back_from_a_bucket_that_refuses_and_loses_answers(finished, tmp_path, rpt, gcs):
    root = private(finished, tmp_path / "project")
    before = files(root)
    dvc(root, "remote", "add", "--local", "--default", "team", "gs://bucket/dvc")
    faults = {5: "503", 20: "429", 40: "lost"}
    gcs.plan = lambda method, name, number: faults.get(number)
    dvc(root, "push")
    assert {gcs.seen[fault] for fault in faults.values()} == {1}
    kept = gcs.objects()
    assert len(kept) > 50
    assert "Everything is up to date" in dvc(root, "push")
    assert gcs.objects() == kept

    for place in ("artifacts", ".dvc/cache"):  # metrics are git's
        shutil.rmtree(root / place)
    dvc(root, "pull", "--allow-missing")  # of stages that nobody asked for
    after = files(root)
    assert {name for name in before if name not in after} == set()
    assert [name for name in after if after[name] != before[name]] == []
    status = rpt(root, "plan")
    assert status.returncode == 0, status.stderr
    assert "None of 27 stages needs to run." in status.stdout
