"""The systems that can be trained, one function each, with the figures of the paper's Table 2 they are to be measured against.

Perplexities are on the test splits of ArXiv, CodeParrot, PG19 and Books3; time is that of an update, relative to Transformer-XL.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from model.baselines.block_recurrent import block_recurrent_block
from model.baselines.griffin import griffin_block
from model.baselines.memorizing import bucketed, memorizing_block
from model.baselines.random_retrieval import RandomRetrieval
from model.baselines.retro import Retro
from model.baselines.transformer_xl import TransformerXL
from model.config import Shape
from model.language_model import LanguageModel
from model.rpt import RPT, Relevance, RetrieverTraining, lexical_relevance, semantic_relevance

PAPER_SHAPE = Shape(
    vocabulary_size=50_277,
    width=1024,
    layers=12,
    heads=8,
    chunk_tokens=64,
    stride_chunks=16,
    cca_layers=(8, 9, 10, 11, 12),
    neighbours=2,
    gate_window=64,
    dropout=0.05,
    zero_init_residuals=False,
    dtype="bfloat16",
    remat=True,
)
"""Sizes of the paper (section 3.4, appendix A). Cross-attention is in 5 of the 12 layers (appendix B); which five it does not say."""


RELEVANCE: dict[str, Relevance] = {"rpt_lex": lexical_relevance, "rpt_sem": semantic_relevance}
"""What the systems that learn to retrieve learn from."""


@dataclass(frozen=True)
class System:
    """A named system: how it is built, which supervision its training reads, and who finds its neighbours at test time.

    With `carry` "document" a row of the batch reads documents sequence after sequence, its layers going on from what they keep; the others
    are trained on independent sequences. At test all go on from stride to stride.
    """

    name: str
    build: Callable[[Shape], LanguageModel]
    supervision: Literal["none", "bm25", "scored"]
    retriever: Literal["none", "bm25", "random", "own"]
    carry: Literal["none", "document"] = "none"


def transformer_xl(shape: Shape) -> LanguageModel:
    """Transformer-XL, no retrieval (section 5.1). Table 2: perplexity 3.11, 2.30, 11.48, 15.00; 202M parameters; time 1."""
    return TransformerXL(shape)


def transformer_xl_carry(shape: Shape) -> LanguageModel:
    """Transformer-XL trained on documents in order, its window going on from sequence to sequence: the control of what carries state."""
    return TransformerXL(shape)


def memorizing_32k(shape: Shape) -> LanguageModel:
    """Memorizing Transformer, a memory of 32 window strides, 32,768 tokens at the paper's size.

    Table 2: perplexity 2.92, 2.18, 10.97, 14.40; time 1.82; "212M" parameters, but its layer has only a gate a head more than
    Transformer-XL: 202M. 211.9M is the count of Block-Recurrent.
    """
    return TransformerXL(shape, partial(memorizing_block, shape, strides=32))


def memorizing_65k(shape: Shape) -> LanguageModel:
    """The same with 64 window strides, 65,536 tokens. Table 2: perplexity 2.93, 2.15, 10.99, 14.3; "212M" parameters; time 2.12."""
    return TransformerXL(shape, partial(memorizing_block, shape, strides=64))


def memorizing_32k_bucketed(shape: Shape) -> LanguageModel:
    """Memorizing Transformer with the official code's approximate search: what the paper's row was trained with."""
    return TransformerXL(shape, partial(memorizing_block, shape, strides=32, search=bucketed))


def block_recurrent(shape: Shape) -> LanguageModel:
    """Block-Recurrent Transformer. Table 2: perplexity 2.89, 2.73, 10.95, 14.64; 212M parameters; time 1.56."""
    return TransformerXL(shape, partial(block_recurrent_block, shape))


def griffin(shape: Shape) -> LanguageModel:
    """Griffin. Table 2: perplexity 3.08, 2.24, 11.26, 14.16; 240M parameters; time 1.15."""
    return TransformerXL(shape, partial(griffin_block, shape))


def retro(shape: Shape) -> LanguageModel:
    """RETRO with BM25 neighbours (section 5.1). Table 2: perplexity 2.94, 2.17, 11.44, 14.60; 236M parameters; time 1.35."""
    return Retro(shape)


def random(shape: Shape) -> LanguageModel:
    """RETRO's parameters with random neighbours, in training and at test: a control that the paper does not have."""
    return RandomRetrieval(shape)


def rpt_lex(shape: Shape) -> LanguageModel:
    """RPT-Lex, trained to rank as BM25 does (section 5.1). Table 2: perplexity 2.92, 2.23, 11.59, 14.32; 242M parameters; time 1.51."""
    return RPT(shape, RELEVANCE["rpt_lex"])


def rpt_sem(shape: Shape) -> LanguageModel:
    """RPT-Sem, trained by a reference LM (section 3). Table 2: perplexity 2.77, 2.17, 10.96, 13.91; 242M parameters; time 1.51."""
    return RPT(shape, RELEVANCE["rpt_sem"])


SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        System("transformer_xl", transformer_xl, "none", "none"),
        System("transformer_xl_carry", transformer_xl_carry, "none", "none", "document"),
        System("memorizing_32k", memorizing_32k, "none", "none", "document"),
        System("memorizing_65k", memorizing_65k, "none", "none", "document"),
        System("memorizing_32k_bucketed", memorizing_32k_bucketed, "none", "none", "document"),
        System("block_recurrent", block_recurrent, "none", "none", "document"),
        System("griffin", griffin, "none", "none"),
        System("retro", retro, "bm25", "bm25"),
        System("random", random, "none", "random"),
        System("rpt_lex", rpt_lex, "bm25", "own"),
        System("rpt_sem", rpt_sem, "scored", "own"),
    )
}


def trained_as(system: System, training: RetrieverTraining) -> System:
    """The system with its retriever trained in that way; one that does not learn to retrieve stays as it is."""
    relevance = RELEVANCE.get(system.name)
    return system if relevance is None else replace(system, build=lambda shape: RPT(shape, relevance, training))
