"""What training computes (paper appendix B): multiply-accumulates of each part of each system, as the parts
are built here.

Only matrix products count, which leaves out norms, softmax, rotary positions, dropout, the null keys, top-k,
the pairs and sorts of the ranking loss, and the optimizer. An attention counts every key that is multiplied,
also those that its mask then hides (Chowdhery et al., arXiv 2204.02311, appendix B). d is the width, k the
neighbours of a chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pkgutil import resolve_name

from data_contracts.eligibility import first_query
from data_contracts.systems import RECORDS
from model.baselines.memorizing import RETRIEVED
from model.config import PAIR_FEATURES, ModelConfig
from model.layers import FEED_FORWARD_FACTOR
from model.matching import as_many_parameters, deeper
from model.neighbours import retrievable_pairs
from model.passage_encoder import CONDITIONED, LAYERS

Macs = dict[str, float]
"""Part of a model -> multiply-accumulates of one forward pass over one sequence."""
SEARCH, READ = "search of the memory", "memory"
BELOW, FROZEN = "frozen, before what learns", "frozen, after it"
PAIRS = "features of pairs"
PASSES = {SEARCH: 1, READ: 2, PAIRS: 2, BELOW: 1, FROZEN: 2}
"""How often an update makes the products of a part: a search has no gradient, what is read passes one on to
the queries only, features of pairs to their weights only, and frozen matrices to what learns before them, if
anything does; others 3.
"""


def attention_macs(width: int, pairs: float, queries: float, keys: float, outputs: float) -> float:
    """2 d (|K| |Q| + |K| d + |Q| d) of appendix B, for `pairs` = |K| |Q| in all groups of queries and keys
    together.

    `queries` and `keys` are the rows that are projected, `outputs` those that are mixed: keys that serve two
    groups of queries are projected once.
    """
    return width * (2 * pairs + width * (queries + 2 * keys + outputs))


def decoder_macs(config: ModelConfig, tokens: int) -> Macs:
    """Both decoders without cross-attention, and the output matrix: a layer has 2d (2W + 2d) + 8 d^2 a token,
    W the stride in tokens.

    Appendix B prints 2d (W + 2d) + 8 d^2, with half of the window, and rounds that to 12 d^2; it leaves out
    the d V of the output.
    """
    attention = attention_macs(config.width, tokens * 2 * config.stride_tokens, tokens, tokens, tokens)
    feed_forward = 2 * FEED_FORWARD_FACTOR * tokens * config.width**2
    output = tokens * config.width * config.vocabulary_size
    return {
        "self-attention": config.layers * attention,
        "feed-forward": config.layers * feed_forward,
        "output": output,
    }


def fused_macs(config: ModelConfig, tokens: int) -> Macs:
    """The decoders, chunked cross-attention, and the fusion of neighbours (RETRO and all that read neighbours
    as it does).

    The first step of fusion, attention in a pair (j, j + 1), and the queries of the second are computed once
    a retrievable pair, the keys and values of the query chunk once a chunk; appendix B has all of them once a
    neighbour. The gate is not in appendix B. The first chunks, which have nothing to retrieve, cost none of
    it.
    """
    chunks = config.chunks_of(tokens)
    served = chunks - min(first_query(config.stride_chunks), chunks - 1)
    neighbours, tokens_served = served * config.neighbours, served * config.chunk_tokens
    in_neighbours, pairs = (
        neighbours * 2 * config.chunk_tokens,
        retrievable_pairs(chunks, config.stride_chunks),
    )
    in_pairs = pairs * 2 * config.chunk_tokens
    cross = attention_macs(
        config.width, 2 * neighbours * config.chunk_tokens**2, tokens_served, in_neighbours, tokens_served
    )
    in_pair = attention_macs(config.width, in_pairs * 2 * config.chunk_tokens, in_pairs, in_pairs, in_pairs)
    to_query_chunk = attention_macs(
        config.width, in_neighbours * config.chunk_tokens, in_pairs, tokens_served, in_neighbours
    )
    window = min(config.gate_window, served)
    gated = -(-served // window) * window * config.neighbours
    gate = (
        attention_macs(config.width, gated * 2 * window * config.neighbours, gated, gated, gated)
        + neighbours * config.width
    )
    fusion = {"pairs": in_pair, "query chunk": to_query_chunk, "gate": gate}
    return {**decoder_macs(config, tokens), "cross-attention": len(config.cca_layers) * cross, **fusion}


def retro_corpus_macs(config: ModelConfig, tokens: int) -> Macs:
    """The decoders, cross-attention of all chunks to N passages of R tokens, and the encoder of the
    passages.
    """
    chunks, passages = config.chunks_of(tokens), config.chunks_of(tokens) * config.neighbours
    read, width, length = passages * 2 * config.chunk_tokens, config.width, 2 * config.chunk_tokens
    cross = attention_macs(
        width, read * config.chunk_tokens, chunks * config.chunk_tokens, read, chunks * config.chunk_tokens
    )
    in_passage = attention_macs(width, read * length, read, read, read)
    to_query_chunk = attention_macs(width, read * config.chunk_tokens, read, tokens, read)
    feed_forward = 2 * FEED_FORWARD_FACTOR * read * width**2
    encoder = LAYERS * (in_passage + feed_forward) + len(CONDITIONED) * to_query_chunk
    return {
        **decoder_macs(config, tokens),
        "cross-attention": len(config.cca_layers) * cross,
        "passages": encoder,
    }


def retro_fit_macs(config: ModelConfig, tokens: int) -> Macs:
    """What RETRO with a corpus computes. Of the frozen decoder only what comes after self-attention of the
    first layer that reads has a gradient, and only products of two activations have it on both sides.
    """
    macs, first = retro_corpus_macs(config, tokens), min(config.cca_layers)
    attention, feed_forward = macs["self-attention"] / config.layers, macs["feed-forward"] / config.layers
    products = 2 * config.width * tokens * 2 * config.stride_tokens
    above = config.layers - first
    return {
        BELOW: first * attention + (first - 1) * feed_forward,
        FROZEN: above * (attention - products) + (above + 1) * feed_forward + macs["output"],
        "self-attention": above * products,
        "cross-attention": macs["cross-attention"],
        "passages": macs["passages"],
    }


def ungated_macs(config: ModelConfig, tokens: int) -> Macs:
    """What RPT computes but for the gate."""
    macs = rpt_macs(config, tokens)
    del macs["gate"]
    return macs


def rpt_macs(config: ModelConfig, tokens: int) -> Macs:
    """What RETRO computes, and the retriever: attention in the chunk, W_Q and W_K once a chunk, and the
    scores of all pairs of chunks.
    """
    chunks = config.chunks_of(tokens)
    encoder = attention_macs(config.width, tokens * config.chunk_tokens, tokens, tokens, tokens)
    scores = 2 * chunks * config.width**2 + chunks**2 * config.retrieval_width
    return {**fused_macs(config, tokens), "retriever": encoder + scores}


def rpt_features_macs(config: ModelConfig, tokens: int) -> Macs:
    """What RPT computes with weighed features of pairs in place of a lexical start."""
    projected = rpt_macs(replace(config, lexical_start=False), tokens)
    return {**projected, PAIRS: config.chunks_of(tokens) ** 2 * PAIR_FEATURES}


def memorizing_macs(config: ModelConfig, tokens: int, strides: int) -> Macs:
    """Transformer-XL and, in one layer, the scores of all tokens in a memory of so many strides, and
    attention to those that are found.
    """
    capacity = strides * config.stride_tokens
    read = 2 * tokens * min(RETRIEVED, capacity) * config.width
    return {**decoder_macs(config, tokens), SEARCH: tokens * capacity * config.width, READ: read}


def block_recurrent_macs(config: ModelConfig, tokens: int) -> Macs:
    """Transformer-XL and, in one layer, the tokens' attention to N states, and the states' to themselves and
    to two strides of tokens.
    """
    blocks, states, width = tokens // config.stride_tokens, max(1, config.stride_tokens // 2), config.width
    vertical = tokens * (2 * width**2 + 2 * states * width)
    horizontal = blocks * states * (6 * width**2 + 2 * (states + 2 * config.stride_tokens) * width)
    return {**decoder_macs(config, tokens), "states": vertical + horizontal}


def griffin_macs(config: ModelConfig, tokens: int) -> Macs:
    """Transformer-XL and the recurrence of the layers that have it: three projections to or from 2 D, two
    gates of H blocks each.
    """
    inner = 2 * config.width
    recurrence = tokens * (3 * config.width * inner + 2 * inner**2 / config.heads)
    return {**decoder_macs(config, tokens), "recurrence": len(config.recurrent_layers) * recurrence}


memorizing_32k_macs, memorizing_65k_macs = (partial(memorizing_macs, strides=strides) for strides in (32, 64))


def plus_2_macs(config: ModelConfig, tokens: int) -> Macs:
    """Transformer-XL of two layers more."""
    return decoder_macs(deeper(config, 2), tokens)


def same_parameters_macs(config: ModelConfig, tokens: int) -> Macs:
    """Transformer-XL with as many parameters as RPT."""
    return decoder_macs(as_many_parameters(config), tokens)


def macs_of(system: str, config: ModelConfig, tokens: int) -> Macs:
    """What a system computes, counted as its record says."""
    count: Callable[[ModelConfig, int], Macs] = resolve_name(RECORDS[system].cost)
    return count(config, tokens)


def flops(macs: Macs) -> float:
    """Operations of one update on one sequence: 2 a multiply-accumulate, forward once and backward twice, or
    as `PASSES` says.

    What `ModelConfig.remat` and the blocks of the LM loss compute again is not counted: these are the
    operations of the model, by which a utilisation is to be measured.
    """
    return 2 * sum(PASSES.get(part, 3) * count for part, count in macs.items())


def step_flops(system: str, config: ModelConfig, tokens: int, sequences: int) -> float:
    """Operations of one update of a system on so many sequences."""
    return sequences * flops(macs_of(system, config, tokens))
