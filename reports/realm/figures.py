"""Figures of a trained REALM: what each way of finding passages is worth, and how far the index was behind
during training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
import polars as pl
import pyarrow as pa

from data_contracts import counting
from data_contracts.realm_answers import METHODS
from reports.metrics.resampling import Estimate, Sums
from reports.realm.history import Update

EXACT = {
    "realm": "with REALM's own passages",
    "start": "with those of its start",
    "bm25": "with BM25's",
    "random": "with random ones",
    "null": "with none",
}
LAST = 50  # updates whose mean is the training's last word


Curve = Sequence[tuple[float, float]]
"""(update, value)."""


@dataclass(frozen=True)
class MethodFigures:
    """One way of finding passages: `logprob` in nats a token of the answer, the shares of `exact` answers and
    of questions with the `answer_in` a passage, and what REALM's passages gain `over` its (None for these):
    on the same questions, resampled by documents and questions."""

    logprob: Estimate
    exact: Estimate
    answer_in: Estimate
    over: Estimate | None


@dataclass(frozen=True)
class Refresh:
    """At update `step` an index took over that was built from the weights of `built_from`; the one before it
    still found `old_recall`.
    """

    step: int
    built_from: int
    old_recall: float


@dataclass(frozen=True)
class TrainingFigures:
    """Loss, utility, null and recall by update in `curves`; mean utility at the end and at the beginning;
    None where recall was never measured; how many passages were `trivial`."""

    updates: int
    curves: Mapping[str, Curve]
    refreshes: Sequence[Refresh]
    utility: float
    utility_first: float
    recall_mean: float | None
    recall_lowest: float | None
    trivial: int


@dataclass(frozen=True)
class Answered:
    """How many questions of which kinds were asked, and what each method is worth."""

    questions: int
    documents: int
    kinds: Mapping[str, int]
    methods: Mapping[str, MethodFigures]


@dataclass(frozen=True)
class RealmReport(Answered):
    """Everything the page shows."""

    corpus: str
    passages: int
    questions_train: int
    training: TrainingFigures
    headline: Sequence[str]


def realm_report(
    corpus: str,
    passages: int,
    questions_train: int,
    answers: pa.Table,
    history: Sequence[Update],
    samples: int,
    seed: int,
) -> RealmReport:
    """The report of a corpus of so many passages, by the artifact `realm_answers` and the updates of its
    training.
    """
    answered, training = answer_figures(answers, samples, seed), training_figures(history)
    return RealmReport(
        **vars(answered),
        corpus=corpus,
        passages=passages,
        questions_train=questions_train,
        training=training,
        headline=headline(answered, training),
    )


def answer_figures(answers: pa.Table, samples: int, seed: int) -> Answered:
    """What each way of finding passages is worth."""
    frame = pl.DataFrame(pl.from_arrow(answers)).sort("question", "method")
    names, documents = sorted(METHODS), frame["doc_id"].n_unique()
    values = {
        name: np.stack(
            [frame.filter(pl.col("method") == method)[name].cast(pl.Float64).to_numpy() for method in names],
            axis=1,
        )
        for name in ("logprob", "exact", "answer_in", "tokens")
    }
    one = frame.filter(pl.col("method") == names[0])
    _, document_B = np.unique(one["doc_id"].to_numpy(), return_inverse=True)
    order = np.argsort(document_B, kind="stable")
    sums = Sums(
        documents, {**dict.fromkeys(values, len(names)), "questions": 1}, samples, np.random.default_rng(seed)
    )
    sums.add(
        document_B[order],
        {name: value[order] for name, value in values.items()} | {"questions": np.ones((len(order), 1))},
    )
    own = names.index("realm")
    methods = {
        method: MethodFigures(
            logprob=sums.ratio("logprob", "tokens", place),
            exact=sums.ratio("exact", "questions", place),
            answer_in=sums.ratio("answer_in", "questions", place),
            over=None if place == own else _gain(sums, own, place),
        )
        for place, method in enumerate(names)
    }
    kinds = dict(sorted(one.group_by("kind").agg(counting.rows()).iter_rows()))
    return Answered(len(order), documents, kinds, methods)


def _gain(sums: Sums, own: int, place: int) -> Estimate:
    return sums.combined(
        lambda at: (at("logprob")[..., own] - at("logprob")[..., place]) / at("tokens")[..., own]
    )


def training_figures(history: Sequence[Update]) -> TrainingFigures:
    """Loss, utility and the recall of the index by update, and where an index took over, with the update it
    was built from.
    """
    recalls = [(row.step, row.recall) for row in history if row.recall is not None]
    curves = {
        "loss": [(row.step, row.loss) for row in history],
        "utility": [(row.step, row.utility) for row in history],
        "null": [(row.step, row.null) for row in history],
        "recall": recalls,
    }
    refreshes = [
        Refresh(row.step, row.built_from, row.old_recall) for row in history if row.old_recall is not None
    ]
    found = [recall for _, recall in recalls]
    return TrainingFigures(
        updates=len(history),
        curves=curves,
        refreshes=refreshes,
        utility=fmean(row.utility for row in history[-LAST:]),
        utility_first=fmean(row.utility for row in history[:LAST]),
        recall_mean=fmean(found) if found else None,
        recall_lowest=min(found) if found else None,
        trivial=sum(row.trivial for row in history),
    )


def headline(answered: Answered, training: TrainingFigures) -> list[str]:
    """What came out, in sentences."""
    methods = answered.methods
    over = methods["random"].over
    assert over is not None
    recalled = (
        "its recall was never measured"
        if training.recall_lowest is None
        else (
            f"it found {training.recall_mean:.0%} of what a fresh one finds, {training.recall_lowest:.0%} at"
            " least, by the probes"
        )
    )
    exact = [f"{methods[method].exact.value:.1%} {words}" for method, words in EXACT.items()]
    times, interval = len(training.refreshes), f"95 % interval {over.low:+.3f} to {over.high:+.3f}"
    return [
        f"{answered.questions:,} held-out questions: exact match {', '.join(exact)}",
        f"REALM's passages are worth {over.value:+.3f} nats a token over random ones, {interval}",
        (
            f"utility {training.utility_first:+.3f} nats a token at the beginning of training,"
            f" {training.utility:+.3f} at its end; {times} refresh{'es' if times != 1 else ''} of the index:"
            f" {recalled}"
        ),
    ]
