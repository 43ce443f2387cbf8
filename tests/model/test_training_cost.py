"""The analytic cost of a step against the products in its traced forward and backward pass, and against what
appendix B prints.
"""

from dataclasses import replace
from functools import cache

import jax
import pytest

from model.config import ModelConfig
from model.language_model import LanguageModel, Schedule
from model.matrix_flops import matrix_flops
from model.parameters import Architecture, Parameters
from model.registry import PAPER_CONFIG, SYSTEMS
from model.training_cost import macs_of, step_flops
from tests.tiny import tiny_config

LAYERS = {"cca_layers": (3, 4), "recurrent_layers": (3, 4)}
SIZES = {
    "narrow": (
        {"vocabulary_size": 500, "width": 64, "layers": 4, "chunk_tokens": 16, "gate_window": 8} | LAYERS
    ),
    "wide": (
        {
            "vocabulary_size": 1000,
            "width": 256,
            "layers": 4,
            "heads": 4,
            "chunk_tokens": 32,
            "stride_chunks": 4,
        }
        | {"neighbours": 3, "gate_window": 16, "dropout": 0.1, "dtype": "bfloat16"}
        | LAYERS
    ),
}
CONFIGS = {
    "narrow": (tiny_config(**SIZES["narrow"], copying=True), 24),
    "wide": (tiny_config(**SIZES["wide"]), 32),
}


def macs_per_token(system: str, config: ModelConfig, tokens: int) -> float:
    """Multiply-accumulates a token of one forward pass over sequences of `tokens` tokens."""
    return sum(macs_of(system, config, tokens).values()) / tokens


def printed_cca_overhead(share: float, neighbours: int, block: int = 12) -> float:
    """alpha (k/3 + 1/6) of appendix B: (4k + 2) d^2 in a share alpha of the layers, over `block` d^2 a layer.

    At alpha = 5/12 and k = 2 this is 0.347. The 0.29 that the appendix states follows from 14 d^2 a layer.
    """
    return share * (4 * neighbours + 2) / block


def printed_retriever_overhead(layers: int, neighbours: int, block: int = 12) -> float:
    """(7k/6 + 1/2) / N of appendix B: retriever and fusion, (14k + 6) d^2 once, over N layers of `block` d^2.

    At N = 12 and k = 2 this is 0.236, for a total of 1.583. The 1.49 that the appendix states follows from 14
    d^2 a layer.
    """
    return (14 * neighbours + 6) / (block * layers)


@cache
def traced(architecture: Architecture[LanguageModel], chunks: int, make_batch) -> float:
    """Operations of all matrix products of the losses and their gradient, by the counter of the
    benchmarks.
    """
    parameters = {
        path: jax.ShapeDtypeStruct(size, "float32") for path, size in architecture.parameter_sizes().items()
    }

    def loss(parameters: Parameters) -> jax.Array:
        model = architecture.model(parameters)
        losses = model.train_losses(
            make_batch(model.config, 1, chunks), Schedule(2.0, 1.0, 0.5), jax.random.key(0)
        ).losses
        return sum(losses.values())

    return matrix_flops(jax.make_jaxpr(jax.grad(loss))(parameters).jaxpr)


@pytest.mark.parametrize("size", CONFIGS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_count_is_that_of_the_traced_step(system, size, architecture_of, make_batch):
    """Off by the null keys and by the first M - 1 positions, which cross-attention does not project: under
    0.1 %.
    """
    config, chunks = CONFIGS[size]
    counted = step_flops(system, config, chunks * config.chunk_tokens, sequences=1)
    assert traced(architecture_of(system, config), chunks, make_batch) == pytest.approx(counted, rel=1e-3)


@pytest.mark.parametrize("system", ["rpt_sem", "rpt_sem_features"])
def test_a_lexical_start_counts_where_there_is_one(system, architecture_of, make_batch):
    config, chunks = CONFIGS["narrow"]
    config = replace(config, lexical_start=True)
    counted = step_flops(system, config, chunks * config.chunk_tokens, sequences=1)
    assert traced(architecture_of(system, config), chunks, make_batch) == pytest.approx(counted, rel=1e-3)


def test_what_remat_computes_again_is_not_counted(architecture_of, make_batch):
    config, chunks = CONFIGS["narrow"]
    counted, again = step_flops("retro", config, 384, 1), replace(config, remat=True)
    assert step_flops("retro", again, 384, 1) == counted
    assert traced(architecture_of("retro", again), chunks, make_batch) > 1.1 * counted


def test_what_appendix_b_prints():
    """Its formulas give 1.347 and 1.583; its text says 1.29 and 1.49, which are 14 d^2 a layer cut off after
    two digits.
    """
    cca, retriever = printed_cca_overhead(5 / 12, 2), printed_retriever_overhead(12, 2)
    assert (cca, retriever) == pytest.approx((5 / 12 * (2 / 3 + 1 / 6), (7 * 2 / 6 + 1 / 2) / 12))
    assert (round(1 + cca, 3), round(1 + cca + retriever, 3)) == (1.347, 1.583)
    cca, retriever = printed_cca_overhead(5 / 12, 2, block=14), printed_retriever_overhead(12, 2, block=14)
    assert (round(1 + cca, 4), round(1 + cca + retriever, 4)) == (1.2976, 1.5)


def test_the_cost_of_the_papers_systems():
    """By hand in units of d^2 a token: 16 a layer (4 projections, 4 d of products, 8 of feed-forward), the
    output V / d.
    """
    base = macs_per_token("transformer_xl", PAPER_CONFIG, 16_384)
    assert base / 1024**2 == pytest.approx(12 * 16 + 50_277 / 1024)
    served = 224 / 256  # of the chunks can retrieve something
    cross = served * 5 * (2 + 4 * 2 + 2 * 256 / 1024)
    fusion = macs_per_token("retro", PAPER_CONFIG, 16_384) / 1024**2 - base / 1024**2 - cross
    assert fusion == pytest.approx(15.0, abs=0.1)
    assert macs_per_token("rpt_sem", PAPER_CONFIG, 16_384) / base == pytest.approx(1.27, abs=0.005)
