"""Operations and hours of scoring, against figures worked out for Pythia-1.4B by hand."""

import jax
import pytest

from model.gpt_neox import shapes
from model.gpt_neox_config import GPTNeoXConfig
from model.llama_config import LlamaConfig
from stages.bill import cost
from stages.bill.cost import Volume

PYTHIA = GPTNeoXConfig(
    vocab_size=50304, hidden_size=2048, num_hidden_layers=24, num_attention_heads=16, intermediate_size=8192
)
M = 64
SHARING = 20  # pairs a prefix serves


def test_a_shared_pair_of_pythia_costs_a_third_of_a_teraflop_and_a_whole_prompt_twice_as_much():
    shared = cost.scoring_flops(PYTHIA, M, prefixes=1, pairs=SHARING) / SHARING
    assert shared == pytest.approx(0.343e12, rel=2e-3)
    assert cost.whole_prompt_flops(PYTHIA, M) == pytest.approx(0.678e12, rel=2e-3)
    assert shared / cost.whole_prompt_flops(PYTHIA, M) == pytest.approx(0.51, abs=0.005)


@pytest.mark.parametrize("config", [PYTHIA, GPTNeoXConfig(300, 32, 2, 2, 80)], ids=["pythia", "tiny"])
def test_parameters_are_those_of_the_model(config):
    assert config.parameters == sum(leaf.size for leaf in jax.tree.leaves(shapes(config)))


def test_the_parts_of_a_pair():
    assert cost.head_flops(PYTHIA, M) == 64 * 2 * 2048 * 50304
    assert cost.layers_flops(PYTHIA, 1) == 24 * (2 * 12 * 2048**2 + 4 * 2048), (
        "one token: the matrices, and attention to itself"
    )
    halves = cost.layers_flops(PYTHIA, 128) + cost.layers_flops(PYTHIA, 128, before=128)
    assert halves == cost.layers_flops(PYTHIA, 256), "a prompt in two parts costs what it costs whole"


def test_grouped_heads_cost_less_than_as_many_keys():
    """SmolLM2-135M: 30 layers, 9 heads of 64, 3 of keys and values, a gated feed-forward network of 1536, a
    tied head.
    """
    smol = LlamaConfig(49152, 576, 30, 9, 3, 1536, 64, 8192, 1e-5, tie_word_embeddings=True)
    assert smol.parameters == 134_515_008
    one_token = 2 * (2 * 576 * 576 + 2 * 576 * 192 + 3 * 576 * 1536) + 4 * 576
    assert cost.layers_flops(smol, 1) == 30 * one_token
    assert cost.head_flops(smol, 1) == 2 * 576 * 49152


def test_the_papers_corpus_of_three_billion_tokens_takes_days():
    flops = cost.scoring_flops(PYTHIA, M, prefixes=984e6 / SHARING, pairs=984e6)
    hours = cost.device_hours(flops, "TPUv4", "float16")
    assert hours / 24 == pytest.approx(36, abs=1)
    assert cost.device_hours(flops, "H100", "float16") == cost.device_hours(flops, "H200", "float16") < hours


def test_tokens_are_those_that_are_computed():
    assert cost.scoring_tokens(M, prefixes=1, pairs=20) == 128 * 21


def test_volumes_add_up_and_scale():
    assert Volume(1, 2, 3, 4, 5) + Volume(1, 1, 1, 1, 1) == Volume(2, 3, 4, 5, 6)
    assert Volume(1, 2, 3, 4, 5).scaled(10) == Volume(10, 20, 30, 40, 50)
