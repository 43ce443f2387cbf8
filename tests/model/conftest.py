"""Small models with parameters large enough for every path to matter, and random batches for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

from data_contracts.eligibility import last_eligible
from model.config import Shape
from model.initialisation import initial_parameters
from model.language_model import Batch, LanguageModel
from model.parameters import Architecture, Parameters
from model.presets import SYSTEMS

SMALL = Shape(
    vocabulary_size=40,
    width=16,
    layers=4,
    heads=2,
    chunk_tokens=4,
    stride_chunks=2,
    cca_layers=(3, 4),
    neighbours=2,
    gate_window=3,
    dropout=0.0,
    zero_init_residuals=False,
    dtype="float32",
    remat=False,
)
CHUNKS = 12
SLOTS = 4


@pytest.fixture(scope="session")
def quick_jit() -> Callable[..., Callable]:
    """jax.jit with half the compile time and slower code, which is the better bargain for a test."""
    return partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@pytest.fixture(scope="session")
def small() -> Shape:
    return SMALL


def _model(name: str, shape: Shape = SMALL, scale: float = 10.0) -> LanguageModel:
    architecture = Architecture.of(SYSTEMS[name].build, shape)
    return architecture.model({path: _enlarged(path, x, scale) for path, x in initial_parameters(architecture, shape, 0).items()})


def _enlarged(path: str, x: jax.Array, scale: float) -> jax.Array:
    return x if path.endswith("scale") else x * scale


@pytest.fixture(scope="session")
def make_model() -> Callable[..., LanguageModel]:
    """(system name, shape) -> model; kernels are ten times their first values, so that what matters shows in float32."""
    return _model


def _random_candidates(rng: np.random.Generator, chunks: int, slots: int, stride_chunks: int) -> np.ndarray:
    candidates = np.full((chunks, slots), -1, np.int32)
    for query in range(chunks):
        eligible = max(0, last_eligible(query, stride_chunks) + 1)
        chosen = rng.permutation(eligible)[:slots]
        candidates[query, : len(chosen)] = chosen
    return candidates


@pytest.fixture(scope="session")
def random_candidates() -> Callable[..., np.ndarray]:
    """(rng, chunks, slots, stride_chunks) -> [chunks, slots] distinct eligible chunks, -1 where there are fewer."""
    return _random_candidates


@pytest.fixture(scope="session")
def make_batch() -> Callable[..., Batch]:
    """(shape, rows, chunks, seed) -> a random batch with every chunk labelled."""

    def make(shape: Shape = SMALL, rows: int = 1, chunks: int = CHUNKS, seed: int = 0) -> Batch:
        rng = np.random.default_rng(seed)
        text = rng.integers(0, shape.vocabulary_size, (rows, chunks * shape.chunk_tokens + 1)).astype(np.int32)
        candidates = np.stack([_random_candidates(rng, chunks, SLOTS, shape.stride_chunks) for _ in range(rows)])
        return Batch(
            text[:, :-1],
            text[:, 1:],
            np.ones((rows, text.shape[1] - 1), bool),
            candidates,
            rng.normal(0.0, shape.chunk_tokens, candidates.shape).astype(np.float32),
            np.ones((rows, chunks), bool),
            np.ones(rows, bool),
        )

    return make


@pytest.fixture(scope="session")
def two_layers(small: Shape) -> Shape:
    """The smallest shape that has everything, for tests that compile a training step."""
    return replace(small, layers=2, cca_layers=(2,))


@pytest.fixture(scope="session")
def official() -> dict[str, np.ndarray]:
    """Parameters, inputs and outputs of parts of the official model, run in float32 on a CPU without dropout.

    The code is github.com/OhadRubin/RPT at c64f67a, its model 64 wide with 4 heads, chunks of 16 tokens and strides of 4 chunks; the
    input is a document of 32 chunks in 2 rows of 16. Its parameters stand under the paths they have here. `hidden_CMD` is the output
    of its lower decoder; arrays with an axis K are those of the chunks `fusion.shown_K`; `cross_attention` is the first one, in the
    first row. `ranking.model_scores_CC` are products of its queries and keys over sqrt(D), which its ranking loss takes.
    """
    with np.load(Path(__file__).parent / "data" / "official.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="session")
def official_eligible() -> np.ndarray:
    """[32, 32]: whether the official training rule, wider than the one here, lets the row's chunk retrieve the column's."""
    index = np.arange(32)
    return index < 4 * (index[:, None] // 4) - 2


@pytest.fixture(scope="session")
def official_model(official: dict[str, np.ndarray]) -> LanguageModel:
    """A model whose retriever, fusion and first cross-attention have the official parameters.

    Strides are of one chunk, so that it holds every pair that the official rule allows. The official gate is sigmoid((w p + b) / D).
    """
    shape = Shape(512, 64, 4, 4, 16, 1, (3, 4), 2, 16, 0.0, False, "float32", False)
    architecture = Architecture.of(SYSTEMS["rpt_sem"].build, shape)
    parameters: Parameters = dict(initial_parameters(architecture, shape, 0))
    parameters |= {path: jax.numpy.asarray(official[path]) for path in parameters if path in official}
    parameters["fusion.gate.weight.kernel"] /= shape.width**0.5
    parameters["fusion.gate.weight.bias"] /= shape.width
    return architecture.model(parameters)
