"""`rpt use-lm`: what it writes into params.yaml, that the stages take it up, and what it refuses before it
writes anything.
"""

import io
import json
import shutil
from pathlib import Path

import gguf
import jax
import numpy as np
import pytest

from data_contracts.contract import commit, write_shard
from data_contracts.documents import DOCUMENTS
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS
from flows.commands import use_lm as module
from flows.commands.bill import _reference_lm
from flows.commands.use_lm import use_lm
from model import gguf_files, llama
from model.causal_lm_files import to_tensors
from model.hugging_face_files import digest
from model.llama_config import LlamaConfig
from model.llama_files import TENSORS
from model.tensor_file import save_tensors
from stages.__main__ import run_stage
from stages.engines.jax_engine import JaxScoringLM
from stages.parameters import load
from stages.runner.messages import Messages
from stages.tokens.tokenizer import load_tokenizer, train_tokenizer
from tests.stages.artifacts import write_artifact
from tests.stages.tokens.test_text_stages import documents as document_table

CONFIG = LlamaConfig(300, 16, 2, 2, 1, 24, 8, 256, 1e-5)
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """A workspace with the demo's parameters."""
    root = tmp_path / "checkout"
    root.mkdir()
    (root / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    monkeypatch.setattr(module, "ROOT", root)
    monkeypatch.setattr("flows.commands.bill.ROOT", root)
    monkeypatch.chdir(root)
    load_tokenizer.cache_clear()  # it goes by a path relative to the checkout
    documents = root / "artifacts" / "demo" / "documents"
    documents.mkdir(parents=True)
    write_shard(DOCUMENTS, document_table(texts=["a text to train on"]), documents / "part-00000.parquet")
    commit(DOCUMENTS, documents)
    return root


@pytest.fixture
def model(tmp_path) -> Path:
    """The directory of a small random Llama."""
    directory = tmp_path / "somewhere" / "small-llama"
    directory.mkdir(parents=True)
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: (0.3 * rng.normal(size=leaf.shape)).astype(np.float32), llama.shapes(CONFIG)
    )
    save_tensors(to_tensors(TENSORS, params), directory / "model.safetensors")
    sizes = {name: getattr(CONFIG, name) for name in (*gguf_files.SIZES, "vocab_size", "head_dim")}
    (directory / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], **sizes}))
    train_tokenizer(iter(["a text to train on, twice over: a text to train on"]), 300).save(
        str(directory / "tokenizer.json")
    )
    (directory / "pytorch_model.bin").write_text("never opened")
    return directory


def run(*stages: str) -> str:
    said = io.StringIO()
    for stage in stages:
        run_stage(stage, "demo", Messages(said))
    return said.getvalue()


def refused(model: object, *arguments: str) -> Failure:
    before = Path("params.yaml").read_text()
    with pytest.raises(Failure) as failure:
        use_lm(str(model), *arguments)
    assert Path("params.yaml").read_text() == before
    return failure.value


def test_a_directory_scores_from_now_on_with_its_own_tokenizer(place, model):
    edits = use_lm(str(model))
    assert "+  source: directory" in edits
    chosen = load(place / "params.yaml")
    assert chosen.reference_lm.name == "models/small-llama"
    assert chosen.reference_lm.revision == digest(model)
    assert chosen.tokenization.tokenizer == "models/small-llama/tokenizer.json"
    assert not (place / "models" / "small-llama" / "pytorch_model.bin").exists()
    assert _reference_lm("demo", False, chosen) == CONFIG
    assert use_lm("models/small-llama") == "", "where it already is"

    said = run("tokenizer", "reference_lm")
    assert f"models/small-llama, {digest(model)[:16]}" in said
    artifact = place / "artifacts" / "demo" / "reference_lm"
    assert {path.name for path in artifact.iterdir()} == {
        "config.json",
        "model.safetensors",
        "sha256.json",
        "tokenizer.json",
    }
    tokens = np.random.default_rng(1).integers(0, 300, (2, 1, 128))
    assert np.isfinite(JaxScoringLM(artifact).score(*tokens, np.zeros((1, 2), int))).all()


def test_what_was_changed_since_is_not_taken(place, model):
    use_lm(str(model))
    run("tokenizer")
    there = place / "models" / "small-llama" / "config.json"
    text = there.read_text()
    there.unlink()
    there.write_text(text.replace("1e-05", "1e-06"))
    with pytest.raises(Failure, match="is not what was chosen") as failure:
        run("reference_lm")
    assert failure.value.code == Exit.CONTRACT
    use_lm("models/small-llama")
    run("reference_lm")


def test_corpora_may_keep_their_tokenizer(place, model):
    before = load(place / "params.yaml").tokenization
    edits = use_lm(str(model), keep_tokenizer=True)
    assert "tokens, chunks and candidates stay" in edits
    chosen = load(place / "params.yaml")
    assert chosen.tokenization == before
    assert chosen.reference_lm.name == "models/small-llama"
    assert "all stages from the tokenizer on" in use_lm(str(model))

    tokenizer = place / "artifacts" / "demo" / "tokenizer" / "tokenizer.json"
    tokenizer.parent.mkdir(parents=True)
    train_tokenizer(iter(["quite another text"]), 300).save(str(tokenizer))
    columns = {
        "doc_id": ["d"],
        "split": ["train"],
        "chunk": [0],
        "segment": [0],
        "token_ids": [[1, 2]],
        "text": ["a chunk"],
    }
    write_artifact(
        CHUNKS, tokenizer.parents[1] / "chunks", CHUNKS.table(columns, chunk_tokens=2, sequence_chunks=16)
    )
    assert "has a tokenizer of its own and scores text" in run("reference_lm")
    beside = tokenizer.parents[1] / "reference_lm" / "tokenizer.json"
    assert beside.read_bytes() == (model / "tokenizer.json").read_bytes() != tokenizer.read_bytes()


