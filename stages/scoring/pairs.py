"""The pairs of a shard: which are wanted, which the ledger lacks, and those scored in batches that are kept
as they come.

`ShardPrompts` cuts prompts from the corpus's tokens; stages/scoring/text_prompts.py makes them of text where
the reference LM has others.
"""

from __future__ import annotations

import numpy as np
import polars as pl
import pyarrow as pa

from data_contracts import counting
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS
from stages.engines.scoring_lm import Progress, ScoringLM
from stages.scoring.ledger import KEYS, Ledger

# What a kill can cost: seconds of an accelerator, minutes of a CPU. Each batch is one small file in the
# ledger.
BATCH_PAIRS = 2048
LOCAL = pl.col("query_chunk") - 2  # the local context (c_i-2, c_i-1) is scored like a candidate


def wanted_pairs(rows: pa.Table) -> pl.DataFrame:
    """The distinct pairs that label `rows`: (doc_id, query_chunk, candidate_chunk) of each candidate and each
    query's local context.
    """
    asked = pl.DataFrame(pl.from_arrow(rows.select(KEYS)))
    return pl.concat([asked, asked.with_columns(candidate_chunk=LOCAL)]).unique()


class ShardPrompts:
    """The tokens of a shard's chunks in one array, from which any pair of neighbouring chunks is cut."""

    def __init__(self, chunks: pa.Table, chunk_tokens: int):
        lists = chunks.column("token_ids").combine_chunks()
        self.tokens, self.begins = lists.values.to_numpy(), lists.offsets.to_numpy()
        self._pair = np.arange(2 * chunk_tokens)
        ids = pl.DataFrame(
            {"doc_id": pl.Series(chunks.column("doc_id")), "whole": np.diff(self.begins) == chunk_tokens}
        )
        self._documents = (
            ids.with_row_index("first")
            .group_by("doc_id")
            .agg(
                pl.col("first").min().cast(pl.Int64),
                whole=counting.how_many(pl.col("whole")),
                rows=counting.rows(),
            )
        )

    def score(self, engine: ScoringLM, pairs: pl.DataFrame, progress: Progress | None = None) -> np.ndarray:
        """Log-probabilities of the halves of the targets of `pairs`, float32 [n, 2] in their order.

        Raises:
            Failure: (exit code 3) if a pair asks for a chunk that its document does not have whole, or a
                score is no number.
        """
        placed = pairs.join(self._documents, on="doc_id", how="left", maintain_order="left")
        query, candidate = placed["query_chunk"].to_numpy(), placed["candidate_chunk"].to_numpy()
        if (
            placed["first"].has_nulls()
            or (candidate < 0).any()
            or (query + 1 >= placed["whole"].to_numpy()).any()
        ):
            raise CHUNKS.violated("a shard", "candidates name a document or a chunk that it does not have")
        first = placed["first"].to_numpy()
        prefixes, prefix_of = np.unique(first + candidate, return_inverse=True)
        suffixes, suffix_of = np.unique(first + query, return_inverse=True)
        halves = self._halves(engine, prefixes, suffixes, np.stack((prefix_of, suffix_of), axis=1), progress)
        if not np.isfinite(halves).all():
            cause = (
                f"{np.count_nonzero(~np.isfinite(halves).all(axis=1))} of {len(halves)} pairs have"
                " log-probabilities that are no numbers"
            )
            raise Failure(
                "the reference LM cannot score",
                cause,
                "its weights are broken; make or download it again",
                Exit.CONTRACT,
            )
        return halves

    def _halves(
        self,
        engine: ScoringLM,
        prefixes: np.ndarray,
        suffixes: np.ndarray,
        pairs_n2: np.ndarray,
        progress: Progress | None,
    ) -> np.ndarray:
        """What the engine says of pairs of chunks that begin at rows `prefixes` and `suffixes` of
        the shard.
        """
        return engine.score(self._cut(prefixes), self._cut(suffixes), pairs_n2, progress)

    def _cut(self, rows: np.ndarray) -> np.ndarray:
        """int32 [n, 2m]: the tokens of chunks r and r + 1 of the shard for each r in `rows`."""
        return self.tokens[self.begins[rows][:, None] + self._pair].astype(np.int32)


def fill(ledger: Ledger, engine: ScoringLM, prompts: ShardPrompts, wanted: pl.DataFrame) -> None:
    """Score the wanted pairs that the ledger lacks, and append each batch to it before the next begins.

    Pairs go document by document and, in each, candidate by candidate, so that an engine computes a prefix
    once for all its queries.
    """
    missing = wanted.join(ledger.read(wanted["doc_id"]), on=KEYS, how="anti").sort(
        "doc_id", "candidate_chunk", "query_chunk"
    )
    for batch in missing.iter_slices(BATCH_PAIRS):
        ledger.append(batch.with_columns(halves=pl.Series(prompts.score(engine, batch))))


def halves_of(ledger: Ledger, rows: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """The ledger's float32 [n, 2] for each row's candidate and for its query's local context.

    Raises:
        Failure: (exit code 3) if the ledger lost a pair that it was given.
    """
    asked = pl.DataFrame(pl.from_arrow(rows.select(KEYS)))
    known = ledger.read(asked["doc_id"])
    candidates, local = (
        side.join(known, on=KEYS, how="left", maintain_order="left")["halves"]
        for side in (asked, asked.with_columns(candidate_chunk=LOCAL))
    )
    if lost := candidates.null_count() + local.null_count():
        cause = f"{lost} log-probabilities cannot be read back from {ledger.place}"
        raise Failure(
            "the ledger does not keep what it is given",
            cause,
            "check the disk, then run again",
            Exit.CONTRACT,
        )
    return candidates.to_numpy(), local.to_numpy()
