"""Models and held-out documents in one folder: parameters rounded, the rows of these documents alone."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from data_contracts.contract import open_artifact
from data_contracts.failure import Exit, Failure
from model.tensor_file import save_tensors
from stages.evaluation.packaged import KEPT, TOKENIZER, package
from tests.reports.explorer.evaluated import make_corpus

VALUES = {"a": np.array([[1 / 3, -2e-9], [65504, 0]], np.float32), "b": np.ones(3, np.float32)}


@pytest.fixture
def corpus(tmp_path):
    """A corpus of three held-out documents and one of another split, with a model."""
    names = ("a.txt", "b.txt", "c.txt", "validation.txt")
    home = make_corpus(
        tmp_path / "corpus", {name: f"{name} says it again and again. " * 200 for name in names}
    )
    (home / "models" / "x-rpt_sem").mkdir(parents=True)
    (home / "models" / "x-rpt_sem" / "config.json").write_text("{}")
    save_tensors(VALUES, home / "models" / "x-rpt_sem" / "model.safetensors")
    return home


def doc_ids(corpus, split: str) -> list[str]:
    rows = open_artifact(KEPT["documents"], corpus / "documents").read_all().to_pylist()
    return [row["doc_id"] for row in rows if row["split"] == split]


def test_the_folder_has_the_model_and_all_rows_of_its_documents(corpus, tmp_path):
    first, _, last = sorted(doc_ids(corpus, "test"))
    target = tmp_path / "target"
    package(corpus, {"x-rpt_sem": "rpt_sem"}, [last, first], target)
    assert (target / TOKENIZER).read_bytes() == (corpus / TOKENIZER).read_bytes()
    halved = load_file(target / "models" / "rpt_sem" / "model.safetensors")
    assert {name: value.dtype for name, value in halved.items()} == dict.fromkeys(VALUES, np.float16)
    assert all((halved[name] == VALUES[name].astype(np.float16)).all() for name in VALUES)
    for place, contract in KEPT.items():
        kept, whole = open_artifact(contract, target / place), open_artifact(contract, corpus / place)
        wanted = [row for row in whole.read_all().to_pylist() if row["doc_id"] in (first, last)]
        rows = kept.read_all().to_pylist()
        assert [row["doc_id"] for row in rows] == sorted(row["doc_id"] for row in wanted)
        assert sorted(map(str, rows)) == sorted(map(str, wanted))


def test_a_document_that_was_not_held_out_is_no_sample(corpus, tmp_path):
    (other,) = doc_ids(corpus, "validation")
    with pytest.raises(Failure, match=other) as raised:
        package(corpus, {"x-rpt_sem": "rpt_sem"}, [other], tmp_path / "target")
    assert raised.value.code == Exit.USAGE
    assert not (tmp_path / "target").exists()