def gguf_of(model: Path, file: Path) -> Path:
    """The same model as llama.cpp keeps it."""
    sizes, tokenizer = (
        json.loads((model / "config.json").read_text()),
        json.loads((model / "tokenizer.json").read_text()),
    )
    writer = gguf.GGUFWriter(file, "llama")
    for ours, stated in gguf_files.SIZES.items():
        (writer.add_float32 if isinstance(sizes[ours], float) else writer.add_uint32)(
            f"llama.{stated}", sizes[ours]
        )
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(sorted(tokenizer["model"]["vocab"], key=tokenizer["model"]["vocab"].__getitem__))
    writer.add_token_merges([" ".join(merge) for merge in tokenizer["model"]["merges"]])
    writer.add_tensor("token_embd.weight", np.zeros((300, 16), np.float32))
    writer.add_tensor("output_norm.weight", np.ones(16, np.float32))
    shapes = {"attn_q": (16, 16), "attn_k": (8, 16), "attn_v": (8, 16), "attn_output": (16, 16)}
    shapes |= {
        "ffn_gate": (24, 16),
        "ffn_up": (24, 16),
        "ffn_down": (16, 24),
        "attn_norm": (16,),
        "ffn_norm": (16,),
    }
    for block in range(2):
        for name, shape in shapes.items():
            writer.add_tensor(f"blk.{block}.{name}.weight", np.ones(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def test_a_gguf_file_is_turned_into_a_directory_once(place, model, tmp_path, monkeypatch):
    file = gguf_of(model, tmp_path / "small.gguf")
    assert "models/small/tokenizer.json" in use_lm(str(file))
    run("tokenizer", "reference_lm")

    def again(*_: object) -> None:
        raise AssertionError("it was there")

    monkeypatch.setattr(gguf_files, "convert", again)
    assert use_lm(str(file)) == ""
    with open(file, "ab") as other:
        other.write(b"\0")
    with pytest.raises(AssertionError, match="it was there"):
        use_lm(str(file))


def test_a_packaged_model_is_found_by_its_short_name(place, model, tmp_path, monkeypatch):
    package = tmp_path / "packages" / "a_packaged_lm"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    shutil.move(gguf_of(model, tmp_path / "tiny.gguf"), package)
    monkeypatch.syspath_prepend(package.parent)
    monkeypatch.setitem(module.PACKAGED, "tiny", "a_packaged_lm")
    monkeypatch.setitem(module.ABOUT, "tiny", "A model of nothing")
    assert use_lm("tiny").startswith("A model of nothing\n---")
    assert load(place / "params.yaml").reference_lm.name == "models/tiny"


def test_models_that_are_none_are_refused_and_nothing_is_written(place, model, tmp_path):
    assert refused("nothing.gguf").code == Exit.USAGE
    assert "smollm2" in refused("no-such-model").remedy
    assert "commits/main" in refused("org/lm").remedy
    assert "has no commit" in refused(model, "0" * 40).cause
    (tmp_path / "text.gguf").write_text("no model at all" * 10)
    assert "no GGUF file" in refused(tmp_path / "text.gguf").cause
    sizes = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**sizes, "max_position_embeddings": 255}))
    assert "prompts of 255 tokens" in refused(model).cause
    (model / "config.json").write_text(json.dumps({**sizes, "architectures": ["MambaForCausalLM"]}))
    assert "MambaForCausalLM" in refused(model).cause
    (model / "tokenizer.json").unlink()
    assert "no tokenizer.json" in refused(model).what


def test_a_gpt2_is_taken_if_it_has_learnt_enough_positions(place, model):
    values = {
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": 300,
        "n_embd": 16,
        "n_layer": 2,
        "n_head": 2,
    }
    (model / "config.json").write_text(json.dumps({**values, "n_positions": 255}))
    assert "prompts of 255 tokens" in refused(model).cause
    (model / "config.json").write_text(json.dumps({**values, "n_positions": 256}))
    assert "+  source: directory" in use_lm(str(model))
    assert _reference_lm("demo", False, load(place / "params.yaml")).longest_prompt == 256


def test_what_cannot_be_installed_is_said(place, monkeypatch, tmp_path):
    monkeypatch.setitem(module.PACKAGED, "absent", "no_such_package_of_python")
    monkeypatch.setitem(module.ABOUT, "absent", "")
    (tmp_path / "lock.txt").write_text("no-such-package-of-python==1.0 --hash=sha256:" + "0" * 64 + "\n")
    monkeypatch.setattr(module, "LOCK", tmp_path / "lock.txt")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert refused("absent").code == Exit.ENVIRONMENT
