"""What the supervision report of a label artifact holds: the figures of statistics.json, and the examples
that only its page shows.

Scores are in nats a target token, rates are shares of 1, and intervals come from resampling documents, then
blocks of 64 chunks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.metrics.chunk_sizes import ChunkSizes
from reports.metrics.gates import Gates
from reports.metrics.resampling import Estimate


@dataclass(frozen=True)
class Rate(Estimate):
    """The share of so many `pairs` that are positive."""

    pairs: int


@dataclass(frozen=True)
class RankRate(Rate):
    """At a BM25 rank, from 1 on."""

    rank: int


@dataclass(frozen=True)
class DistanceRate(Rate):
    """From `start` to `end` chunks between candidate and query, inclusive."""

    start: int
    end: int


@dataclass(frozen=True)
class PositionRate(Rate):
    """For queries from `start` to `end` of their document, as shares of it."""

    start: float
    end: float


@dataclass(frozen=True)
class BestOfK(Estimate):
    """Mean over queries of the best s_t of the first `k` candidates (Figure 5), and what BM25's order is
    worth there: that less the mean of the best of k random ones of the same candidates."""

    k: int
    order_gain: Estimate


@dataclass(frozen=True)
class Enough:
    """Whether k is enough: a `verdict` (yes, no, open or unknown), what the `last` candidates add to the mean
    best s_t, what all after the first add, and the share of the former in the latter."""

    verdict: str
    last: int
    gain: Estimate
    total: Estimate
    share: Estimate


@dataclass(frozen=True)
class TwoCandidates:
    """Two candidates a query: the better one of BM25's first two and of all (gain@2 and gain@k), and the
    means over both of the two.
    """

    best_of_bm25: Estimate
    best_of_all: Estimate
    lead_of_best: Estimate
    mean_of_bm25: Estimate
    mean_of_best: Estimate
    lead_of_mean: Estimate


@dataclass(frozen=True)
class Copies:
    """Candidates that copy their target: how many, their share of pairs and of positives, and what the labels
    are without them.
    """

    pairs: int
    verbatim: int
    share: Estimate
    of_positives: Estimate
    of_best: Estimate
    positive_rate: Estimate
    mean_score: Estimate
    positive_rate_without: Estimate
    mean_score_without: Estimate


@dataclass(frozen=True)
class HistogramBin:
    """How many pairs, and how many best scores of queries, lie from `start` to `end` nats a target token."""

    start: float
    end: float
    pairs: int
    best: int


@dataclass(frozen=True)
class SplitFigures:
    """One split; `candidates` is the most that a query has."""

    documents: int
    queries: int
    pairs: int
    positives: int
    candidates: int
    positive_rate: Estimate
    mean_score: Estimate
    best_by_k: Sequence[BestOfK]
    enough: Enough
    two: TwoCandidates
    by_rank: Sequence[RankRate]
    by_distance: Sequence[DistanceRate]
    by_position: Sequence[PositionRate]
    histogram: Sequence[HistogramBin]
    copies: Copies


@dataclass(frozen=True)
class Sharing:
    """Pairs scored with the local contexts, the distinct prefixes they need, and the `rate` of pairs that
    found their prefix computed.
    """

    documents: int
    pairs: int
    prefixes: int
    rate: float | None


@dataclass(frozen=True)
class LabelStatistics:
    """What one pass over labels finds: each of train, validation and test that has some, and what all of them
    share.
    """

    splits: Mapping[str, SplitFigures]
    sharing: Sharing


@dataclass(frozen=True)
class Cost:
    """What the pairs cost a scorer of so many parameters: tokens and operations with each prefix computed
    once, and operations with one computed for every pair."""

    parameters: int
    tokens: float
    flops: float
    flops_unshared: float


@dataclass(frozen=True)
class LabelReport:
    """All of statistics.json: whose labels, their digest, what made them (`parameters` by section), the
    distinct `licenses` that the documents state, and the figures."""

    corpus: str
    labels: str
    geometry: ChunkSizes
    scorer: Mapping[str, object]
    licenses: Sequence[str]
    parameters: Mapping[str, Mapping[str, object]]
    gates: Gates
    cost: Cost
    splits: Mapping[str, SplitFigures]
    sharing: Sharing


@dataclass(frozen=True)
class ShownCandidate:
    """A candidate of an example with its text and that of its continuation; `copied` is the share of the
    target's 8-grams that it has.
    """

    chunk: int
    text: str
    rank: int | None
    bm25: float | None
    score: float | None
    copied: float | None


@dataclass(frozen=True)
class LabelExample:
    """A query with its target and some candidates, the one that the example is about first."""

    doc_id: str
    split: str
    source: str
    query_chunk: int
    query: str
    target: str
    candidates: Sequence[ShownCandidate]


Examples = Mapping[str, Sequence[LabelExample]]
"""By kind, as reports/labels/examples.py names them."""


@dataclass(frozen=True)
class LabelSection:
    """What the report of a run says of its labels: counts over all splits, and by split the positive rate and
    the best of all candidates."""

    queries: int
    pairs: int
    positive_rate: Mapping[str, float | None]
    best: Mapping[str, BestOfK]
    scorer: Mapping[str, object]
    gates: Gates
