"""What a comparison of two versions of labels holds, which `reports.labels.diff.compare` makes.

Documents are the same where their ids are, which are hashes of their texts; a document is of the split that
version a has it in. Scores are s_t in nats, a change is that of b less that of a, and a figure that nothing
was measured for is None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Version:
    """A version of the labels: their directory and digest, who scored them, and the most candidates that a
    query has.
    """

    labels: str
    digest: str
    scorer: Mapping[str, object]
    candidates: int
    stride_chunks: int
    sequence_chunks: int


@dataclass(frozen=True)
class Held:
    """How many both versions have, and how many one alone."""

    common: int
    only_a: int
    only_b: int


@dataclass(frozen=True)
class Rates:
    """The share of all pairs of each version with s_t > 0."""

    a: float | None
    b: float | None


@dataclass(frozen=True)
class Change:
    """The mean of changes and of their sizes, nats."""

    mean: float | None
    mean_absolute: float | None


@dataclass(frozen=True)
class BestChange(Change):
    """The same of the best s_t of queries, with the shares of them in which it rose and fell."""

    higher: float | None
    lower: float | None


@dataclass(frozen=True)
class Flips:
    """Common pairs whose s_t > 0 in one version only: how many."""

    to_positive: int
    to_negative: int


@dataclass(frozen=True)
class FlipShares:
    """The same as shares of the common pairs."""

    to_positive: float | None
    to_negative: float | None


@dataclass(frozen=True)
class RankCorrelation:
    """Means over the `queries` whose common candidates both versions put in an order."""

    queries: int
    spearman: float | None
    kendall: float | None


@dataclass(frozen=True)
class PartChanges:
    """A part of the corpus. `same_best` is the share of the common queries whose best candidate, of all that
    a version has, is the same; ties go to BM25."""

    queries: Held
    pairs: Held
    positive_rate: Rates
    score_change: Change
    flips: Flips
    flip_share: FlipShares
    rank_correlation: RankCorrelation
    same_best: float | None
    best_change: BestChange


@dataclass(frozen=True)
class PairScore:
    """A pair in a version."""

    rank: int
    bm25: float
    target_score: float


@dataclass(frozen=True)
class BestScore:
    """The best candidate of a query in a version."""

    candidate_chunk: int
    target_score: float


@dataclass(frozen=True)
class MovedQuery:
    """A query whose best s_t changed."""

    doc_id: str
    source: str
    split: str
    query_chunk: int
    change: float
    a: BestScore
    b: BestScore


@dataclass(frozen=True)
class MovedPair:
    """A pair whose s_t changed."""

    doc_id: str
    source: str
    split: str
    query_chunk: int
    candidate_chunk: int
    change: float
    a: PairScore
    b: PairScore


@dataclass(frozen=True)
class VersionChanges:
    """Everything: `splits` has `all` and each split, `movers` and `best_movers` are what changed most, the
    largest change first.
    """

    a: Version
    b: Version
    documents: Held
    splits: Mapping[str, PartChanges]
    movers: Sequence[MovedPair]
    best_movers: Sequence[MovedQuery]
