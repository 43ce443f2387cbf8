"""The JAX scoring engine: scores of whole prompts, in the caller's order, whatever lies beside them in a
batch.
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors import SafetensorError

from model import gpt_neox, gpt_neox_files, hugging_face_files
from model.gpt_neox_config import GPTNeoXConfig
from stages.engines import jax_engine
from stages.engines.jax_engine import JaxScoringLM

CONFIG = GPTNeoXConfig(
    vocab_size=61,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    max_position_embeddings=256,
)
PREFIXES, SUFFIXES = 13, 9
WHOLE_LOG_PROBS = jax.jit(
    lambda params, tokens: jax.nn.log_softmax(gpt_neox.logits(params, CONFIG, tokens), axis=-1)
)


@pytest.fixture(scope="module")
def params() -> gpt_neox.Params:
    rng = np.random.default_rng(0)
    return jax.tree.map(
        lambda leaf: np.asarray(leaf) + 0.2 * rng.normal(size=leaf.shape).astype(np.float32),
        gpt_neox.init(CONFIG, 0),
    )


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory, params: gpt_neox.Params) -> Path:
    path = tmp_path_factory.mktemp("reference_lm")
    gpt_neox_files.save(path, CONFIG, params)
    (path / "tokenizer.json").write_text("{}")
    return path


@pytest.fixture(scope="module")
def engine(directory: Path) -> JaxScoringLM:
    return JaxScoringLM(directory, batch_pairs=4, window_prefixes=5)


@pytest.fixture(scope="module")
def prompts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """13 prefixes, 9 suffixes (two share c_q, two are equal) and every pair of them, shuffled."""
    rng = np.random.default_rng(1)
    prefixes = rng.integers(0, CONFIG.vocab_size, (PREFIXES, 128)).astype(np.int32)
    suffixes = rng.integers(0, CONFIG.vocab_size, (SUFFIXES, 128)).astype(np.int32)
    suffixes[1, :64] = suffixes[0, :64]
    suffixes[3] = suffixes[2]
    pairs = np.stack(np.meshgrid(np.arange(PREFIXES), np.arange(SUFFIXES)), axis=-1).reshape(-1, 2)
    return prefixes, suffixes, rng.permutation(pairs)


@pytest.fixture(scope="module")
def everything(engine: JaxScoringLM, prompts: tuple) -> np.ndarray:
    """The scores of all pairs."""
    return engine.score(*prompts)


def whole_prompt_sums(
    params: gpt_neox.Params, prompts: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> np.ndarray:
    """Sums over target halves from full 256-token forward passes, float64 [n, 2]."""
    prefixes, suffixes, pairs = prompts
    tokens = np.concatenate([prefixes[pairs[:, 0]], suffixes[pairs[:, 1]]], axis=1)
    log_probs = np.asarray(WHOLE_LOG_PROBS(params, jnp.asarray(tokens)), np.float64)
    scored = np.take_along_axis(log_probs[:, 191:255], tokens[:, 192:, None], axis=-1)[..., 0]
    return scored.reshape(-1, 2, 32).sum(axis=-1)


def test_scores_are_the_sums_over_target_halves_of_whole_prompts(
    everything: np.ndarray, params: gpt_neox.Params, prompts: tuple
) -> None:
    assert (everything.shape, everything.dtype) == ((PREFIXES * SUFFIXES, 2), np.float32)
    np.testing.assert_allclose(everything, whole_prompt_sums(params, prompts), atol=32 * 1e-5)


@pytest.mark.parametrize("count", [1, 6, PREFIXES * SUFFIXES])
def test_a_pair_scores_the_same_bits_in_any_company(
    engine: JaxScoringLM, prompts: tuple, everything: np.ndarray, count: int
) -> None:
    prefixes, suffixes, pairs = prompts
    chosen = np.random.default_rng(count).permutation(len(pairs))[:count]
    assert np.array_equal(engine.score(prefixes, suffixes, pairs[chosen]), everything[chosen])


def test_equal_prompts_score_equal_and_a_shared_query_chunk_is_no_obstacle(
    engine: JaxScoringLM, prompts: tuple
) -> None:
    prefixes, suffixes, _ = prompts
    scores = engine.score(prefixes, suffixes, np.array([[4, 2], [4, 0], [4, 3], [4, 1], [4, 2]]))
    assert np.array_equal(scores[0], scores[2])
    assert np.array_equal(scores[0], scores[4])
    assert not np.array_equal(scores[1], scores[3])


def test_batch_and_window_sizes_change_rounding_only(
    directory: Path, prompts: tuple, everything: np.ndarray
) -> None:
    other = JaxScoringLM(directory, batch_pairs=7, window_prefixes=64)
    np.testing.assert_allclose(other.score(*prompts), everything, atol=1e-3)


def test_each_prefix_is_computed_once(
    engine: JaxScoringLM, prompts: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    windows = []
    compiled = jax_engine._compiled_prefixes
    monkeypatch.setattr(
        jax_engine, "_compiled_prefixes", lambda *args: windows.append(args[2]) or compiled(*args)
    )
    engine.score(*prompts)
    assert len(windows) == 3
    assert np.array_equal(np.concatenate([windows[0], windows[1], windows[2][:3]]), prompts[0])


def test_no_number_of_pairs_is_compiled_anew(engine: JaxScoringLM, prompts: tuple) -> None:
    prefixes, suffixes, pairs = prompts
    engine.score(prefixes, suffixes, pairs)
    programs = jax_engine._compiled_prefixes._cache_size(), jax_engine._compiled_half_sums._cache_size()
    engine.score(prefixes[:2], suffixes, pairs[pairs[:, 0] < 2][:3])
    assert (
        jax_engine._compiled_prefixes._cache_size(),
        jax_engine._compiled_half_sums._cache_size(),
    ) == programs


def test_progress_ends_at_the_number_of_pairs(engine: JaxScoringLM, prompts: tuple) -> None:
    calls: list[tuple[int, int]] = []
    engine.score(*prompts, progress=lambda done, total: calls.append((done, total)))
    done = [d for d, _ in calls]
    assert done == sorted(done)
    assert calls[-1] == (PREFIXES * SUFFIXES, PREFIXES * SUFFIXES)


def test_no_pairs_give_no_scores(engine: JaxScoringLM, prompts: tuple) -> None:
    assert engine.score(prompts[0], prompts[1], np.empty((0, 2), np.int32)).shape == (0, 2)


def test_half_precision_stays_near_single(directory: Path, prompts: tuple, everything: np.ndarray) -> None:
    half = JaxScoringLM(directory, batch_pairs=4, window_prefixes=5, dtype="float16")
    np.testing.assert_allclose(half.score(*prompts), everything, atol=0.2)


def test_identity_names_what_decides_the_scores(directory: Path, engine: JaxScoringLM) -> None:
    identity = engine.identity()
    assert set(identity) == {
        "engine",
        "version",
        "device",
        "weights",
        "tokenizer",
        "dtype",
        "layout",
        "batch",
    }
    assert (identity["engine"], identity["version"], identity["device"], identity["dtype"]) == (
        "jax",
        jax.__version__,
        "cpu",
        "float32",
    )
    assert identity["weights"] == hugging_face_files.digest(directory)
    for other in ({"dtype": "float16"}, {"batch_pairs": 5}, {"window_prefixes": 6}):
        assert (
            JaxScoringLM(directory, **{"batch_pairs": 4, "window_prefixes": 5, **other}).identity()
            != identity
        )


def test_identity_is_known_without_loading_weights(tmp_path: Path, params: gpt_neox.Params) -> None:
    gpt_neox_files.save(tmp_path, CONFIG, params)
    (tmp_path / "tokenizer.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    engine = JaxScoringLM(tmp_path)
    assert engine.identity()["weights"] == hugging_face_files.digest(tmp_path)
    with pytest.raises(SafetensorError):
        engine.score(np.zeros((1, 128), np.int32), np.zeros((1, 128), np.int32), np.zeros((1, 2), np.int32))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda p, s, n: (p + 60, s, n), r"prefixes run from 60 to .*allowed are 0 to 60"),
        (lambda p, s, n: (p, s - 61, n), r"suffixes run from -61"),
        (lambda p, s, n: (p, s, n + np.array([1, 0])), r"prefix row.*13, allowed are 0 to 12"),
        (lambda p, s, n: (p, s, n - np.array([0, 1])), r"suffix row.*-1"),
        (lambda p, s, n: (p, s, n[:, 0]), r"pairs \(117,\)"),
        (
            lambda p, s, n: (np.concatenate([p, p[:, :1]], axis=1), s, n),
            "257 tokens, the reference LM takes 256",
        ),
    ],
)
def test_input_that_would_be_scored_as_something_else_is_refused(
    engine: JaxScoringLM, prompts: tuple, spoil, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        engine.score(*spoil(*prompts))


def test_an_incomplete_directory_is_refused(tmp_path: Path, params: gpt_neox.Params) -> None:
    gpt_neox_files.save(tmp_path, CONFIG, params)
    with pytest.raises(FileNotFoundError, match=r"tokenizer\.json"):
        JaxScoringLM(tmp_path)
