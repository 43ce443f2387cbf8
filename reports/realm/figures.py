"""Figures of a trained REALM: what each way of finding passages is worth, and how far the index was behind during training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from data_contracts import counting
from data_contracts.realm_answers import METHODS
from reports.metrics.resampling import Sums

EXACT = {
    "realm": "with REALM's own passages",
    "start": "with those of its start",
    "bm25": "with BM25's",
    "random": "with random ones",
    "null": "with none",
}
LAST = 50  # updates whose mean is the training's last word


def realm_figures(answers: pa.Table, history: Sequence[dict], samples: int, seed: int) -> dict[str, Any]:
    """Everything the page shows, from the artifact `realm_answers` and the rows of `losses.jsonl`.

    A method's `logprob` is in nats a token of the answer, and `over` what REALM's passages gain over its: on the same questions, resampled
    by documents and questions.
    """
    frame = pl.DataFrame(pl.from_arrow(answers)).sort("question", "method")
    names, documents = sorted(METHODS), frame["doc_id"].n_unique()
    values = {
        name: np.stack([frame.filter(pl.col("method") == method)[name].cast(pl.Float64).to_numpy() for method in names], axis=1)
        for name in ("logprob", "exact", "answer_in", "tokens")
    }
    one = frame.filter(pl.col("method") == names[0])
    _, document_B = np.unique(one["doc_id"].to_numpy(), return_inverse=True)
    order = np.argsort(document_B, kind="stable")
    sums = Sums(documents, {**dict.fromkeys(values, len(names)), "questions": 1}, samples, np.random.default_rng(seed))
    sums.add(document_B[order], {name: value[order] for name, value in values.items()} | {"questions": np.ones((len(order), 1))})
    own = names.index("realm")
    methods = {
        method: {
            "logprob": asdict(sums.ratio("logprob", "tokens", place)),
            "exact": asdict(sums.ratio("exact", "questions", place)),
            "answer_in": asdict(sums.ratio("answer_in", "questions", place)),
            "over": None if place == own else asdict(_gain(sums, own, place)),
        }
        for place, method in enumerate(names)
    }
    kinds = dict(sorted(one.group_by("kind").agg(counting.rows()).iter_rows()))
    figures = {"questions": len(order), "documents": documents, "kinds": kinds, "methods": methods, "training": training_figures(history)}
    return {**figures, "headline": headline(figures)}


def _gain(sums: Sums, own: int, place: int) -> Any:
    return sums.combined(lambda at: (at("logprob")[..., own] - at("logprob")[..., place]) / at("tokens")[..., own])


def training_figures(history: Sequence[dict]) -> dict[str, Any]:
    """Loss, utility and the recall of the index by update, and where an index took over, with the update it was built from."""
    curves = {name: [[row["step"], row[name]] for row in history if name in row] for name in ("loss", "utility", "null", "recall")}
    refreshes = [
        {"step": row["step"], "built_from": row["built_from"], "old_recall": row["old_recall"]} for row in history if "old_recall" in row
    ]
    recalls = [value for _, value in curves["recall"]]
    return {
        "updates": len(history),
        "curves": curves,
        "refreshes": refreshes,
        "utility": fmean(row["utility"] for row in history[-LAST:]),
        "utility_first": fmean(row["utility"] for row in history[:LAST]),
        "recall_mean": fmean(recalls) if recalls else None,
        "recall_lowest": min(recalls) if recalls else None,
        "trivial": sum(row["trivial"] for row in history),
    }


def headline(figures: dict[str, Any]) -> list[str]:
    """What came out, in sentences."""
    methods, training = figures["methods"], figures["training"]
    over = methods["random"]["over"]
    recalled = (
        "its recall was never measured"
        if training["recall_lowest"] is None
        else f"it found {training['recall_mean']:.0%} of what a fresh one finds, {training['recall_lowest']:.0%} at least, by the probes"
    )
    exact = [f"{methods[method]['exact']['value']:.1%} {words}" for method, words in EXACT.items()]
    times, interval = len(training["refreshes"]), f"95 % interval {over['low']:+.3f} to {over['high']:+.3f}"
    return [
        f"{figures['questions']:,} held-out questions: exact match {', '.join(exact)}",
        f"REALM's passages are worth {over['value']:+.3f} nats a token over random ones, {interval}",
        f"utility {training['utility_first']:+.3f} nats a token at the beginning of training, {training['utility']:+.3f} at its end; "
        f"{times} refresh{'es' if times != 1 else ''} of the index: {recalled}",
    ]
