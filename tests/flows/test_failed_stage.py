"""A stage that fails leaves what it had made before, as dvc.lock and DVC's cache have it."""

import json

from tests.pipelines import private


def test_a_failed_stage_leaves_its_outputs_of_before(project, rpt, tmp_path):
    root = private(project, tmp_path / "project")
    texts = tmp_path / "texts"
    texts.mkdir()
    for number in range(12):
        (texts / f"{number}.txt").write_text(f"Document {number} has words of its own. " * 400)
    source = ("-o", f"corpora.demo.source={texts}/*.txt")
    done = rpt(root, "run", "ingestion", *source)
    assert done.returncode == 0, done.stdout + done.stderr
    artifacts = root / "artifacts" / "demo"
    before = contents(artifacts)
    (made,) = {path.read_text() for path in (root / ".run" / "made").iterdir()}
    assert json.loads(made)["stage"] == "ingestion@demo"
    for number in range(2, 12):
        (texts / f"{number}.txt").unlink()
    failed = rpt(root, "run", "ingestion")
    assert failed.returncode != 0
    assert "ingestion@demo" in failed.stderr, failed.stderr
    assert contents(artifacts) == before


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
