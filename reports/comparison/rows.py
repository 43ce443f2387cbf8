"""What a comparison holds: all of results.json, of which its tables, sentences and page are made.

Perplexities are over the documents of the evaluated split, gains in nats a token, and None stands where there
is nothing to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reports.metrics.ceilings import Ceiling
from reports.metrics.evaluation_rows import Key
from reports.metrics.leakage import Leakage
from reports.metrics.resampling import Estimate


@dataclass(frozen=True)
class Trained:
    """A run of a system with a seed, and what is known of it beside its evaluation; None where there is
    nothing to know it from.

    `step_seconds` is the measured time of an update, `step_flops` what one computes by
    model/training_cost.py, `steps` how many there were. `sizes` are the numbers of config.json that decide
    the model. `retriever` says who finds its neighbours: none, bm25, random, recency, own, corpus or
    corpus_random.
    """

    run: str
    system: str
    seed: int
    retriever: str
    parameters: int | None = None
    steps: int | None = None
    step_seconds: float | None = None
    step_flops: float | None = None
    sizes: Mapping[str, object] | None = None


@dataclass(frozen=True)
class ComparedRun:
    """A run, whether it was `evaluated`, and if what there is of it is not of now (`stale`), why."""

    trained: Trained
    evaluated: bool
    stale: str | None


@dataclass(frozen=True)
class SystemRow:
    """A system in a setting, the mean over its `runs`, which are resampled together; `by_seed` has the
    perplexity of each of them and `deviation` is that of these. `gain` is that over Transformer-XL,
    `retrieval_gain` that over random retrieval. `lowest`: of all rows of all documents, oracles aside."""

    system: str
    setting: str
    runs: Sequence[str]
    perplexity: float | None
    low: float | None
    high: float | None
    by_seed: Sequence[float | None]
    deviation: float | None
    documents: int
    gain: Estimate | None
    retrieval_gain: Estimate | None
    lowest: bool = False


@dataclass(frozen=True)
class SystemCost:
    """Parameters, seconds and operations of an update, and these two over those of Transformer-XL: each the
    median over the runs.
    """

    parameters: float | None
    step_seconds: float | None
    step_flops: float | None
    time: float | None
    operations: float | None


@dataclass(frozen=True)
class RetrieverRow:
    """A retriever against the labels: mean `figures` over its runs and their `deviation`, and over how many
    `queries`, by the names of `CUTS`."""

    retriever: str
    runs: int
    queries: Mapping[str, int]
    figures: Mapping[str, float | None]
    deviation: Mapping[str, float | None]


@dataclass(frozen=True)
class Orders:
    """Which systems each is better than, lowest first, and those with too few seeds for any claim."""

    better_than: Mapping[str, Sequence[str]]
    too_few_seeds: Sequence[str]


@dataclass(frozen=True)
class Copied:
    """A system that reads a whole corpus: losses by how much of a chunk stands in its passages, over
    `documents`. `columns` are the systems and settings that `rows` have by the names of `said`, its own
    first; their losses are means over their runs.
    """

    system: str
    documents: int
    chunk_tokens: int
    columns: Sequence[Key]
    rows: Sequence[Leakage]


@dataclass(frozen=True)
class CorpusComparison:
    """Everything that is said of one corpus; `tokens_sha256` is of the tokens that all rows of the own
    setting are over.
    """

    corpus: str
    split: str
    documents: int | None
    tokens: int | None
    tokens_sha256: str | None
    rows: Sequence[SystemRow]
    ceilings: Sequence[Ceiling]
    copied: Sequence[Copied]
    runs: Sequence[ComparedRun]
    costs: Mapping[str, SystemCost]
    retrieval: Sequence[RetrieverRow]
    orders: Orders


@dataclass(frozen=True)
class Comparison:
    """All corpora of a comparison."""

    name: str
    corpora: Sequence[CorpusComparison]
