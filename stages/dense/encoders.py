"""The two kinds of encoders a dense retriever may have: from scratch, of the corpus's own tokens, or BERT, of
its word pieces.

Both are a query encoder and a passage encoder that begin with the same values, as DPR's two begin as the same
BERT.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from model.baselines.bert import BertEncoder
from model.baselines.bert_config import BertConfig
from model.baselines.dpr import ChunkEncoder, DualEncoder, EncoderConfig
from model.parameters import Architecture
from stages.parameters import Geometry
from stages.tokens.word_pieces import WordPieces

LONGEST = 4  # word pieces at most, over the tokens of a chunk: 256, as in DPR, of 64


class ChunkSizes(NamedTuple):
    """Of the chunks that are encoded, in tokens and in chunks, and of their vectors, which are float32."""

    chunk_tokens: int
    stride_chunks: int
    width: int
    dtype: str = "float32"

    @property
    def lexical_start(self) -> bool:
        """It has none: what its scores are made of is in its vectors."""
        return False

    @property
    def pair_features(self) -> bool:
        """It has none either."""
        return False

    @property
    def retrieval_width(self) -> int:
        """Features of a vector."""
        return self.width


class Encoders(NamedTuple):
    """What vectors are made by: `inputs` gives what is encoded of chunks [X, M], and how many of them had to
    be cut; `described` is what config.json says of it all."""

    sizes: ChunkSizes
    architecture: Architecture[DualEncoder]
    inputs: Callable[[np.ndarray], tuple[np.ndarray, int]]
    described: dict[str, Any]


def from_scratch(geometry: Geometry, config: EncoderConfig) -> Encoders:
    """Encoders that read chunks as they are."""
    return _from_scratch(ChunkSizes(geometry.chunk_tokens, geometry.stride_chunks, config.width), config)


def _from_scratch(sizes: ChunkSizes, config: EncoderConfig) -> Encoders:
    architecture = Architecture.of(partial(DualEncoder, ChunkEncoder), config)
    return Encoders(
        sizes, architecture, lambda chunks: (chunks, 0), {"shape": sizes._asdict() | asdict(config)}
    )


def from_bert(
    sizes: ChunkSizes, config: BertConfig, corpus: Path, bert: Path, length: int | None = None
) -> Encoders:
    """Encoders that are a BERT of that configuration, whose tokenizer lies in `bert`; that of the corpus in
    `corpus`.

    They read `length` word pieces, by default as many as the longest chunk has, and no more than 256.

    Raises:
        Failure: as `WordPieces` states.
    """
    longest = length or min(LONGEST * sizes.chunk_tokens, config.max_position_embeddings)
    pieces = WordPieces(corpus, bert, config.vocab_size, config.pad_token_id, length or 1, longest)
    described = {"shape": sizes._asdict(), "bert": config.to_dict()}
    return Encoders(sizes, Architecture.of(partial(DualEncoder, BertEncoder), config), pieces, described)


def read_encoders(directory: Path, corpus: Path) -> Encoders:
    """Those of the artifact `dense_retriever`, for a corpus whose tokenizer lies in `corpus`; they read as
    much as in training.

    Of `shape` in config.json only what is needed is read: older artifacts have more there.
    """
    described = json.loads((directory / "config.json").read_text())
    sizes = ChunkSizes(**{name: described["shape"][name] for name in ChunkSizes._fields})
    if "bert" in described:
        return from_bert(
            sizes, BertConfig.from_dict(described["bert"]), corpus, directory, described["length"]
        )
    return _from_scratch(
        sizes,
        EncoderConfig(**{field.name: described["shape"][field.name] for field in fields(EncoderConfig)}),
    )
