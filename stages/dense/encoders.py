"""The two kinds of encoders a dense retriever may have: from scratch, of the corpus's own tokens, or BERT, of its word pieces.

Both are a query encoder and a passage encoder that begin with the same values, as DPR's two begin as the same BERT.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from model.baselines.bert import BertEncoder
from model.baselines.bert_config import BertConfig
from model.baselines.dpr import ChunkEncoder, DualEncoder
from model.config import ModelConfig
from model.parameters import Architecture
from stages.tokens.word_pieces import WordPieces

LONGEST = 4  # word pieces at most, over the tokens of a chunk: 256, as in DPR, of 64


class Encoders(NamedTuple):
    """What vectors are made by: `inputs` gives what is encoded of chunks [X, M], and how many of them had to be cut; `config` has the
    width of the vectors, `described` is what config.json says of it all."""

    config: ModelConfig
    architecture: Architecture[DualEncoder]
    inputs: Callable[[np.ndarray], tuple[np.ndarray, int]]
    described: dict[str, Any]


def from_scratch(config: ModelConfig) -> Encoders:
    """Encoders that read chunks as they are."""
    return Encoders(
        config, Architecture.of(partial(DualEncoder, ChunkEncoder), config), lambda chunks: (chunks, 0), {"shape": asdict(config)}
    )


def from_bert(config: ModelConfig, bert_config: BertConfig, corpus: Path, bert: Path, length: int | None = None) -> Encoders:
    """Encoders that are a BERT of that configuration, whose tokenizer lies in `bert`; that of the corpus in `corpus`.

    They read `length` word pieces, by default as many as the longest chunk has, and no more than 256.

    Raises:
        Failure: as `WordPieces` states.
    """
    longest = length or min(LONGEST * config.chunk_tokens, bert_config.max_position_embeddings)
    pieces = WordPieces(corpus, bert, bert_config.vocab_size, bert_config.pad_token_id, length or 1, longest)
    described = {"shape": asdict(config), "bert": bert_config.to_dict()}
    return Encoders(config, Architecture.of(partial(DualEncoder, BertEncoder), bert_config), pieces, described)


def read_encoders(directory: Path, corpus: Path) -> Encoders:
    """Those of the artifact `dense_retriever`, for a corpus whose tokenizer lies in `corpus`; they read as much as in training."""
    described = json.loads((directory / "config.json").read_text())
    config = ModelConfig(**{**described["shape"], "cca_layers": ()})
    if "bert" not in described:
        return from_scratch(config)
    return from_bert(config, BertConfig.from_dict(described["bert"]), corpus, directory, described["length"])
