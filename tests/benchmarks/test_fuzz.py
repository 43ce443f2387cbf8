"""A small sample of `./rpt bench fuzz`: each reader on damaged files in a child of its own, and what the
parent makes of a dead one.
"""

import contextlib
import json

import numpy as np
import pytest

from benchmarks import _mutations as damage
from benchmarks._fuzzed_readers import READERS, complaint
from benchmarks.fuzz import Child, fuzz
from data_contracts.failure import Failure
from model.config_values import MOST
from model.decoder_config import decoder_config
from stages.tokens.tokenizer_file import MOST_ID, read_tokenizer

LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    **{
        "model_type": "llama",
        "vocab_size": 300,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    },
    **{
        "intermediate_size": 32,
        "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5,
        "num_key_value_heads": 1,
        "sliding_window": 32,
    },
}
NEOX = {
    "vocab_size": 300,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "rotary_pct": 0.25,
}
WORDS = ["architectures", "model_type", "hidden_act"]


def test_damaged_text_is_read_or_quarantined_and_the_parent_sees_every_file():
    counts, faults = fuzz(["jsonl_zst"], seed=0, cases=60, seconds=60)
    assert faults == []
    assert counts["jsonl_zst"].total() == 60
    assert counts["jsonl_zst"]["quarantined"] > 10


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_no_damaged_file_gets_past_a_reader_or_ends_it(reader):
    counts, faults = fuzz([reader], seed=0, cases=60, seconds=60)
    assert faults == []
    assert counts[reader]["refused"] + counts[reader]["quarantined"] > 10


def test_a_child_that_dies_is_a_fault_and_another_one_goes_on(monkeypatch):
    child = Child("settings")
    try:
        assert child.try_one(1)["outcome"] in ("read", "refused")
        child._process.kill()
        assert child.try_one(2)["outcome"] == "fault"
        assert child.try_one(3)["outcome"] in ("read", "refused")
    finally:
        child.end()


def test_a_mutation_repeats_with_its_seed_and_changes_something():
    data = json.dumps({"a": [1, {"b": "c"}], "d": 2}).encode()
    for mutation in (damage.of_bytes, damage.of_json, damage.of_lines):
        changed = [mutation(np.random.default_rng(seed), data) for seed in range(50)]
        assert changed == [mutation(np.random.default_rng(seed), data) for seed in range(50)]
        assert sum(one != data for one in changed) > 40


def test_a_refusal_that_names_nothing_is_a_fault():
    assert complaint(Failure("a.json cannot be read", "no JSON", "mend it"), ("a.json",)) is None
    assert complaint(Failure("it cannot be read", "no JSON", "mend it"), ("a.json",))
    assert complaint(Failure("a.json", "", "mend it"), ("a.json",))
    assert complaint(Failure("a.json", "KeyError", "see the traceback above"), ("a.json",))


@pytest.mark.parametrize("values", [LLAMA, NEOX], ids=["llama", "neox"])
def test_no_value_of_a_configuration_is_taken_on_trust(values):
    """Whatever stands in place of a number, it is refused by a ValueError, or it is a number that can be
    computed with.
    """
    for name in [name for name in values if name not in WORDS]:
        for weird in damage.WEIRD:
            with contextlib.suppress(ValueError):
                config = decoder_config({**values, name: weird})
                assert 0 < config.longest_prompt <= MOST, (name, weird)
                assert config.parameters > 0, (name, weird)
                assert {
                    type(size) for size in (config.vocab_size, config.hidden_size, config.num_hidden_layers)
                } == {int}, (name, weird)
    for whole in (None, 3, "x", [3], {"a": 1}):
        with pytest.raises(ValueError, match=r"config\.json"):
            decoder_config({**values, "architectures": whole} if whole is not None else whole)


def tokenizer(vocabulary):
    return json.dumps(
        {"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": vocabulary, "merges": []}}
    )


@pytest.mark.parametrize(
    ("vocabulary", "words"),
    [
        ({"a": 0, "b": 0}, "have one id, 0"),
        ({"a": 0, "b": MOST_ID}, "ids are whole numbers below"),
        ({"a": 0, "b": -1}, "ids are whole numbers below"),
        ({"a": 0, "b": True}, "ids are whole numbers below"),
        ({"a": 0, "b": "1"}, "ids are whole numbers below"),
        (None, "Error"),
    ],
)
def test_ids_that_would_end_the_process_are_refused(tmp_path, vocabulary, words):
    (tmp_path / "tokenizer.json").write_text(tokenizer(vocabulary))
    with pytest.raises(Failure, match=words) as failure:
        read_tokenizer(tmp_path / "tokenizer.json")
    assert "tokenizer.json" in failure.value.what


def test_ids_with_holes_are_read(tmp_path):
    (tmp_path / "tokenizer.json").write_text(tokenizer({"a": 0, "b": 70_000}))
    assert read_tokenizer(tmp_path / "tokenizer.json").token_to_id("b") == 70_000
