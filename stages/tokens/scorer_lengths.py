"""How many tokens of the reference LM a chunk has, for what scoring costs: `geometry.chunk_tokens` unless its
tokenizer is another.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from data_contracts.contract import Artifact
from stages.tokens.scorer_tokens import load_scorer_tokenizer

SAMPLE_CHUNKS = 1024


def measured_length(chunks: Artifact, reference_lm: Path) -> float:
    """The mean over the first `SAMPLE_CHUNKS` chunks of a corpus, which a reference LM with another tokenizer
    reads as text.
    """
    texts = (
        chunks.read(next(iter(chunks.shards)), ["text"]).column("text").slice(0, SAMPLE_CHUNKS).to_pylist()
    )
    encodings = load_scorer_tokenizer(reference_lm).encode_batch_fast(texts, add_special_tokens=False)
    return float(np.mean([len(encoding.ids) for encoding in encodings]))


def estimated_length(chunk_tokens: int, vocabulary: int, scorer_vocabulary: int) -> float:
    """What is to be expected before there are chunks: the characters of a token grow as the logarithm of the
    vocabulary.
    """
    return chunk_tokens * math.log(vocabulary) / math.log(scorer_vocabulary)
