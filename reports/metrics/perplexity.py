"""Perplexity and what differs between systems, over the identical tokens and with the identical resamples of
them.

Counted is every token after the first of a document. All is made of sums over blocks, so that any two systems
are paired: a difference has an interval of its own, much narrower than theirs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from reports.metrics.evaluation_rows import Evaluations, Key
from reports.metrics.resampling import Estimate, Named, Sums

ALL, WITH_NEIGHBOURS, SCORED = range(3)
"""Places of the sums of tokens."""


@dataclass(frozen=True)
class Perplexity:
    """`perplexity` micro (over all tokens) with its interval, macro (mean over documents), and over tokens
    that could have had a neighbour; None where a model diverged so far that no float holds it. `tokens` and
    `documents` are those counted."""

    perplexity: float | None
    low: float | None
    high: float | None
    macro_perplexity: float | None
    perplexity_with_neighbours: float | None
    nats_per_token: float | None
    bits_per_token: float | None
    bits_per_byte: Estimate
    tokens: int
    documents: int


def loss_of(key: Key) -> str:
    """The name of the sums of nats of a system in a setting."""
    return f"loss of {key[0]} in {key[1]}"


def token_sums(evaluations: Evaluations, queries: pl.DataFrame) -> dict[str, np.ndarray]:
    """[B, 3] by name: everything; chunks with at least one eligible neighbour, the only place where a gain
    can occur; and those of `queries` (doc_id, chunk), whose candidates were scored."""
    could_R, scored_R = evaluations.chunks["eligible"].to_numpy() > 0, evaluations.among(queries)
    sums = {name: evaluations.chunks[name].to_numpy() for name in ("tokens", "bytes")}
    sums |= {loss_of(key): evaluations.loss(key) for key in evaluations.frames}
    return {
        name: evaluations.by_block(values_R, values_R * could_R, values_R * scored_R)
        for name, values_R in sums.items()
    }


def resampled(evaluations: Evaluations, by_block: dict[str, np.ndarray], samples: int, seed: int) -> Sums:
    """Named sums [B, width] over the blocks of evaluations, and resamples of them."""
    widths = {name: values.shape[1] for name, values in by_block.items()}
    sums = Sums(int(evaluations.document_B.max()) + 1, widths, samples, np.random.default_rng(seed))
    sums.add(evaluations.document_B, by_block)
    return sums


def nats(at: Named, key: Key, place: int = ALL) -> np.ndarray:
    """Nats a token of all tokens, of those with a neighbour, or of those that were scored."""
    return at(loss_of(key))[..., place] / at("tokens")[..., place]


def bits_per_byte(at: Named, key: Key) -> np.ndarray:
    """Bits a byte of UTF-8, which does not depend on the tokenizer."""
    return at(loss_of(key))[..., 0] / at("bytes")[..., 0] / math.log(2)


def summarise(evaluations: Evaluations, sums: Sums, key: Key) -> Perplexity:
    """Every way to count the loss of a system in a setting."""
    micro = sums.combined(lambda at: np.exp(nats(at, key)))
    some = sums.combined(lambda at: np.exp(nats(at, key, WITH_NEIGHBOURS)))
    loss = sums.combined(lambda at: nats(at, key))
    document_R = evaluations.document_B[evaluations.block_of_rows()]
    by_document = np.bincount(document_R, evaluations.loss(key)) / np.bincount(
        document_R, evaluations.chunks["tokens"].to_numpy()
    )
    with np.errstate(over="ignore"):
        macro = float(np.exp(by_document).mean())
    return Perplexity(
        perplexity=micro.value,
        low=micro.low,
        high=micro.high,
        macro_perplexity=macro if math.isfinite(macro) else None,
        perplexity_with_neighbours=some.value,
        nats_per_token=loss.value,
        bits_per_token=sums.combined(lambda at: nats(at, key) / math.log(2)).value,
        bits_per_byte=sums.combined(lambda at: bits_per_byte(at, key)),
        tokens=int(sums.total("tokens")[0]),
        documents=sums.documents,
    )


def difference(sums: Sums, key: Key, baseline: Key) -> Estimate:
    """Nats a token of `baseline` minus `key` (positive: better than the baseline), over all tokens."""
    return sums.combined(lambda at: nats(at, baseline) - nats(at, key))
