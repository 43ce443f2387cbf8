"""Systems of a corpus compared, each over its seeds: the figures of the paper's Tables 2, 3 and 4, and which
order they support.

A row is a system in a setting. Its perplexity is the mean over its runs, resampled together: the interval is
of the documents, the deviation of the seeds. All runs are of the identical tokens, which `aligned` asserts by
digest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import polars as pl

from data_contracts import counting
from data_contracts.evaluations import BASELINE, BY_CHANCE, DPR, ORACLE, OWN, WITHOUT
from reports.comparison.rows import (
    ComparedRun,
    Copied,
    CorpusComparison,
    Orders,
    RetrieverRow,
    SystemCost,
    SystemRow,
    Trained,
)
from reports.metrics.ceilings import ceiling_figures
from reports.metrics.evaluation_rows import Evaluations, Key, aligned, control_of, token_digest, with_own
from reports.metrics.leakage import leakage, over_runs
from reports.metrics.perplexity import nats, resampled, token_sums
from reports.metrics.published import name_of
from reports.metrics.resampling import FEWEST_DOCUMENTS, Estimate, Named, Sums
from reports.metrics.retrieval import (
    CUTS,
    QUERY,
    Gold,
    bm25_ranking,
    gold_of,
    means,
    query_figures,
    recency_ranking,
)
from reports.metrics.seeds import FEWEST_SEEDS, ordered

BESIDE_OWN = (("first_3", "first_4"), (ORACLE,), (DPR,))
"""Settings that give rows beside `own`, of systems with a retriever of their own, the swapped retriever of
all that have it. Those of one group are evaluated on the same documents, which may be fewer than those of
`own`."""
CONTROLS = (WITHOUT, BY_CHANCE)
"""The same of systems that read a whole corpus: what the model they trained does without passages, and with
any.
"""


@dataclass(frozen=True)
class Measured:
    """What there is of a corpus: `frames` of those of `runs` that were evaluated; `labels` and `candidates`
    of the evaluated split, None where nothing was scored; `stale` says of some runs why what there is of them
    is not of now. `overlap` says how much of a chunk stands in passages of a whole corpus, as `leakage` takes
    it; None where no run reads them."""

    corpus: str
    split: str
    runs: Sequence[Trained]
    frames: dict[Key, pl.DataFrame]
    labels: pl.DataFrame | None
    candidates: pl.DataFrame | None
    chunk_tokens: int
    stride_chunks: int
    stale: Mapping[str, str] = field(default_factory=dict)
    overlap: pl.DataFrame | None = None


def corpus_comparison(measured: Measured, samples: int, seed: int = 0) -> CorpusComparison:
    """Everything that is said of one corpus.

    Raises:
        Failure: (exit code 3) unless all runs were evaluated on the identical tokens.
    """
    evaluated = {run.run: run.system for run in measured.runs if (run.run, OWN) in measured.frames}
    seeds = {run.run: run.seed for run in measured.runs}
    own = (
        aligned({(run, OWN): measured.frames[run, OWN] for run in evaluated}, evaluated, seeds)
        if evaluated
        else None
    )
    frames = {key: rows for key, rows in measured.frames.items() if key[0] in evaluated}
    beside = [with_own(frames, evaluated, seeds, names) for names in BESIDE_OWN]
    of_corpus = {run.run for run in measured.runs if run.retriever == "corpus"}
    read = {key: rows for key, rows in frames.items() if key[1] == OWN or key[0] in of_corpus}
    controlled = with_own(read, evaluated, seeds, CONTROLS)
    beside.append(controlled)
    rows = [
        row
        for group in (own, *beside)
        if group
        for row in _rows(measured, group, samples, seed, own=group is own)
    ]
    return CorpusComparison(
        corpus=measured.corpus,
        split=measured.split,
        documents=int(own.document_B.max()) + 1 if own else None,
        tokens=own.chunks.select(counting.total("tokens")).item() if own else None,
        tokens_sha256=token_digest(own.chunks) if own else None,
        rows=_lowest_marked(rows),
        ceilings=ceiling_figures(frames, evaluated, seeds, samples, seed),
        copied=_copied(measured, controlled, samples, seed) if controlled else [],
        runs=[_run(run, run.run in evaluated, measured.stale) for run in measured.runs],
        costs=_costs(measured.runs),
        retrieval=_retrieval(measured, own) if own else [],
        orders=_orders([row for row in rows if row.setting == OWN]),
    )


def _run(run: Trained, evaluated: bool, stale: Mapping[str, str]) -> ComparedRun:
    return ComparedRun(run, evaluated, stale.get(run.run) if evaluated else None)


def _rows(
    measured: Measured, evaluations: Evaluations, samples: int, seed: int, *, own: bool
) -> list[SystemRow]:
    """A row a system and setting of these evaluations; `own` says whether they are those of the own
    setting.
    """
    nothing = evaluations.chunks.select("doc_id", "chunk").clear()
    sums = resampled(evaluations, token_sums(evaluations, nothing), samples, seed)
    keys: dict[tuple[str, str], list[Key]] = {}
    for run in measured.runs:
        for setting in evaluations.settings(run.run):
            of_own = setting not in (OWN, *CONTROLS) and run.retriever == "own"
            if own or setting == DPR or of_own or (setting in CONTROLS and run.retriever == "corpus"):
                keys.setdefault((run.system, setting), []).append((run.run, setting))
    reading = {run.system for run in measured.runs if run.retriever != "none"}
    return [
        _row(evaluations, sums, system, setting, found, system in reading)
        for (system, setting), found in keys.items()
    ]


def _row(
    evaluations: Evaluations, sums: Sums, system: str, setting: str, keys: list[Key], reads: bool
) -> SystemRow:
    mean = sums.combined(lambda at: np.mean([_perplexity(at, key) for key in keys], axis=0))
    by_seed = [sums.combined(partial(_perplexity, key=key)).value for key in keys]
    measured = [value for value in by_seed if value is not None]
    meaningful = sums.documents >= FEWEST_DOCUMENTS
    return SystemRow(
        system=system,
        setting=setting,
        runs=[run for run, _ in keys],
        perplexity=mean.value,
        low=mean.low if meaningful else None,
        high=mean.high if meaningful else None,
        by_seed=by_seed,
        deviation=float(np.std(measured, ddof=1)) if len(measured) == len(keys) > 1 else None,
        documents=sums.documents,
        gain=_gain(evaluations, sums, keys, BASELINE, system),
        retrieval_gain=_gain(evaluations, sums, keys, control_of(system), system) if reads else None,
    )


def _perplexity(at: Named, key: Key) -> np.ndarray:
    return np.exp(nats(at, key))


def _mean_nats(at: Named, keys: list[Key]) -> np.ndarray:
    return np.mean([nats(at, key) for key in keys], axis=0)


def _gain(
    evaluations: Evaluations, sums: Sums, keys: list[Key], against: str, system: str
) -> Estimate | None:
    """Nats a token of a system `against` minus those of `keys`, paired, both the mean over their runs; None
    if it is not here.
    """
    others = [(run, OWN) for run, name in evaluations.systems.items() if name == against]
    if not others or system == against:
        return None
    gain = sums.combined(lambda at: _mean_nats(at, others) - _mean_nats(at, keys))
    return gain if sums.documents >= FEWEST_DOCUMENTS else gain.bare()


def _copied(measured: Measured, evaluations: Evaluations, samples: int, seed: int) -> list[Copied]:
    """Of each system that reads a whole corpus, beside its model with other passages, Transformer-XL, and the
    control that learned from random passages.
    """
    if measured.overlap is None:
        return []
    systems = over_runs(evaluations)
    found = []
    for system in dict.fromkeys(run.system for run in measured.runs if run.retriever == "corpus"):
        wanted = [(system, OWN), *((system, one) for one in CONTROLS)]
        wanted += [(other, OWN) for other in (BASELINE, control_of(system))]
        columns = [key for key in wanted if key in systems.frames]
        if columns[:1] == wanted[:1]:
            known = (measured.overlap, measured.chunk_tokens, columns[0], columns[1:], samples, seed)
            documents = int(systems.document_B.max()) + 1
            rows = leakage(systems, *known)
            found.append(Copied(system, documents, measured.chunk_tokens, columns, rows))
    return found


def _lowest_marked(rows: list[SystemRow]) -> list[SystemRow]:
    """`lowest`: the lowest perplexity over all documents; an oracle sees the target and does not count."""
    most = max((row.documents for row in rows), default=0)
    counted = [row for row in rows if row.setting != ORACLE and row.documents == most]
    lowest = min((row.perplexity for row in counted if row.perplexity is not None), default=None)
    return [replace(row, lowest=row in counted and row.perplexity == lowest is not None) for row in rows]


def _costs(runs: Sequence[Trained]) -> dict[str, SystemCost]:
    """What each system costs, by its name: parameters, and time and operations of an update over those of
    Transformer-XL, each the median over its runs; None where one of the two is not known."""
    by_system: dict[str, list[Trained]] = {}
    for run in runs:
        by_system.setdefault(run.system, []).append(run)
    seconds = {system: _median(run.step_seconds for run in of) for system, of in by_system.items()}
    flops = {system: _median(run.step_flops for run in of) for system, of in by_system.items()}
    return {
        system: SystemCost(
            parameters=_median(run.parameters for run in of),
            step_seconds=seconds[system],
            step_flops=flops[system],
            time=_over(seconds[system], seconds.get(BASELINE)),
            operations=_over(flops[system], flops.get(BASELINE)),
        )
        for system, of in by_system.items()
    }


def _median(values: Iterable[float | None]) -> float | None:
    present = [value for value in values if value is not None]
    return float(np.median(present)) if present else None


def _over(mine: float | None, basis: float | None) -> float | None:
    return mine / basis if mine is not None and basis else None


def _orders(rows: list[SystemRow]) -> Orders:
    """By `ordered`."""
    seeds = {row.system: [value for value in row.by_seed if value is not None] for row in rows}
    reached = [(row.perplexity, row.system) for row in rows if row.perplexity is not None]
    names = [system for _, system in sorted(reached, key=lambda found: found[0])]
    better = {
        name: [other for other in names[place + 1 :] if ordered(seeds[name], seeds[other])]
        for place, name in enumerate(names)
    }
    return Orders(better, [name for name in names if len(seeds[name]) < FEWEST_SEEDS])


def _retrieval(measured: Measured, own: Evaluations) -> list[RetrieverRow]:
    """Precision@2, Recall@10 and nDCG@20 of every retriever against the labels, the mean over the runs of a
    system; chance first.
    """
    if measured.labels is None or measured.candidates is None:
        return []
    reached = own.chunks.select("doc_id", pl.col("chunk").alias("query_chunk"))
    labels = measured.labels.join(reached, on=["doc_id", "query_chunk"], how="semi")
    gold = gold_of(labels, measured.chunk_tokens, measured.stride_chunks)
    if not len(gold.queries):
        return []
    rankings: dict[str, list[pl.DataFrame | None]] = {
        "chance": [None],
        "recency": [recency_ranking(gold)],
        "BM25": [bm25_ranking(measured.candidates)],
    }
    learned = [run for run in measured.runs if run.retriever == "own" and run.run in own.systems]
    for run in learned:
        ranking = own.chunks.select(*QUERY).with_columns(own.frames[run.run, OWN]["ranking"])
        rankings.setdefault(name_of(run.system), []).append(ranking)
    return [_over_seeds(gold, name, found) for name, found in rankings.items()]


def _over_seeds(gold: Gold, retriever: str, rankings: Sequence[pl.DataFrame | None]) -> RetrieverRow:
    per_seed = [means(gold, query_figures(gold, ranking)) for ranking in rankings]
    values = {name: [value for one in per_seed if (value := one.figures[name]) is not None] for name in CUTS}
    return RetrieverRow(
        retriever=retriever,
        runs=len(per_seed),
        queries=per_seed[0].counted,
        figures={name: float(np.mean(of)) if of else None for name, of in values.items()},
        deviation={name: float(np.std(of, ddof=1)) if len(of) > 1 else None for name, of in values.items()},
    )
