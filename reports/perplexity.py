"""Perplexity with its uncertainty: a two-level bootstrap over documents and blocks of chunks, paired between systems."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from data_contracts.failure import Exit, Failure

BLOCK_CHUNKS = 64
FEWEST_DOCUMENTS = 8


@dataclass(frozen=True)
class BlockSums:
    """Loss in nats and counted tokens of every block of 64 chunks, and the document each block belongs to."""

    document: np.ndarray
    loss: np.ndarray
    tokens: np.ndarray

    @property
    def documents(self) -> int:
        """How many documents there are."""
        return int(self.document.max()) + 1


def block_sums(evaluation: pa.Table) -> BlockSums:
    """Sums over blocks; the same blocks for every system, because they are cut by chunk number."""
    _, document = np.unique(np.array(evaluation.column("doc_id").to_pylist()), return_inverse=True)
    block = np.maximum(evaluation.column("chunk").to_numpy(), 0) // BLOCK_CHUNKS
    keys, place = np.unique(np.stack((document, block), axis=1), axis=0, return_inverse=True)
    place = place.ravel()
    loss = np.bincount(place, evaluation.column("loss").to_numpy().astype(np.float64))
    return BlockSums(keys[:, 0], loss, np.bincount(place, evaluation.column("tokens").to_numpy()))


def same_tokens(evaluations: dict[str, pa.Table]) -> None:
    """Raises Failure (exit code 3) unless every system was evaluated on the identical tokens; only then are losses comparable."""
    digests = {
        name: hash(
            tuple(
                zip(table.column("doc_id").to_pylist(), table.column("chunk").to_pylist(), table.column("tokens").to_pylist(), strict=True)
            )
        )
        for name, table in evaluations.items()
    }
    if len(set(digests.values())) > 1:
        raise Failure("the systems were not evaluated on the same tokens", f"{digests}", "re-run the evaluations", Exit.CONTRACT)


def resamples(blocks: BlockSums, samples: int, seed: int = 0) -> np.ndarray:
    """[samples, blocks] how often each block is drawn: documents with replacement, then blocks within each drawn document."""
    generator = np.random.default_rng(seed)
    weights = np.zeros((samples, len(blocks.document)))
    members = [np.flatnonzero(blocks.document == number) for number in range(blocks.documents)]
    for sample in range(samples):
        for number in generator.integers(blocks.documents, size=blocks.documents):
            drawn = generator.choice(members[number], size=len(members[number]))
            np.add.at(weights[sample], drawn, 1.0)
    return weights


def interval(values: np.ndarray) -> tuple[float, float]:
    """The central 95 % of bootstrap values."""
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def mean_losses(blocks: BlockSums, weights: np.ndarray) -> np.ndarray:
    """[samples] nats per token of every resample."""
    return (weights @ blocks.loss) / (weights @ blocks.tokens)


def summarise(evaluation: pa.Table, samples: int) -> dict:
    """Perplexity over all tokens with its interval, the mean over documents, and over chunks that could retrieve something."""
    blocks = block_sums(evaluation)
    loss = blocks.loss.sum() / blocks.tokens.sum()
    low, high = interval(np.exp(mean_losses(blocks, resamples(blocks, samples))))
    by_document = np.bincount(blocks.document, blocks.loss) / np.bincount(blocks.document, blocks.tokens)
    could = evaluation.column("eligible").to_numpy() > 0
    some_loss, some_tokens = evaluation.column("loss").to_numpy()[could].sum(), evaluation.column("tokens").to_numpy()[could].sum()
    return {
        "perplexity": math.exp(loss),
        "low": low,
        "high": high,
        "macro_perplexity": float(np.exp(by_document).mean()),
        "perplexity_with_neighbours": math.exp(some_loss / some_tokens) if some_tokens else None,
        "bits_per_token": loss / math.log(2),
        "tokens": int(blocks.tokens.sum()),
        "documents": blocks.documents,
    }


def paired_difference(evaluation: pa.Table, baseline: pa.Table, samples: int) -> dict:
    """Nats per token of `baseline` minus `evaluation` (positive: better than the baseline), on the same resamples."""
    ours, theirs = block_sums(evaluation), block_sums(baseline)
    weights = resamples(ours, samples)
    low, high = interval(mean_losses(theirs, weights) - mean_losses(ours, weights))
    return {"nats": float(theirs.loss.sum() / theirs.tokens.sum() - ours.loss.sum() / ours.tokens.sum()), "low": low, "high": high}
