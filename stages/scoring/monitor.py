"""How scoring goes while it runs: positive rates and the paper's Figure 5 from the finished shards, and a
warning if labels look broken.

What is read is bounded, whatever the size of the corpus: the beginning of some shards, spread over all that
are finished.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import polars as pl
import pyarrow as pa

from data_contracts.candidates import LABELS
from data_contracts.contract import fact, read_rows
from reports.labels.glance import best_by_k, positive_rates
from stages.parameters import Geometry
from stages.tokens.tokenizer import load_tokenizer, vocabulary_size

SAMPLE_ROWS, SAMPLE_SHARDS = 200_000, 64
SHOWN_K = (1, 2, 5, 10, 20)
FEWEST_QUERIES = 500
FEWEST_POSITIVE, MOST_POSITIVE = 0.01, 0.90
COLUMNS = ["doc_id", "split", "query_chunk", "rank", "local_logprob", "target_score"]


def watch(
    finished: list[Path], geometry: Geometry, reference_lm: Path, tokenizer: Path, **_: object
) -> str | None:
    """Markdown on the labels so far, from finished label shards; None as long as they hold no label. Needs no
    other arguments of scoring.

    Raises:
        Failure: (exit code 3) if a shard cannot be read.
    """
    labels = sample(finished)
    if labels.is_empty():
        return None
    vocabulary = _vocabulary(finished[0], reference_lm, tokenizer)
    queries = labels.select("doc_id", "query_chunk").n_unique()
    warnings = "".join(
        f"\n\n**Warning**: {text}" for text in broken(labels, geometry.chunk_tokens, vocabulary)
    )
    return (
        f"Labels so far, from {len(labels):,} candidates of {queries:,} queries in {len(finished):,} finished"
        " shards: share with s_t > 0, and the mean best s_t of the first k candidates in nats a pipeline"
        f" token (Figure 5 of the paper){warnings}\n\n{table(labels, geometry.chunk_tokens)}"
    )


def _vocabulary(shard: Path, reference_lm: Path, tokenizer: Path) -> int:
    """Of how many tokens a blind guess is one: those of the corpus, by which the figures are counted, where
    the reference LM has others.
    """
    scored_text = any("chunk_tokenizer" in fact(part, "scorer") for part in read_rows(LABELS, shard, 0, 1))
    return (
        vocabulary_size(load_tokenizer(tokenizer))
        if scored_text
        else json.loads((reference_lm / "config.json").read_text())["vocab_size"]
    )


def sample(finished: list[Path]) -> pl.DataFrame:
    """At most `SAMPLE_ROWS` labels of at most `SAMPLE_SHARDS` shards: all of them if there are no more."""
    step = max(1, math.ceil(len(finished) / SAMPLE_SHARDS))
    chosen = sorted(finished)[::step]
    rows = SAMPLE_ROWS // max(len(chosen), 1)
    tables = [part.select(COLUMNS) for path in chosen for part in read_rows(LABELS, path, 0, rows)]
    empty = pa.schema([LABELS.schema.field(name) for name in COLUMNS]).empty_table()
    frame = pl.from_arrow(pa.concat_tables([empty, *tables]))
    assert isinstance(frame, pl.DataFrame)
    return frame


def table(labels: pl.DataFrame, chunk_tokens: int) -> str:
    """One row a split as a Markdown table: queries, share of positive candidates, best of the first k."""
    rows = [
        f"| split | queries | positive | {' | '.join(f'k = {k}' for k in SHOWN_K)} |",
        f"|---|{'---:|' * (2 + len(SHOWN_K))}",
    ]
    for split, rate in positive_rates(labels).items():
        queries = labels.filter(pl.col("split") == split).select("doc_id", "query_chunk").n_unique()
        best = {k: f"{mean:+.3f}" for k, mean in best_by_k(labels, split, chunk_tokens, SHOWN_K).items()}
        rows.append(
            f"| {split} | {queries:,} | {rate:.1%} | {' | '.join(best.get(k, '') for k in SHOWN_K)} |"
        )
    return "\n".join(rows)


def broken(labels: pl.DataFrame, chunk_tokens: int, vocabulary: int) -> list[str]:
    """A sentence for every sign that the labels are worth nothing; none before there are `FEWEST_QUERIES`
    queries.
    """
    local = labels.unique(["doc_id", "query_chunk"])["local_logprob"].to_numpy()
    if len(local) < FEWEST_QUERIES:
        return []
    found = list[str]()
    rate = float((labels["target_score"].to_numpy() > 0).mean())
    if not FEWEST_POSITIVE <= rate <= MOST_POSITIVE:
        found.append(
            f"{rate:.1%} of the candidates are positive, between {FEWEST_POSITIVE:.0%} and"
            f" {MOST_POSITIVE:.0%} is expected: a retriever learns nothing from such labels. Stop, and look"
            " at the reference LM and at the candidates."
        )
    mean, uniform = float(local.mean(dtype="float64")) / chunk_tokens, -math.log(vocabulary)
    if mean < uniform:
        found.append(
            f"the reference LM gives the text {mean:.2f} nats a token, a blind guess among {vocabulary:,}"
            f" tokens would give {uniform:.2f}: it was probably trained with another tokenizer. Stop, and"
            " compare tokenizer.json of the tokens and of the reference LM."
        )
    return found
