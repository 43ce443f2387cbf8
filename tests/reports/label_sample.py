"""A supervision report of a made-up label set: the figures are computed, the gates and the cost are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks._label_sets import made_up_text, make_label_set
from data_contracts.contract import commit, open_artifact, write_shard
from data_contracts.tokens import CHUNKS
from reports.labels import page
from reports.labels.examples import with_texts
from reports.labels.label_set import LabelSet, open_label_set
from reports.labels.report import Examples, LabelReport
from reports.labels.statistics import label_statistics
from tests.reports.built import built


def with_repeats(home: Path, every: int = 3) -> None:
    """Let every `every`-th chunk of a document repeat one of two texts, so that there are candidates that
    copy their target.
    """
    for name in open_artifact(CHUNKS, home / "chunks").shards:
        table = open_artifact(CHUNKS, home / "chunks").read(name)
        tokens = table.column("token_ids").combine_chunks()
        rows = np.stack([row.values.to_numpy() for row in tokens])
        repeated = table.column("chunk").to_numpy() % every == 0
        rows[repeated] = rows[:2][np.arange(repeated.sum()) % 2]
        lists = pa.ListArray.from_arrays(tokens.offsets, rows.ravel(), type=tokens.type)
        write_shard(
            CHUNKS,
            table.set_column(
                table.schema.get_field_index("token_ids"), table.schema.field("token_ids"), lists
            ),
            home / "chunks" / name,
        )
    commit(CHUNKS, home / "chunks")


def made_up_set(
    home: Path,
    documents: int = 20,
    chunks: int = 24,
    candidates: int = 8,
    shards: int = 2,
    text: Callable[[np.random.Generator], str] = made_up_text,
    source: Callable[[int], str] = "book-{:05d}.txt".format,
) -> LabelSet:
    """A label set below `home`, opened, some of whose candidates copy their target."""
    make_label_set(home, documents, chunks, candidates, shards, text, source)
    with_repeats(home)
    return open_label_set(home / "labels", home / "cache")


def _gate(name: str, value: float, least: float, verdict: str) -> dict[str, Any]:
    limits = {"low": value - 0.05, "high": value + 0.05, "a_byte": value / 2.75, "least": least, "most": None}
    return {
        "name": name,
        "unit": "nats a pipeline token",
        "value": value,
        **limits,
        "verdict": verdict,
        "sentence": f"The {name} is {value}.",
    }


def label_report(label_set: LabelSet, samples: int = 50) -> dict[str, Any]:
    """What the page and the card take, with the `examples` of the page; a test may change it."""
    statistics, chosen = label_statistics(label_set, samples)
    gates = [_gate("planted copy", 0.81, 0.5, "passed"), _gate("split-half correlation", 0.14, 0.2, "failed")]
    return {
        "corpus": "demo",
        "labels": label_set.digest,
        "geometry": {"chunk_tokens": label_set.chunk_tokens, "sequence_chunks": 24, "stride_chunks": 2},
        "scorer": label_set.scorer,
        "licenses": ["MIT"],
        "parameters": {"reference_lm": {"source": "train"}, "scoring": {"candidates": 8, "engine": "jax"}},
        "gates": {
            "split": "validation",
            "documents": 2,
            "queries": 10,
            "bytes_a_token": 2.75,
            "gates": gates,
        },
        "cost": {"parameters": 420_000, "tokens": 6_730_000, "flops": 4.4e12, "flops_unshared": 6.9e12},
        **asdict(statistics),
        "examples": {
            kind: [asdict(example) for example in examples]
            for kind, examples in with_texts(label_set, chosen).items()
        },
    }


def report_of(report: dict[str, Any]) -> LabelReport:
    """What `label_report` made, changed or not, as the card and the findings take it."""
    return built(LabelReport, {name: value for name, value in report.items() if name != "examples"})


def render(report: dict[str, Any]) -> str:
    """The page of it."""
    return page.render(report_of(report), built(Examples, report["examples"]))
