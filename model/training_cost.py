"""What training computes (paper appendix B): multiply-accumulates of each part of each system, as the parts are built here.

Only matrix products count, which leaves out norms, softmax, rotary positions, dropout, the null keys, top-k, the pairs and sorts of the
ranking loss, and the optimizer. An attention counts every key that is multiplied, also those that its mask then hides (Chowdhery et al.,
arXiv 2204.02311, appendix B). d is the width, k the neighbours of a chunk.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from data_contracts.eligibility import first_query
from model.baselines.memorizing import RETRIEVED
from model.config import Shape
from model.layers import FEED_FORWARD_FACTOR
from model.matching import as_many_parameters, deeper
from model.neighbours import retrievable_pairs
from model.passage_encoder import CONDITIONED, LAYERS

Macs = dict[str, float]
"""Part of a model -> multiply-accumulates of one forward pass over one sequence."""
SEARCH, READ = "search of the memory", "memory"
PASSES = {SEARCH: 1, READ: 2}
"""How often an update makes the products of a part: a search has no gradient, what is read passes one on to the queries only; others 3."""


def attention_macs(width: int, pairs: float, queries: float, keys: float, outputs: float) -> float:
    """2 d (|K| |Q| + |K| d + |Q| d) of appendix B, for `pairs` = |K| |Q| in all groups of queries and keys together.

    `queries` and `keys` are the rows that are projected, `outputs` those that are mixed: keys that serve two groups of queries are
    projected once.
    """
    return width * (2 * pairs + width * (queries + 2 * keys + outputs))


def decoder_macs(shape: Shape, tokens: int) -> Macs:
    """Both decoders without cross-attention, and the output matrix: a layer has 2d (2W + 2d) + 8 d^2 a token, W the stride in tokens.

    Appendix B prints 2d (W + 2d) + 8 d^2, with half of the window, and rounds that to 12 d^2; it leaves out the d V of the output.
    """
    attention = attention_macs(shape.width, tokens * 2 * shape.stride_tokens, tokens, tokens, tokens)
    feed_forward = 2 * FEED_FORWARD_FACTOR * tokens * shape.width**2
    output = tokens * shape.width * shape.vocabulary_size
    return {"self-attention": shape.layers * attention, "feed-forward": shape.layers * feed_forward, "output": output}


def fused_macs(shape: Shape, tokens: int) -> Macs:
    """The decoders, chunked cross-attention, and the fusion of neighbours (RETRO and all that read neighbours as it does).

    The first step of fusion, attention in a pair (j, j + 1), and the queries of the second are computed once a retrievable pair, the keys
    and values of the query chunk once a chunk; appendix B has all of them once a neighbour. The gate is not in appendix B. The first
    chunks, which have nothing to retrieve, cost none of it.
    """
    chunks = shape.chunks_of(tokens)
    served = chunks - min(first_query(shape.stride_chunks), chunks - 1)
    neighbours, tokens_served = served * shape.neighbours, served * shape.chunk_tokens
    in_neighbours, pairs = neighbours * 2 * shape.chunk_tokens, retrievable_pairs(chunks, shape.stride_chunks)
    in_pairs = pairs * 2 * shape.chunk_tokens
    cross = attention_macs(shape.width, 2 * neighbours * shape.chunk_tokens**2, tokens_served, in_neighbours, tokens_served)
    in_pair = attention_macs(shape.width, in_pairs * 2 * shape.chunk_tokens, in_pairs, in_pairs, in_pairs)
    to_query_chunk = attention_macs(shape.width, in_neighbours * shape.chunk_tokens, in_pairs, tokens_served, in_neighbours)
    window = min(shape.gate_window, served)
    gated = -(-served // window) * window * shape.neighbours
    gate = attention_macs(shape.width, gated * 2 * window * shape.neighbours, gated, gated, gated) + neighbours * shape.width
    fusion = {"pairs": in_pair, "query chunk": to_query_chunk, "gate": gate}
    return {**decoder_macs(shape, tokens), "cross-attention": len(shape.cca_layers) * cross, **fusion}


def retro_corpus_macs(shape: Shape, tokens: int) -> Macs:
    """The decoders, cross-attention of all chunks to N passages of R tokens, and the encoder of the passages."""
    chunks, passages = shape.chunks_of(tokens), shape.chunks_of(tokens) * shape.neighbours
    read, width, length = passages * 2 * shape.chunk_tokens, shape.width, 2 * shape.chunk_tokens
    cross = attention_macs(width, read * shape.chunk_tokens, chunks * shape.chunk_tokens, read, chunks * shape.chunk_tokens)
    in_passage = attention_macs(width, read * length, read, read, read)
    to_query_chunk = attention_macs(width, read * shape.chunk_tokens, read, tokens, read)
    feed_forward = 2 * FEED_FORWARD_FACTOR * read * width**2
    encoder = LAYERS * (in_passage + feed_forward) + len(CONDITIONED) * to_query_chunk
    return {**decoder_macs(shape, tokens), "cross-attention": len(shape.cca_layers) * cross, "passages": encoder}


def ungated_macs(shape: Shape, tokens: int) -> Macs:
    """What RPT computes but for the gate."""
    macs = rpt_macs(shape, tokens)
    del macs["gate"]
    return macs


def rpt_macs(shape: Shape, tokens: int) -> Macs:
    """What RETRO computes, and the retriever: attention in the chunk, W_Q and W_K once a chunk, and the scores of all pairs of chunks."""
    chunks = shape.chunks_of(tokens)
    encoder = attention_macs(shape.width, tokens * shape.chunk_tokens, tokens, tokens, tokens)
    scores = 2 * chunks * shape.width**2 + chunks**2 * shape.retrieval_width
    return {**fused_macs(shape, tokens), "retriever": encoder + scores}


def memorizing_macs(shape: Shape, tokens: int, strides: int) -> Macs:
    """Transformer-XL and, in one layer, the scores of all tokens in a memory of so many strides, and attention to those that are found."""
    capacity = strides * shape.stride_tokens
    read = 2 * tokens * min(RETRIEVED, capacity) * shape.width
    return {**decoder_macs(shape, tokens), SEARCH: tokens * capacity * shape.width, READ: read}


def block_recurrent_macs(shape: Shape, tokens: int) -> Macs:
    """Transformer-XL and, in one layer, the tokens' attention to N states, and the states' to themselves and to two strides of tokens."""
    blocks, states, width = tokens // shape.stride_tokens, max(1, shape.stride_tokens // 2), shape.width
    vertical = tokens * (2 * width**2 + 2 * states * width)
    horizontal = blocks * states * (6 * width**2 + 2 * (states + 2 * shape.stride_tokens) * width)
    return {**decoder_macs(shape, tokens), "states": vertical + horizontal}


def griffin_macs(shape: Shape, tokens: int) -> Macs:
    """Transformer-XL and the recurrence of the layers that have it: three projections to or from 2 D, two gates of H blocks each."""
    inner = 2 * shape.width
    recurrence = tokens * (3 * shape.width * inner + 2 * inner**2 / shape.heads)
    return {**decoder_macs(shape, tokens), "recurrence": len(shape.cca_layers) * recurrence}


MACS: dict[str, Callable[[Shape, int], Macs]] = {
    "transformer_xl": decoder_macs,
    "transformer_xl_plus_2": lambda shape, tokens: decoder_macs(deeper(shape, 2), tokens),
    "transformer_xl_longer": decoder_macs,
    "transformer_xl_same_parameters": lambda shape, tokens: decoder_macs(as_many_parameters(shape), tokens),
    "transformer_xl_same_time": decoder_macs,
    "transformer_xl_carry": decoder_macs,
    "memorizing_32k": partial(memorizing_macs, strides=32),
    "memorizing_65k": partial(memorizing_macs, strides=64),
    "memorizing_32k_bucketed": partial(memorizing_macs, strides=32),
    "block_recurrent": block_recurrent_macs,
    "transformer_xl_official": decoder_macs,
    "memorizing_32k_official": partial(memorizing_macs, strides=32),
    "memorizing_65k_official": partial(memorizing_macs, strides=64),
    "block_recurrent_official": block_recurrent_macs,
    "griffin": griffin_macs,
    "retro": fused_macs,
    "retro_q": fused_macs,
    "random": fused_macs,
    "recency": fused_macs,
    "retro_corpus": retro_corpus_macs,
    "retro_corpus_random": retro_corpus_macs,
    "rpt_lex": rpt_macs,
    "rpt_sem": rpt_macs,
    "rpt_sem_gold_only": rpt_macs,
    "rpt_sem_own_only": rpt_macs,
    "rpt_sem_ungated": ungated_macs,
}
"""How each system of model/systems/ is counted."""


def macs_per_token(system: str, shape: Shape, tokens: int) -> float:
    """Multiply-accumulates a token of one forward pass over sequences of `tokens` tokens."""
    return sum(MACS[system](shape, tokens).values()) / tokens


def step_flops(system: str, shape: Shape, tokens: int, sequences: int) -> float:
    """Operations of one update: 2 a multiply-accumulate, forward once and backward twice, or as `PASSES` says.

    What `Shape.remat` and the blocks of the LM loss compute again is not counted: these are the operations of the model, by which a
    utilisation is to be measured.
    """
    return 2 * sequences * sum(PASSES.get(part, 3) * macs for part, macs in MACS[system](shape, tokens).items())


def printed_cca_overhead(share: float, neighbours: int, block: int = 12) -> float:
    """alpha (k/3 + 1/6) of appendix B: (4k + 2) d^2 in a share alpha of the layers, over `block` d^2 a layer.

    At alpha = 5/12 and k = 2 this is 0.347. The 0.29 that the appendix states follows from 14 d^2 a layer.
    """
    return share * (4 * neighbours + 2) / block


def printed_retriever_overhead(layers: int, neighbours: int, block: int = 12) -> float:
    """(7k/6 + 1/2) / N of appendix B: retriever and fusion, (14k + 6) d^2 once, over N layers of `block` d^2.

    At N = 12 and k = 2 this is 0.236, for a total of 1.583. The 1.49 that the appendix states follows from 14 d^2 a layer.
    """
    return (14 * neighbours + 6) / (block * layers)
