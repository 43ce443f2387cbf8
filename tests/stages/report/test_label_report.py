"""The stage as a whole on made-up labels: its three files agree, are the same when made again, and stand even
where there is no label.
"""

import json

import pytest

from benchmarks._label_sets import SCORER, make_label_set
from data_contracts.candidates import LABELS
from data_contracts.contract import open_artifact
from data_contracts.failure import Exit, Failure
from model.gpt_neox_config import GPTNeoXConfig
from reports.labels.findings import COPYING
from stages.bill import cost
from stages.parameters import Geometry, Mining, ReferenceLM, Report, Scoring
from stages.report.label_report import make_label_report
from stages.runner.stage import Context
from tests.tiny import tiny_context

CONFIG = GPTNeoXConfig(
    vocab_size=300, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=128
)
GATE = {
    "name": "planted copy",
    "unit": "nats",
    "value": 0.1,
    "low": 0.0,
    "high": 0.2,
    "a_byte": None,
    "least": 0.5,
    "most": None,
}


def make_context(place, chunks=24) -> Context:
    make_label_set(place, documents=12, chunks=chunks, candidates=6, shards=2)
    (place / "reference_lm").mkdir()
    (place / "reference_lm" / "config.json").write_text(json.dumps(CONFIG.to_dict()))
    (place / "label_gates").mkdir()
    gates = {
        "split": "validation",
        "documents": 1,
        "queries": 5,
        "bytes_a_token": None,
        "gates": [{**GATE, "verdict": "failed", "sentence": "It copies nothing."}],
    }
    (place / "label_gates" / "gates.json").write_text(json.dumps(gates))
    return tiny_context(place)


def run(context, **reference_lm):
    geometry = Geometry(chunk_tokens=64, sequence_chunks=24, stride_chunks=2)
    model = ReferenceLM(
        **{
            "layers": 2,
            "width": 32,
            "heads": 2,
            "tokens": 1000,
            "batch": 1,
            "learning_rate": 0.1,
            **reference_lm,
        }
    )
    make_label_report(
        context,
        geometry,
        Mining(max_candidates=6),
        model,
        Scoring(candidates=6, evaluation_candidates=6),
        Report(bootstrap_samples=20),
    )
    return {
        path.name: path.read_text(encoding="utf-8") for path in (context.scratch / "label_report").iterdir()
    }


def test_page_card_and_statistics_agree(tmp_path):
    context = make_context(tmp_path)
    files = run(context)
    assert set(files) == {"index.html", "README.md", "statistics.json"}
    found = json.loads(files["statistics.json"])
    labels = open_artifact(LABELS, tmp_path / "labels")
    assert (found["corpus"], found["labels"], found["scorer"]) == ("demo", labels.digest, SCORER)
    assert sum(split["pairs"] for split in found["splits"].values()) == labels.rows
    for name in ("index.html", "README.md"):
        assert f"{labels.rows:,} labels" in files[name]
        assert "It copies nothing." in files[name]
    assert f"{labels.rows:,} labels" in context.say.stream.getvalue()
    assert run(context) == files


def test_the_cost_is_that_of_the_pairs_with_and_without_sharing(tmp_path):
    found = json.loads(run(make_context(tmp_path))["statistics.json"])
    prefixes, pairs = found["sharing"]["prefixes"], found["sharing"]["pairs"]
    assert prefixes < pairs
    assert found["cost"]["flops"] == cost.scoring_flops(CONFIG, 64, prefixes, pairs)
    assert found["cost"]["flops_unshared"] == pytest.approx(cost.scoring_flops(CONFIG, 64, pairs, pairs))
    assert found["cost"]["tokens"] == 128 * (prefixes + pairs)


def test_the_card_names_what_made_the_reference_lm_and_nothing_else(tmp_path):
    context = make_context(tmp_path)
    trained = run(context)
    assert "pythia" not in trained["README.md"]
    hub = run(context, source="hub", revision="a" * 40)
    assert "pythia" in hub["README.md"]
    assert "reference_lm.layers" not in hub["README.md"]
    for page in ("README.md", "index.html"):
        assert COPYING in trained[page]
        assert COPYING not in hub[page]


def test_labels_without_a_row(tmp_path):
    context = make_context(tmp_path, chunks=4)
    assert open_artifact(LABELS, tmp_path / "labels").rows == 0
    files = run(context)
    assert json.loads(files["statistics.json"])["splits"] == {}
    assert "There is no label in train and validation and test." in files["index.html"]
    assert "n<1K" in files["README.md"]


def test_a_damaged_shard_is_refused(tmp_path):
    context = make_context(tmp_path)
    victim = tmp_path / "labels" / "part-00001.parquet"
    victim.write_bytes(victim.read_bytes()[:-1] + b"x")
    with pytest.raises(Failure, match="not what the manifest says") as failure:
        run(context)
    assert failure.value.code == Exit.CONTRACT
