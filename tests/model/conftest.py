"""Small models with parameters large enough for every path to matter, and random batches for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import jax
import numpy as np
import pytest

from data_contracts.eligibility import last_eligible
from model.config import ModelConfig
from model.initialisation import initial_parameters
from model.language_model import Batch, LanguageModel
from model.parameters import Architecture, Parameters
from model.registry import SYSTEMS
from tests.tiny import tiny_config

SMALL = tiny_config(layers=4, cca_layers=(3, 4), recurrent_layers=(3, 4))
CHUNKS = 12
SLOTS = 4


@pytest.fixture(scope="session")
def small() -> ModelConfig:
    return SMALL


@cache
def _architecture(name: str, config: ModelConfig) -> Architecture[LanguageModel]:
    return Architecture.of(SYSTEMS[name].build, config)


@cache
def _first_values(name: str, config: ModelConfig) -> Parameters:
    """Nobody may donate them."""
    return initial_parameters(_architecture(name, config), config, 0)


def _model(name: str, config: ModelConfig = SMALL, scale: float = 10.0) -> LanguageModel:
    parameters = {
        path: x * (1.0 if path.endswith("scale") else scale)
        for path, x in _first_values(name, config).items()
    }
    return _architecture(name, config).model(parameters)


@pytest.fixture(scope="session")
def make_model() -> Callable[..., LanguageModel]:
    """(system name, config) -> a new model; kernels are ten times their first values, so that what matters
    shows in float32.
    """
    return _model


@pytest.fixture(scope="session")
def architecture_of() -> Callable[[str, ModelConfig], Architecture[LanguageModel]]:
    """(system name, config) -> its architecture."""
    return _architecture


def _random_candidates(rng: np.random.Generator, chunks: int, slots: int, stride_chunks: int) -> np.ndarray:
    candidates = np.full((chunks, slots), -1, np.int32)
    for query in range(chunks):
        eligible = max(0, last_eligible(query, stride_chunks) + 1)
        chosen = rng.permutation(eligible)[:slots]
        candidates[query, : len(chosen)] = chosen
    return candidates


@pytest.fixture(scope="session")
def random_candidates() -> Callable[..., np.ndarray]:
    """(rng, chunks, slots, stride_chunks) -> [chunks, slots] distinct eligible chunks, -1 where there are
    fewer.
    """
    return _random_candidates


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., Batch]:
    """(config, rows, chunks, seed) -> a random batch with every chunk labelled."""

    def make(config: ModelConfig = SMALL, rows: int = 1, chunks: int = CHUNKS, seed: int = 0) -> Batch:
        rng = np.random.default_rng(seed)
        text = rng.integers(0, config.vocabulary_size, (rows, chunks * config.chunk_tokens + 1)).astype(
            np.int32
        )
        candidates = np.stack(
            [_random_candidates(rng, chunks, SLOTS, config.stride_chunks) for _ in range(rows)]
        )
        return Batch(
            text[:, :-1],
            text[:, 1:],
            np.ones((rows, text.shape[1] - 1), bool),
            candidates,
            rng.normal(0.0, config.chunk_tokens, candidates.shape).astype(np.float32),
            np.ones((rows, chunks), bool),
            np.ones(rows, bool),
            rng.integers(
                0, config.vocabulary_size, (rows, chunks, config.neighbours, 2 * config.chunk_tokens)
            ).astype(np.int32),
        )

    return make


@pytest.fixture(scope="session")
def two_layers() -> ModelConfig:
    """The smallest configuration that has everything, for tests that compile a training step."""
    return tiny_config()


@pytest.fixture(scope="session")
def official() -> dict[str, np.ndarray]:
    """Parameters, inputs and outputs of parts of the official model, run in float32 on a CPU without dropout.

    The code is github.com/OhadRubin/RPT at c64f67a, its model 64 wide with 4 heads, chunks of 16 tokens and
    strides of 4 chunks; the input is a document of 32 chunks in 2 rows of 16. Its parameters stand under the
    paths they have here. `hidden_CMD` is the output of its lower decoder; arrays with an axis K are those of
    the chunks `fusion.shown_K`; `cross_attention` is the first one, in the first row.
    `ranking.model_scores_CC` are products of its queries and keys over sqrt(D), which its ranking loss takes.
    """
    with np.load(Path(__file__).parent / "data" / "official.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def official_eligible() -> np.ndarray:
    """[32, 32]: whether the official training rule, wider than the one here, lets the row's chunk retrieve
    the column's.
    """
    index = np.arange(32)
    return index < 4 * (index[:, None] // 4) - 2


@pytest.fixture(scope="session")
def official_model(official: dict[str, np.ndarray]) -> LanguageModel:
    """A model whose retriever, fusion and first cross-attention have the official parameters.

    Strides are of one chunk, so that it holds every pair that the official rule allows. The official gate is
    sigmoid((w p + b) / D).
    """
    sizes = {"vocabulary_size": 512, "width": 64, "layers": 4, "heads": 4, "cca_layers": (3, 4)}
    config = tiny_config(**sizes, chunk_tokens=16, stride_chunks=1, gate_window=16)
    architecture = Architecture.of(SYSTEMS["rpt_sem"].build, config)
    sizes = architecture.parameter_sizes()
    parameters: Parameters = {
        path: jax.numpy.asarray(official.get(path, np.zeros(size, np.float32)))
        for path, size in sizes.items()
    }
    parameters["fusion.gate.weight.kernel"] /= config.width**0.5
    parameters["fusion.gate.weight.bias"] /= config.width
    return architecture.model(parameters)
