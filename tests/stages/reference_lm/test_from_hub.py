"""A reference LM from the hub, fetched by the stage itself from a local server that answers as huggingface.co
does.
"""

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import jax
import numpy as np
import pytest
from huggingface_hub import constants
from safetensors.numpy import load_file, save, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from data_contracts.failure import Exit, Failure
from data_contracts.seal import SEAL
from data_contracts.tokens import CHUNKS
from flows.overrides import apply_overrides
from model import gpt_neox, gpt_neox_files, llama, llama_files
from model.causal_lm_files import to_tensors
from model.gpt_neox_config import GPTNeoXConfig
from model.llama_config import LlamaConfig
from stages.__main__ import run_stage
from stages.engines.jax_engine import JaxScoringLM
from stages.report.report import reference_lm_section
from stages.runner.messages import Messages
from stages.tokens.tokenizer import train_tokenizer
from tests.stages.artifacts import write_artifact
from tests.stages.local_hub import COMMIT, Hub, serving

ROOT = Path(__file__).resolve().parents[3]
CONFIG = GPTNeoXConfig(300, 16, 2, 2, 32, max_position_embeddings=256, rotary_pct=0.5)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> dict[str, bytes]:
    """The files of a repository: weights in two shards, the tokenizer laid out otherwise than ours, and some
    that are not to be fetched.
    """
    directory = tmp_path_factory.mktemp("model")
    gpt_neox_files.save(directory, CONFIG, jax.tree.map(np.asarray, gpt_neox.init(CONFIG, 0)))
    tensors = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    holders = dict[str, str]()
    for number, names in enumerate((sorted(tensors)[::2], sorted(tensors)[1::2]), 1):
        holders |= dict.fromkeys(names, f"model-{number:05d}-of-00002.safetensors")
        save_file(
            {name: tensors[name] for name in names}, directory / f"model-{number:05d}-of-00002.safetensors"
        )
    (directory / "model.safetensors.index.json").write_text(json.dumps({"weight_map": holders}))
    tokenizer = train_tokenizer(iter(["a text to train on, twice over: a text to train on"]), 300)
    (directory / "tokenizer.json").write_text(tokenizer.to_str(pretty=False))
    for name in ("pytorch_model.bin", "consolidated.safetensors", "modeling_evil.py", "README.md"):
        (directory / name).write_text("not to be fetched")
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture
def hub(model) -> Iterator[Hub]:
    with serving(model) as server:
        yield server


@pytest.fixture
def place(tmp_path, model) -> Path:
    """A workspace with the demo's parameters and a tokenizer."""
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    tokenizer = tmp_path / "artifacts" / "demo" / "tokenizer" / "tokenizer.json"
    tokenizer.parent.mkdir(parents=True)
    tokenizer.write_text(json.dumps(json.loads(model["tokenizer.json"]), indent=4))
    return tmp_path


def choose(place: Path, revision: str | None) -> None:
    chosen = {"source": "hub", "name": "org/lm", "revision": revision}
    apply_overrides(place / "params.yaml", {f"reference_lm.{key}": value for key, value in chosen.items()})


