"""A reference LM as the pipeline trains and saves it predicts in JAX what it predicts in transformers, token
by token.
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model import gpt_neox, gpt_neox_files
from model.gpt_neox_config import GPTNeoXConfig
from stages.engines.jax_engine import JaxScoringLM
from stages.reference_lm.mixture import training_windows
from stages.reference_lm.training import fresh, train

pytestmark = pytest.mark.vllm

CONFIG = GPTNeoXConfig(
    vocab_size=96,
    hidden_size=48,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=192,
    max_position_embeddings=256,
)


@pytest.fixture(scope="module")
def documents() -> list[np.ndarray]:
    """Phrases of a small stock, so that there is something to learn."""
    rng = np.random.default_rng(0)
    stock = [rng.integers(1, CONFIG.vocab_size, rng.integers(4, 20)) for _ in range(30)]
    return [
        np.concatenate([stock[number] for number in rng.integers(len(stock), size=200)]).astype(np.uint32)
        for _ in range(4)
    ]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory, documents: list[np.ndarray]) -> Path:
    top1 = [np.where(np.arange(len(ids) // 64 - 1) >= 4, 0, -1).astype(np.int32) for ids in documents]
    windows = training_windows(documents, top1, count=320, seed=0)
    trained = train(CONFIG, fresh(CONFIG, 80, 6e-3, 0), windows, 80, 4, 6e-3, 0)
    assert trained.history[-1]["loss"] < trained.history[0]["loss"] - 0.5, "it has learnt something"
    path = tmp_path_factory.mktemp("reference_lm")
    gpt_neox_files.save(path, CONFIG, trained.state[0])
    (path / "tokenizer.json").write_text("{}")
    return path


@pytest.fixture(scope="module")
def prompts(documents: list[np.ndarray]) -> np.ndarray:
    """Contiguous windows, and splices as scoring makes them, int [16, 256]."""
    plain = [ids[64 * first : 64 * first + 256] for ids in documents for first in (0, 7)]
    spliced = [
        np.concatenate([ids[: 2 * 64], ids[64 * first : 64 * first + 128]])
        for ids in documents
        for first in (9, 20)
    ]
    return np.stack([*plain, *spliced]).astype(np.int64)


@pytest.fixture(scope="module")
def theirs(directory: Path, prompts: np.ndarray) -> np.ndarray:
    """log P of every token but the first, by transformers, float32 [16, 255]."""
    import torch
    from transformers import GPTNeoXForCausalLM

    model = GPTNeoXForCausalLM.from_pretrained(directory, dtype=torch.float32)
    with torch.no_grad():
        logprobs = torch.log_softmax(model(torch.from_numpy(prompts)).logits, dim=-1).numpy()
    return np.take_along_axis(logprobs[:, :-1], prompts[:, 1:, None], axis=-1)[..., 0]


def test_every_token_is_as_likely_as_transformers_says(
    directory: Path, prompts: np.ndarray, theirs: np.ndarray
) -> None:
    config, params = gpt_neox_files.load(directory)
    logprobs = jax.nn.log_softmax(gpt_neox.logits(params, config, jnp.asarray(prompts)), axis=-1)
    ours = np.take_along_axis(np.asarray(logprobs)[:, :-1], prompts[:, 1:, None], axis=-1)[..., 0]
    assert theirs.std() > 1, "far from uniform"
    np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=0)


def test_labels_are_sums_of_what_transformers_says(
    directory: Path, prompts: np.ndarray, theirs: np.ndarray
) -> None:
    rows = np.arange(len(prompts))
    halves = JaxScoringLM(directory).score(prompts[:, :128], prompts[:, 128:], np.stack([rows, rows], axis=1))
    np.testing.assert_allclose(
        halves, theirs[:, 191:].reshape(-1, 2, 32).sum(axis=-1), atol=32 * 1e-4, rtol=0
    )
