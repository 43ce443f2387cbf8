"""What one step of a training run reads: the exact text of its sequences, and what its retriever learns from,
chunk by chunk.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from data_contracts.failure import Exit, Failure
from flows.workspace import ROOT
from model.language_model import Batch
from stages.parameters import Configuration, Run
from stages.tokens.token_texts import CUT
from stages.tokens.tokenizer import load_tokenizer, vocabulary_size
from stages.training.data import data_of
from stages.training.order import ORDERS, Segments
from stages.training.systems import config_of, steps_of, system_of


def look(configuration: Configuration, name: str, step: int | None, sequence: int | None) -> dict[str, Any]:
    """The sequences of step `step` of run `name`, or the one with number `sequence`; ready for JSON.

    Returns:
        run, system, step and sequences: each with its number, doc_id, first_chunk (of the document), tokens,
        chunks and last_target, the text of the last token, which is target only. A chunk has its number in
        the sequence, its text, labelled, its candidates by BM25 rank (chunk, score as stored, t a token for
        systems that learn to rank) and gold, the neighbours it is taught with; or the texts of its passages,
        for systems that read a corpus. All texts of a sequence together are its text.

    Raises:
        Failure: (exit code 2) for a run, step or sequence that does not exist, or if nothing was made yet;
            (3) if its data is damaged.
    """
    run, training = _run_of(configuration, name), configuration.training
    home, system = ROOT / "artifacts" / run.corpus, system_of(name, run)
    missing = [part for part in ("tokenizer", "sequences") if not (home / part).exists()]
    if missing:
        cause = f"artifacts/{run.corpus}/{missing[0]} is not there"
        raise Failure(f"a step of {name}", cause, f"`./rpt run training@{name}` makes it", Exit.USAGE)
    tokenizer, geometry = load_tokenizer(home / "tokenizer"), configuration.geometry
    config = config_of(geometry, training, configuration.recipes[run.system], vocabulary_size(tokenizer))
    _check(
        "step", step, steps_of(system, config, training, geometry), "training.steps says how many there are"
    )
    supervision = system.supervision not in ("none", "corpus")
    data = data_of(home, system, run, configuration.recipes[run.system], configuration.geometry, training)
    _check("sequence", sequence, len(data.keys), "the train split has so many")
    alone = Segments(np.array([sequence]), np.ones(1, bool))
    segments = alone if step is None else ORDERS[system.carry](data.keys, step, training.batch, run.seed)
    batch = data.batch(segments)
    relevance, size = (
        (np.asarray(system.relevance(batch, geometry.chunk_tokens)) if system.relevance else None),
        geometry.chunk_tokens,
    )
    neighbours = configuration.recipes[run.system].neighbours
    sequences = []
    for place, row in enumerate(segments.rows_B.tolist()):
        doc_id, first = data.keys[row]
        texts = _texts(tokenizer, batch, place, size)
        learned = [
            _supervision(batch, relevance, place, chunk, neighbours) if supervision else {}
            for chunk in range(len(texts) - 1)
        ]
        if batch.passages_BCNR is not None:
            learned = [
                {"passages": _passages(tokenizer, batch, place, chunk)} for chunk in range(len(texts) - 1)
            ]
        chunks = [
            {"chunk": number, "text": text, **extra}
            for number, (text, extra) in enumerate(zip(texts, learned, strict=False))
        ]
        count = int(batch.loss_mask_BL[place].sum())
        known = {"sequence": row, "doc_id": doc_id, "first_chunk": first, "tokens": count}
        sequences.append(known | {"chunks": chunks, "last_target": texts[-1]})
    return {"run": name, "system": run.system, "step": step, "sequences": sequences}


def _run_of(configuration: Configuration, name: str) -> Run:
    if name not in configuration.runs:
        raise Failure(
            f"run {name!r}",
            "params.yaml does not name it",
            f"one of {', '.join(configuration.runs)}",
            Exit.USAGE,
        )
    return configuration.runs[name].as_read()


def _check(what: str, value: int | None, limit: int, why: str) -> None:
    if value is not None and not 0 <= value < limit:
        raise Failure(
            f"{what} {value}", f"{what}s go from 0 to {limit - 1}", f"choose one of them; {why}", Exit.USAGE
        )


def _texts(tokenizer: Tokenizer, batch: Batch, place: int, size: int) -> list[str]:
    """The text of each chunk and that of the last target; a character cut by a border belongs to the chunk
    that completes it.
    """
    count = int(batch.loss_mask_BL[place].sum())
    ids = [*map(int, batch.tokens_BL[place, :count]), int(batch.targets_BL[place, count - 1])]
    whole = tokenizer.decode(ids, skip_special_tokens=False)
    borders = [*range(size, count, size), count]
    ends = [len(tokenizer.decode(ids[:border], skip_special_tokens=False).rstrip(CUT)) for border in borders]
    return [whole[begin:end] for begin, end in itertools.pairwise([0, *ends, len(whole)])]


def _passages(tokenizer: Tokenizer, batch: Batch, place: int, chunk: int) -> list[str]:
    """The texts that a chunk reads of the corpus."""
    assert batch.passages_BCNR is not None
    return [
        tokenizer.decode(ids.tolist(), skip_special_tokens=False)
        for ids in np.asarray(batch.passages_BCNR[place, chunk])
        if ids[0] >= 0
    ]


def _supervision(
    batch: Batch, relevance: np.ndarray | None, place: int, chunk: int, neighbours: int
) -> dict[str, Any]:
    """`labelled`, `candidates` and `gold` of one chunk."""
    candidates, scores = batch.candidates_BCS[place, chunk], batch.scores_BCS[place, chunk]
    labelled = bool(batch.labelled_BC[place, chunk])
    rows = []
    for slot in np.flatnonzero(candidates >= 0).tolist():
        t = {} if relevance is None else {"t": float(relevance[place, chunk, slot])}
        rows.append({"chunk": int(candidates[slot]), "score": float(scores[slot]), **t})
    if relevance is None:  # RETRO reads the first candidates themselves
        gold = [row["chunk"] for row in rows]
    else:
        positive = [row for row in rows if row["t"] > 0] if labelled else []
        gold = [row["chunk"] for row in sorted(positive, key=lambda row: (-row["t"], row["chunk"]))]
    return {"labelled": labelled, "candidates": rows, "gold": gold[:neighbours]}
