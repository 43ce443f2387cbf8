"""Which engine scores on which machine, what it costs to ask, and what is said of a model directory that
cannot be used.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_contracts.failure import Exit, Failure
from model import gpt_neox, gpt_neox_files
from model.gpt_neox_config import GPTNeoXConfig
from stages import parameters
from stages.engines import choice, vllm_engine
from stages.engines.choice import automatic_engine, explained, make_engine
from tests.stages.unusable_models import UNUSABLE

ROOT = Path(__file__).resolve().parents[3]
CONFIG = GPTNeoXConfig(
    vocab_size=19,
    hidden_size=16,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=24,
    max_position_embeddings=32,
)
PROMPT = (np.zeros((1, 16), np.int32), np.zeros((1, 16), np.int32), np.zeros((1, 2), np.int32))


@pytest.fixture
def directory(tmp_path) -> Path:
    gpt_neox_files.save(tmp_path, CONFIG, gpt_neox.init(CONFIG, 0))
    (tmp_path / "tokenizer.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    ("chunk_tokens", "installed", "gpus", "name", "why"),
    [
        (64, True, 2, "vllm", "2 CUDA GPUs"),
        (64, True, 0, "jax", "no CUDA GPU"),
        (64, False, 2, "jax", "not installed"),
        (32, True, 2, "jax", "32 tokens"),
    ],
)
def test_auto_takes_vllm_only_where_it_is_installed_has_a_gpu_and_fits_the_chunks(
    monkeypatch, chunk_tokens, installed, gpus, name, why
):
    monkeypatch.setattr(choice.importlib.util, "find_spec", lambda package: object() if installed else None)
    monkeypatch.setattr(choice, "cuda_gpus", lambda: gpus)
    found, reason = automatic_engine(chunk_tokens)
    assert found == name
    assert why in reason


def test_auto_needs_no_engine_to_be_imported():
    script = (
        "import sys; from stages.engines.choice import automatic_engine; assert automatic_engine(64)[0] in"
        " ('jax', 'vllm'); assert not {'vllm', 'torch', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_vllm_is_not_imported_unless_chosen(directory):
    script = (
        "import sys; from pathlib import Path; from stages.engines.choice import make_engine; "
        f"make_engine('jax', Path({str(directory)!r})).identity(); assert 'vllm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


@pytest.mark.parametrize("name", ["auto", "torch"])
def test_a_stage_is_told_an_engine_by_name(directory, name):
    with pytest.raises(Failure, match="vllm or jax") as failure:
        make_engine(name, directory)
    assert failure.value.code == Exit.USAGE


def test_the_parameter_knows_no_other_engine():
    raw = parameters.load(ROOT / "params.yaml").model_dump(mode="json")
    assert parameters.check({**raw, "scoring": {**raw["scoring"], "engine": "auto"}}).scoring.engine == "auto"
    with pytest.raises(Failure, match=r"scoring\.engine"):
        parameters.check({**raw, "scoring": {**raw["scoring"], "engine": "torch"}})


@pytest.mark.parametrize(("spoil", "cause", "remedy"), UNUSABLE)
def test_a_model_directory_that_cannot_be_used_is_refused_with_a_remedy(directory, spoil, cause, remedy):
    spoil(directory)
    with pytest.raises(Failure) as failure:
        make_engine("jax", directory)
    assert cause in failure.value.cause
    assert remedy in failure.value.remedy
    assert failure.value.code == Exit.CONTRACT


def test_an_engine_that_is_not_installed_is_another_failure_than_one_that_breaks_down(directory, monkeypatch):
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(Failure, match=r"cannot be imported.*scoring\.engine to jax") as failure:
        make_engine("vllm", directory)
    assert failure.value.code == Exit.ENVIRONMENT
    with (
        pytest.raises(Failure, match=r"broke down.*out of memory.*set scoring\.engine to jax") as failure,
        explained("vllm", directory),
    ):
        raise RuntimeError("CUDA out of memory")
    assert failure.value.code == Exit.STAGE_FAILED


def test_weights_that_are_no_weights_and_tokens_that_are_no_tokens_are_refused_when_scored(directory):
    engine = make_engine("jax", directory)
    assert engine.score(*PROMPT).shape == (1, 2)
    with pytest.raises(Failure, match="prefixes run from 19 to 19, allowed are 0 to 18") as failure:
        engine.score(PROMPT[0] + 19, *PROMPT[1:])
    assert (failure.value.code, failure.value.remedy) == (
        Exit.CONTRACT,
        "tokens, chunks and reference LM must belong together",
    )
    (directory / "model.safetensors").write_bytes(b"12345678")
    with pytest.raises(Failure, match="cannot score") as failure:
        make_engine("jax", directory).score(*PROMPT)
    assert failure.value.code == Exit.CONTRACT


def test_no_engine_is_ever_allowed_to_run_a_models_code():
    assert vllm_engine.TRUST_REMOTE_CODE is False
    for path in (ROOT / "stages").rglob("*.py"):
        assert "trust_remote_code=True" not in path.read_text()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_scores_of_another_precision_are_near_and_never_share_a_ledger(directory, dtype):
    full, half = make_engine("jax", directory), make_engine("jax", directory, dtype)
    assert half.identity() == full.identity() | {"dtype": dtype}
    assert np.abs(half.score(*PROMPT) - full.score(*PROMPT)).max() < 1.0
    assert (half.score(*PROMPT) != full.score(*PROMPT)).any()
