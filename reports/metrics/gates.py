"""Whether labels are fit to train on: five gates, each a figure with its interval and its limits, which stand
here and nowhere else.

A reference LM that ignores what is put before a query, or knows the train text by heart, scores candidates
with noise, and a retriever would learn that noise. Every figure is a function of sums over blocks of 64
chunks: labels of any size are read shard by shard, and intervals come from resampling documents, then blocks
within them, as for perplexity.

A gate has one of three verdicts. What misses its limit by less than its interval "cannot tell": measured on
other documents the same labels might have passed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from data_contracts import counting
from reports.metrics.resampling import BLOCK_CHUNKS, Estimate, Resampler, estimate

Statistic = Callable[[np.ndarray], np.ndarray]
Verdict = Literal["passed", "cannot tell", "failed"]
MOST_DOCUMENTS = 1000  # that a person is asked to hold out


def by_block(rows: pl.DataFrame, **sums: pl.Expr) -> pl.DataFrame:
    """`doc_id` and the named sums of every block of 64 chunks; blocks of a document stand together as its
    rows do.
    """
    block = (pl.col("query_chunk") // BLOCK_CHUNKS).alias("block")
    return rows.group_by("doc_id", block, maintain_order=True).agg(**sums).drop("block")


def label_sums(labels: pl.DataFrame, split: str, shared_ranks: int) -> pl.DataFrame:
    """What the gates on labels alone need of `split`, by block: positives and pairs, the same over the first
    `shared_ranks` candidates of each query, and the products of s_t on the two halves of the target, each
    measured from its mean over the query.
    """
    halves = [pl.col("candidate_halves").arr.get(half).cast(pl.Float64) for half in (0, 1)]
    # The local context is the same for all candidates of a query, so it leaves with the mean.
    centred = [
        (half - half.mean().over("doc_id", "query_chunk")).alias(f"half_{number}")
        for number, half in enumerate(halves)
    ]
    rows = labels.filter(pl.col("split") == split).with_columns(centred)
    positive, shared = pl.col("target_score") > 0, pl.col("rank") < shared_ranks
    return by_block(
        rows,
        positives=counting.how_many(positive),
        pairs=counting.rows(),
        shared_positives=counting.how_many(positive & shared),
        shared_pairs=counting.how_many(shared),
        covariance=counting.in_order(pl.col("half_0") * pl.col("half_1")),
        variance_0=counting.in_order(pl.col("half_0") ** 2),
        variance_1=counting.in_order(pl.col("half_1") ** 2),
    )


def _numbers(blocks: pl.DataFrame, columns: tuple[str, ...]) -> np.ndarray:
    return blocks.select(pl.col(columns).cast(pl.Float64)).to_numpy()


def resampled(
    blocks: pl.DataFrame, columns: tuple[str, ...], samples: int, rng: np.random.Generator
) -> np.ndarray:
    """[samples, columns] totals: documents are drawn with replacement, then from each as many of its blocks
    as it has.
    """
    resampler = Resampler(blocks["doc_id"].n_unique(), len(columns), samples, rng)
    resampler.add(blocks["doc_id"].rle_id().to_numpy(), _numbers(blocks, columns))
    return resampler.samples


def _ratio(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / sums[..., 1]


def _ratio_of_ratios(sums: np.ndarray) -> np.ndarray:
    return _ratio(sums[..., :2]) / _ratio(sums[..., 2:])


def _correlation(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / np.sqrt(sums[..., 1] * sums[..., 2])


@dataclass(frozen=True)
class GateFigures:
    """A gate as it stands in gates.json: `value` with `low` and `high`, its 95 % interval (None where there
    was nothing to measure), `a_byte`, the value in nats a byte (None where it is not in nats), its limits
    (`most` None: no limit), its `verdict`, and a sentence for a person."""

    name: str
    unit: str
    value: float | None
    low: float | None
    high: float | None
    a_byte: float | None
    least: float
    most: float | None
    verdict: Verdict
    sentence: str


@dataclass(frozen=True)
class Gates:
    """All of gates.json: what the gates were measured on, the bytes of text that a pipeline token has there
    on average, and each gate.
    """

    split: str
    documents: int
    queries: int
    bytes_a_token: float | None
    gates: Sequence[GateFigures]


@dataclass(frozen=True)
class Gate:
    """A figure of the labels and its limits; `proven` asks that the whole interval lies above `least`.

    `statistic` makes the figure of the sums `columns`, [..., columns] -> [...]; `train_columns`, sums of the
    train split, come before them. `says` puts the figure into words, `or_else` says what a failure means.
    Where `a_byte` is set, `columns` begin with nats a pipeline token, and the sum `bytes`, of the bytes that
    such a token has in each query's target, makes them nats a byte.
    """

    name: str
    unit: str
    columns: tuple[str, ...]
    statistic: Statistic
    least: float
    most: float | None
    says: str
    or_else: str
    proven: bool = False
    train_columns: tuple[str, ...] = ()
    a_byte: bool = False

    def measure(
        self, validation: pl.DataFrame, train: pl.DataFrame, samples: int, rng: np.random.Generator
    ) -> GateFigures:
        """The gate from sums by block of both splits and `samples` resamples."""
        parts = [
            (rows, columns)
            for rows, columns in ((train, self.train_columns), (validation, self.columns))
            if columns
        ]
        total_C = np.concatenate([_numbers(rows, columns).sum(axis=0) for rows, columns in parts])
        samples_SC = np.concatenate(
            [resampled(rows, columns, samples, rng) for rows, columns in parts], axis=1
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            measured = estimate(float(self.statistic(total_C)), self.statistic(samples_SC))
        value, low, high = measured.value, measured.low, measured.high
        if value is None or low is None or high is None:
            words = f"The gate `{self.name}` could not be measured: no query has what it needs."
            return self._found(Estimate(None, None, None), None, "failed", f"{words} {self.or_else}")
        verdict = self.verdict(value, low, high)
        a_byte = (
            float(_ratio(_numbers(validation, (self.columns[0], "bytes")).sum(axis=0)))
            if self.a_byte
            else None
        )
        sentence = self.says.format(value=value, low=low, a_byte=a_byte, least=self.least, most=self.most)
        documents = validation["doc_id"].n_unique()
        if verdict == "failed":
            sentence = f"{sentence} {self.or_else}"
        if verdict == "cannot tell":
            sentence = f"{sentence} {self._open(value, low, high, documents)}"
        return self._found(measured, a_byte, verdict, sentence)

    def verdict(self, value: float, low: float, high: float) -> Verdict:
        """`passed`: the figure lies within its limits, or all of its interval does where that must be proven.
        `cannot tell`: it does not, but its interval reaches them, or the figure where the interval must.
        `failed`: all else.
        """
        least, most = self.least, np.inf if self.most is None else self.most
        passed = low > least if self.proven else least <= value <= most
        reaches = value > least if self.proven else high >= least and low <= most
        return "passed" if passed else "cannot tell" if reaches else "failed"

    def _open(self, value: float, low: float, high: float, documents: int) -> str:
        """Why the gate cannot tell, and about how many documents could if the figure stayed: an interval
        narrows with their square root.
        """
        limit = self.least if self.proven or value < self.least else self.most
        assert limit is not None
        width, distance = (high - value if value < limit else value - low), abs(value - limit)
        needed = documents * (width / distance) ** 2 if distance else np.inf
        enough = (
            f"about {np.ceil(needed):,.0f}" if needed <= MOST_DOCUMENTS else f"more than {MOST_DOCUMENTS:,}"
        )
        return (
            f"The 95 % interval [{low:.3f}, {high:.3f}] over {documents} documents holds the limit: they"
            f" cannot tell. If the figure stayed, {enough} could; corpora.<name>.validation holds out more."
        )

    def _found(self, found: Estimate, a_byte: float | None, verdict: Verdict, sentence: str) -> GateFigures:
        return GateFigures(
            self.name,
            self.unit,
            **vars(found),
            a_byte=a_byte,
            least=self.least,
            most=self.most,
            verdict=verdict,
            sentence=sentence,
        )


# Most a positive rate may differ between train and validation.
SHIFT = 1.3
GATES = (
    Gate(
        "planted copy",
        "nats a pipeline token",
        ("copy_gain", "queries"),
        _ratio,
        0.5,
        None,
        "A query and its target, given as the query's own candidate, gain {value:.2f} nats a pipeline token"
        " ({a_byte:.3f} a byte) over the local context; at least {least:g} is expected.",
        "The reference LM hardly uses what is put before a query.",
        a_byte=True,
    ),
    Gate(
        "BM25 over chance",
        "nats a pipeline token",
        ("lead_of_bm25", "queries"),
        _ratio,
        0.0,
        None,
        "The best BM25 candidate of a query beats the best of as many random eligible chunks by {value:.3f}"
        " nats a pipeline token ({a_byte:.4f} a byte), 95 % interval from {low:.3f}; above {least:g} is"
        " expected.",
        "To the reference LM, what BM25 finds is no better than chance.",
        proven=True,
        a_byte=True,
    ),
    Gate(
        "split-half correlation",
        "within queries",
        ("covariance", "variance_0", "variance_1"),
        _correlation,
        0.2,
        None,
        "The two halves of a target agree on the candidates of a query with a correlation of {value:.2f}; at"
        " least {least:g} is expected.",
        "The labels are mostly noise.",
    ),
    Gate(
        "positive rate",
        "share of pairs",
        ("positives", "pairs"),
        _ratio,
        0.02,
        0.60,
        "{value:.1%} of the candidates have s_t > 0; {least:.0%} to {most:.0%} is expected.",
        "The reference LM is probably too small or too little trained.",
    ),
    Gate(
        "train over validation",
        "ratio of positive rates",
        ("shared_positives", "shared_pairs"),
        _ratio_of_ratios,
        1 / SHIFT,
        SHIFT,
        "The positive rate of train is {value:.2f} times that of validation; {least:.2f} to {most:.2f} is"
        " expected.",
        "The reference LM knows the train text by heart, or the pools differ much in size.",
        train_columns=("shared_positives", "shared_pairs"),
    ),
)
