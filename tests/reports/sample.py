"""A made-up report with the figures a demo run would have."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

from reports.run import page
from reports.run.report import RunReport
from tests.reports.built import built

PUBLISHED = {
    "transformer_xl": {"ArXiv": 3.11, "Code": 2.30, "PG19": 11.48, "Books3": 15.00},
    "retro": {"ArXiv": 2.94, "Code": 2.17, "PG19": 11.44, "Books3": 14.60},
    "rpt_lex": {"ArXiv": 2.92, "Code": 2.23, "PG19": 11.59, "Books3": 14.32},
    "rpt_sem": {"ArXiv": 2.77, "Code": 2.17, "PG19": 10.96, "Books3": 13.91},
}


def _curve(steps: int, first: float, last: float, seed: int, every: int = 1) -> list[list[float]]:
    noise = random.Random(seed)
    fall = (first - last) / (1 - math.exp(-4))
    return [
        [step, last + fall * (math.exp(-4 * step / steps) - math.exp(-4)) + noise.gauss(0, 0.08)]
        for step in range(1, steps + 1, every)
    ]


def _system(
    system: str, parameters: int, perplexity: float, difference: float | None, seed: int
) -> dict[str, Any]:
    gain = (
        {"value": difference, "low": difference - 0.021, "high": difference + 0.019} if difference else None
    )
    per_byte = math.log2(perplexity) / 2.5
    return {
        "run": f"demo-{system}",
        "system": system,
        "seed": 0,
        "parameters": parameters,
        "perplexity": perplexity,
        "low": perplexity * 0.93,
        "high": perplexity * 1.08,
        "macro_perplexity": perplexity * 1.04,
        "perplexity_with_neighbours": perplexity * 0.97,
        "nats_per_token": math.log(perplexity),
        "bits_per_token": math.log2(perplexity),
        "bits_per_byte": {"value": per_byte, "low": per_byte - 0.04, "high": per_byte + 0.05},
        "tokens": 98_304,
        "documents": 11,
        "published": PUBLISHED[system],
        "copying": False,
        "lexical_start": False,
        "curve": _curve(170, 6.93, math.log(perplexity) - 0.05, seed),
        "difference": gain and {"against": "demo-transformer_xl", **gain},
        "over_random": gain and {"against": "demo-random", **gain},
    }


def _estimate(value: float, width: float = 0.05) -> dict[str, float]:
    return {"value": value, "low": value - width, "high": value + width}


def _setting(system: str, setting: str, perplexity: float, gain: float | None) -> dict[str, Any]:
    return {
        "run": f"demo-{system}",
        "system": system,
        "setting": setting,
        "perplexity": perplexity,
        "low": perplexity * 0.93,
        "high": perplexity * 1.08,
        "perplexity_with_neighbours": perplexity * 0.97,
        "documents": 4,
        "bits_per_byte": _estimate(math.log2(perplexity) / 2.5),
        "gain": None if gain is None else {"value": gain, "low": gain - 0.002, "high": gain + 0.002},
    }


def _settings() -> list[dict[str, Any]]:
    names = ("own", "none", "training_length", "first_1", "first_2", "first_3", "first_4", "second")
    losses = (0.0, 0.021, 0.002, 0.004, 0.0, -0.001, -0.002, 0.009)
    return [
        _setting(system, name, perplexity * math.exp(loss), -loss if name != "own" else None)
        for system, perplexity in (("retro", 22.34), ("rpt_sem", 21.93))
        for name, loss in zip(names, losses, strict=True)
    ]


def _ceilings() -> list[dict[str, Any]]:
    figures = (
        ("own", 22.81, None),
        ("ngram_train", 20.4, 0.11),
        ("ngram_cache_beyond", 19.9, 0.13),
        ("ngram_cache", 17.2, 0.28),
    )
    return [
        {
            "setting": setting,
            "runs": 1,
            "documents": 11,
            "perplexity": perplexity,
            "perplexity_with_neighbours": perplexity * 0.97,
            **{
                name: gain and _estimate(gain, 0.02)
                for name in ("gain", "gain_with_neighbours", "over_training")
            },
        }
        for setting, perplexity, gain in figures
    ]


def _positions() -> dict[str, Any]:
    edges = [1, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384]
    bins = [
        {"start": low, "end": high - 1, "tokens": 11 * (high - low)}
        for low, high in itertools.pairwise(edges)
    ]
    runs = []
    for system, slope in (("transformer_xl", 0.0), ("retro", 0.002), ("rpt_sem", 0.005)):
        losses = [4.2 - 0.12 * place - slope * place for place in range(len(bins))]
        gains = [_estimate(slope * place, 0.006) for place in range(len(bins))] if slope else None
        runs.append(
            {
                "run": f"demo-{system}",
                "system": system,
                "nats": [_estimate(loss, 0.1) for loss in losses],
                "gain": gains,
            }
        )
    return {"bins": bins, "runs": runs}


def _retrievers() -> list[dict[str, Any]]:
    figures = (
        ("random", 0.034, 0.081, 0.059),
        ("recency", 0.066, 0.171, 0.104),
        ("BM25", 0.164, 0.402, 0.287),
        ("RPT-Sem", 0.071, 0.182, 0.121),
    )
    systems = {"RPT-Sem": "rpt_sem"}
    counts = {"queries": 300, "queries_with_positive": 251, "documents": 11}
    counted = {"precision_at_2": 300, "recall_at_10": 251, "ndcg_at_20": 251}
    return [
        {
            "retriever": name,
            "system": systems.get(name),
            **counts,
            "figures": {
                key: {**_estimate(value, 0.02), "queries": queries}
                for (key, queries), value in zip(counted.items(), (p, r, n), strict=True)
            },
        }
        for name, p, r, n in figures
    ]


def _retrieved() -> list[dict[str, Any]]:
    figures = (
        ("random", None, 0.19, 17, 6),
        ("BM25", None, 0.31, 150, 11),
        ("RPT-Sem", "rpt_sem", 0.27, 150, 11),
    )
    return [
        {
            "retriever": name,
            "system": system,
            "precision_at_2": _estimate(p, 0.04),
            "queries": queries,
            "documents": documents,
        }
        for name, system, p, queries, documents in figures
    ]


def _frozen_reader() -> list[dict[str, Any]]:
    figures = (
        ("nothing", 0, None, 31.2, 0.0),
        ("BM25", 1, None, 33.5, -0.071),
        ("RPT-Sem", 2, "rpt_sem", 30.4, 0.026),
    )
    return [
        {
            "retriever": name,
            "neighbours": neighbours,
            "system": system,
            "perplexity": perplexity,
            "low": perplexity - 1.5,
            "high": perplexity + 1.5,
            "gain": _estimate(gain),
            "queries": 150,
            "documents": 11,
        }
        for name, neighbours, system, perplexity, gain in figures
    ]


def _example(system: str, kind: str, gain: float, word: str) -> dict[str, Any]:
    text = f"def {word}(self, value):\n    return self.{word}s.get(value)\n" * 2
    neighbours = [
        {"chunk": chunk, "text": text, "gate": 0.55, "score": score}
        for chunk, score in ((12, 0.21), (40, -0.02), (41, None))
    ]
    of = {
        "run": f"demo-{system}",
        "system": system,
        "kind": kind,
        "doc_id": "0123456789abcdef",
        "query_chunk": 77,
        "gain": gain,
    }
    return {**of, "query": text, "target": text, "neighbours": neighbours}


def _gate(
    name: str, unit: str, value: float, least: float, most: float | None, verdict: str
) -> dict[str, Any]:
    limits = {"low": value - 0.05, "high": value + 0.05, "least": least, "most": most}
    limits |= {"a_byte": value / 2.75 if unit.startswith("nats") else None}
    return {
        "name": name,
        "unit": unit,
        "value": value,
        **limits,
        "verdict": verdict,
        "sentence": f"The {name} is {value}.",
    }


def report_of(report: dict[str, Any]) -> RunReport:
    """What `sample_report` made, changed or not, as the page takes it."""
    return built(RunReport, report)


def render(report: dict[str, Any]) -> str:
    """The page of it."""
    return page.render(report_of(report))


def _headline() -> list[str]:
    return [
        (
            "Perplexity on 11 held-out documents (98,304 tokens): Transformer-XL 22.81 [21.21, 24.63],"
            " RETRO 22.34 [20.78, 24.13], RPT-Sem 21.93 [20.39, 23.68]; a small-scale run: it shows that"
            " the chain works, not which system is better"
        ),
        (
            "Labels: 56,120 candidates of 5,310 queries scored, of which help the reference LM: train"
            " 21.4%, validation 19.8%, test 20.5%; the best of 20 is worth 0.120 nats a target token"
        ),
        "Retrieval, Precision@2 against the labels: random 3.4%, recency 6.6%, BM25 16.4%, RPT-Sem 7.1%",
    ]


def _warnings() -> list[str]:
    return [
        (
            "Weak labels: the split-half correlation is 0.14, below 0.20. The reference model is too"
            " small for its judgement to be steady, so what RPT-Sem learns from it is mostly noise."
        ),
        "Validation has 6 documents; below 8 an interval over documents is not meaningful.",
    ]


def _data() -> dict[str, Any]:
    splits = {
        "test": (11, 1_541, 98_304, 7_120),
        "train": (38, 5_412, 346_201, 8_004),
        "validation": (6, 612, 38_960, 6_233),
    }
    return {
        "inputs": 61,
        "documents_kept": 55,
        "quarantined": {"too short": 4, "not UTF-8": 1, "duplicate of another input": 1},
        "splits": {
            name: dict(zip(("documents", "chunks", "tokens", "median_tokens"), sizes, strict=True))
            for name, sizes in splits.items()
        },
        "vocabulary": 1024,
        "geometry": {"chunk_tokens": 64, "sequence_chunks": 32, "stride_chunks": 2},
        "lengths": [
            {"start": 4.0, "end": 4.25, "documents": 30, "share": 0.75},
            {"start": 4.25, "end": 4.5, "documents": 10, "share": 0.25},
        ],
    }


def _labels() -> dict[str, Any]:
    return {
        "queries": 5_310,
        "pairs": 56_120,
        "positive_rate": {"test": 0.205, "train": 0.214, "validation": 0.198},
        "best": {},
        "scorer": {
            "engine": "jax",
            "weights": "sha256:5d1c09…",
            "dtype": "float32",
            "layout": "candidate, query, target",
        },
        "gates": {
            "split": "validation",
            "documents": 6,
            "queries": 100,
            "bytes_a_token": None,
            "gates": [
                _gate("planted copy", "nats a pipeline token", 0.81, 0.5, None, "passed"),
                _gate("split-half correlation", "within queries", 0.14, 0.2, None, "failed"),
                _gate("positive rate", "share of pairs", 0.198, 0.02, 0.6, "passed"),
            ],
        },
    }


def _oracles() -> list[dict[str, Any]]:
    return [
        {
            "run": "demo-rpt_sem",
            "system": "rpt_sem",
            "perplexity": 20.1,
            "low": 18.8,
            "high": 21.7,
            "perplexity_with_neighbours": 19.2,
            "documents": 11,
            "gap_closed": {**_estimate(0.31, 0.08), "left_out": 0.0},
            "gap_closed_scored": {**_estimate(0.22, 0.09), "left_out": 0.012},
        }
    ]


def _oracles_all() -> list[dict[str, Any]]:
    return [
        {
            "run": "demo-rpt_sem",
            "system": "rpt_sem",
            "tokens": 1_280,
            **{
                name: _estimate(value, 0.8)
                for name, value in (("own", 21.2), ("oracle", 19.9), ("oracle_all", 18.7))
            },
            "gain": _estimate(0.062, 0.02),
        }
    ]


def _overlap() -> list[dict[str, Any]]:
    return [
        {
            "run": f"demo-{system}",
            "system": system,
            "chunks": 1_320,
            "query": _estimate(query),
            "target": _estimate(target),
            "target_with_continuation": _estimate(target + 5),
        }
        for system, query, target in (("retro", 21.4, 15.1), ("rpt_sem", 15.2, 15.9))
    ]


def _subgroups() -> list[dict[str, Any]]:
    return [
        {
            "run": f"demo-{system}",
            "system": system,
            "group": group,
            "chunks": chunks,
            "documents": 11,
            "improvement": _estimate(value, 0.4),
            "scored": "retrieved",
        }
        for system, gains in (("retro", (3.1, 1.4, 2.1)), ("rpt_sem", (6.9, 2.8, 3.9)))
        for group, chunks, value in zip(
            ("with_gold", "without_gold", "all"), (88, 212, 300), gains, strict=True
        )
    ]


def sample_report() -> dict[str, Any]:
    """A fresh copy that a test may change."""
    return {
        "version": 2,
        "corpus": "demo",
        "small_scale": True,
        "evaluation": {"split": "test", "max_tokens_per_document": 16_384, "documents_cut": 3},
        "headline": _headline(),
        "warnings": _warnings(),
        "data": _data(),
        "reference_lm": {
            "parameters": 321_408,
            "steps": 730,
            "loss_first": 6.94,
            "loss_last": 3.31,
            "curve": _curve(730, 6.94, 3.31, 5, every=2),
        },
        "labels": _labels(),
        "systems": [
            _system("transformer_xl", 923_904, 22.81, None, 1),
            _system("retro", 1_318_144, 22.34, 0.021, 2),
            _system("rpt_sem", 1_421_568, 21.93, 0.039, 3),
        ],
        "seeds": [{"system": "rpt_sem", "runs": 3, "mean": 21.99, "deviation": 0.051}],
        "orders": [{"better": "rpt_sem", "worse": "transformer_xl", "gap": 0.82, "pooled_deviation": 0.06}],
        "settings": _settings(),
        "oracles": _oracles(),
        "oracles_all": _oracles_all(),
        "ceilings": _ceilings(),
        "positions": _positions(),
        "retrieval": _retrievers(),
        "rerank": _retrievers(),
        "exhaustive": _retrievers(),
        "retrieved": _retrieved(),
        "frozen_reader": _frozen_reader(),
        "overlap": _overlap(),
        "subgroups": _subgroups(),
        "gain_examples": [
            _example(system, kind, sign * size, f"{kind}_{system}")
            for system, size in (("retro", 0.41), ("rpt_sem", 0.73))
            for kind, sign in (("gain", 1), ("loss", -1))
        ],
        "artifacts": [
            ["artifacts/demo/documents", "documents with their text, split and source"],
            ["artifacts/demo/labels", "every scored pair: query, candidate, score"],
            ["artifacts/demo/rpt_sem/model.safetensors", "weights of RPT-Sem"],
        ],
    }