def run_process(place: Path, hub: Hub, **environment: str) -> int:
    """The exit code of the stage in a process of its own."""
    choose(place, COMMIT)
    known = {
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(place / "hub"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-m", "stages", "reference_lm", "demo"]
    environment = {**os.environ, **known, **environment}
    done = subprocess.run(
        command, cwd=place, env=environment, text=True, capture_output=True, check=False, timeout=120
    )
    assert json.loads(done.stdout.splitlines()[-1])["code"] == done.returncode
    return done.returncode


@pytest.fixture
def run(place, hub, monkeypatch) -> Callable[..., tuple[int, str]]:
    """(exit code, reason) of the stage in this process, as a function of the revision."""
    monkeypatch.chdir(place)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, hub.endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", hub.endpoint)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(place / "hub"))

    def run(revision: str | None = COMMIT) -> tuple[int, str]:
        choose(place, revision)
        try:
            run_stage("reference_lm", "demo", Messages(io.StringIO()))
        except Failure as failure:
            return failure.code, str(failure)
        return Exit.DONE, ""

    return run


def weights_asked(hub: Hub) -> list[str]:
    return [name for name in hub.asked if name.endswith(".safetensors")]


def test_a_model_is_fetched_whole_and_stays_without_the_hub(place, hub, model):
    assert run_process(place, hub) == 0
    artifact = place / "artifacts" / "demo" / "reference_lm"
    wanted = {name for name in model if name.startswith("model") and "safetensors" in name} | {
        "config.json",
        "tokenizer.json",
    }
    assert {path.name for path in artifact.iterdir()} - {SEAL} == wanted == set(hub.asked)
    assert not any(path.is_symlink() for path in artifact.iterdir())
    assert (artifact / "tokenizer.json").read_bytes() == (
        artifact.parent / "tokenizer" / "tokenizer.json"
    ).read_bytes()
    config, params = gpt_neox_files.load(artifact)
    assert config == CONFIG
    jax.tree.map(np.testing.assert_array_equal, params, gpt_neox.init(CONFIG, 0))
    known = reference_lm_section(artifact)
    assert (known.parameters, known.steps, known.curve) == (
        sum(leaf.size for leaf in jax.tree.leaves(params)),
        None,
        [],
    )

    hub.asked.clear()
    assert run_process(place, hub, HF_HUB_OFFLINE="1") == 0
    assert not hub.asked
    assert {path.name for path in artifact.iterdir()} == wanted | {SEAL}


def test_a_llama_is_fetched_and_scores(run, hub, place):
    config = LlamaConfig(300, 16, 2, 2, 1, 24, 8, 256, 1e-5)
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: (0.3 * rng.normal(size=leaf.shape)).astype(np.float32), llama.shapes(config)
    )
    sizes = {**asdict(config), "rope": None, "architectures": ["LlamaForCausalLM"]}
    hub.files = {name: body for name, body in hub.files.items() if "safetensors" not in name}
    hub.files |= {
        "config.json": json.dumps(sizes).encode(),
        "model.safetensors": save(
            {
                name: np.ascontiguousarray(value)
                for name, value in to_tensors(llama_files.TENSORS, params).items()
            }
        ),
    }
    hub.files["consolidated.safetensors"] = b"the same in another layout"
    assert run() == (0, "")
    engine = JaxScoringLM(place / "artifacts" / "demo" / "reference_lm", batch_pairs=2, window_prefixes=2)
    prefixes, suffixes = rng.integers(0, 300, (2, 128)), rng.integers(0, 300, (2, 128))
    scores = engine.score(prefixes, suffixes, np.array([[0, 0], [0, 1], [1, 0]]))
    prompts = np.concatenate([prefixes[[0, 0, 1]], suffixes[[0, 1, 0]]], axis=1)
    logprobs = np.asarray(jax.nn.log_softmax(llama.logits(params, config, jax.numpy.asarray(prompts))))
    whole = (
        np.take_along_axis(logprobs[:, 191:255], prompts[:, 192:, None], axis=-1)[..., 0]
        .reshape(3, 2, 32)
        .sum(axis=-1)
    )
    np.testing.assert_allclose(scores, whole, rtol=1e-5)


def test_a_model_of_other_tokens_keeps_its_tokenizer(run, hub, place):
    other = hub.files["tokenizer.json"] = train_tokenizer(iter(["quite another text"]), 300).to_str().encode()
    write_chunks(place, "text of a chunk", "漢\ufffd")
    assert run() == (0, "")
    assert (place / "artifacts" / "demo" / "reference_lm" / "tokenizer.json").read_bytes() == other


def test_a_tokenizer_that_loses_text_is_refused_before_the_weights_are_downloaded(run, hub, place):
    hub.files["tokenizer.json"] = (
        Tokenizer(WordLevel({"[UNK]": 0, "text": 1}, unk_token="[UNK]")).to_str().encode()
    )
    write_chunks(place, "text", "text of a chunk")
    code, reason = run()
    assert code == 3
    assert "turns 'text of a chunk' into '[UNK]'" in reason
    assert not weights_asked(hub)


def write_chunks(place: Path, *texts: str) -> None:
    columns = {
        "doc_id": ["d"] * len(texts),
        "split": ["train"] * len(texts),
        "chunk": range(len(texts)),
        "segment": [0] * len(texts),
    }
    columns |= {"token_ids": [[1, 2]] * len(texts), "text": texts}
    write_artifact(
        CHUNKS,
        place / "artifacts" / "demo" / "chunks",
        CHUNKS.table(columns, chunk_tokens=2, sequence_chunks=16),
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"auto_map": {"AutoModel": "evil.Model"}}, "auto_map"),
        ({"architectures": ["LlamaForCausalLM"]}, "LlamaForCausalLM"),
        ({"max_position_embeddings": 255}, "prompts of 255 tokens from 300, 256 from"),
        ({"vocab_size": 10}, "256 tokens from 10"),
    ],
)
def test_a_model_that_cannot_be_used_is_refused_before_the_weights_are_downloaded(run, hub, change, words):
    hub.files["config.json"] = json.dumps(json.loads(hub.files["config.json"]) | change).encode()
    code, reason = run()
    assert (code, words in reason) == (2, True), reason
    assert not weights_asked(hub)


def test_pickled_weights_are_refused_with_a_remedy(run, hub):
    hub.files = {name: body for name, body in hub.files.items() if "safetensors" not in name}
    code, reason = run()
    assert code == 2
    assert "safe_serialization" in reason
    assert "pytorch_model.bin" not in hub.asked


@pytest.mark.parametrize("source", ["hub", "directory"])
def test_a_model_that_may_be_another_tomorrow_is_refused_before_anything_runs(place, source):
    before = (place / "params.yaml").read_bytes()
    chosen = {"reference_lm.source": source, "reference_lm.name": "org/lm", "reference_lm.revision": None}
    commit = " --revision COMMIT" if source == "hub" else ""
    with pytest.raises(Failure, match=rf"revision is null.*`./rpt use-lm org/lm{commit}` sets it") as failure:
        apply_overrides(place / "params.yaml", chosen)
    assert failure.value.code == Exit.USAGE
    assert (place / "params.yaml").read_bytes() == before


@pytest.mark.parametrize("revision", ["main", "v1.0", COMMIT[:-1], COMMIT.upper()])
def test_only_a_commit_is_a_revision(place, revision):
    with pytest.raises(Failure, match="40 hex digits") as failure:
        apply_overrides(place / "params.yaml", {"reference_lm.revision": revision})
    assert failure.value.code == Exit.USAGE


def test_an_unknown_commit_is_no_traceback(run):
    code, reason = run("f" * 40)
    assert code == 5
    assert "org/lm at ffffffffffff could not be downloaded" in reason
