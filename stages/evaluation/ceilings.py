"""Ceilings: what the past of a document is worth to Transformer-XL, without a retriever and without training.

Its distribution is mixed with n-grams and with the most similar states of the document's past (kNN-LM), both
of the whole past and of the past beyond the window alone, which is all that a retriever could add; and with
n-grams of the training text, a control that sees nothing of the document. Everything sums to 1 over the
vocabulary. Weights and temperatures are chosen on documents that are not evaluated. The most similar states
are searched for in the first documents alone, for that is what costs.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.ceilings import CEILING, CEILINGS, MIXTURES
from data_contracts.contract import Artifact, commit, open_artifact, write_shard
from data_contracts.evaluations import BASELINE, EVALUATIONS, OWN
from data_contracts.tokens import CHUNKS, list_rows
from data_contracts.whole_files import write_atomically
from model.baselines.transformer_xl import TransformerXL
from stages.evaluation.ceiling_mixtures import Document, Mixer, Mixtures, Second, of_training_text
from stages.evaluation.token_states import StateReader
from stages.evaluation.writing import held_out
from stages.parameters import Evaluation, Geometry
from stages.runner.resumption import finished_shards, note_devices
from stages.runner.stage import Context, Job
from stages.training.systems import load_trained

FITTED_TOKENS = 8_192
STATES_TOKENS = 20_000  # before the last document whose states are searched
TRAINING_TOKENS = 1_000_000
KEPT = "mixtures.json"
FITTED_ON = {"test": "validation", "validation": "train"}
"""Evaluated split -> the split on which weights are chosen."""
COLUMNS = ["doc_id", "setting", "chunk", "tokens", "bytes", "eligible", "token_losses"]


def measure_ceilings(context: Context, geometry: Geometry, evaluation: Evaluation) -> None:
    """Write one row for every held-out chunk and mixture; none for another system than Transformer-XL, and
    none where no other document is left to choose weights on."""
    assert context.run
    chunks = open_artifact(CHUNKS, context.input("chunks"))
    for_fit = fitting_texts(chunks, evaluation) if context.run.system == BASELINE else []
    if for_fit:
        mix_all(context, chunks, geometry, evaluation, for_fit)
    else:
        for shard in chunks.shards:
            write_shard(CEILINGS, _table([], evaluation.split, {}), context.out(CEILING) / shard)
    commit(CEILINGS, context.out(CEILING))


def mix_all(
    context: Context, chunks: Artifact, geometry: Geometry, evaluation: Evaluation, for_fit: list[np.ndarray]
) -> None:
    """Choose weights on some texts, and write the mixtures of all evaluated documents with them, shard by
    shard; the weights and shards that are there stay.
    """
    assert context.run_name
    target = context.out(CEILING)
    note_devices(target, context.say.note)
    finished = finished_shards(target)
    shards = {shard: held_out(chunks.read(shard), evaluation) for shard in chunks.shards}
    texts = [tokens for documents in shards.values() for tokens in documents.values()]
    context.say.progress(0, len(texts), "documents", "choosing weights")
    reader, mixer = reader_and_mixer(context, geometry, evaluation.index)
    trained = iter(of_training_text(training_text(chunks), [*for_fit, *texts], mixer.vocabulary))
    of_fit = list(itertools.islice(trained, len(for_fit)))
    mixtures = kept_mixtures(context.scratch) or mixer.fit(
        [read_document(reader, tokens, second) for tokens, second in zip(for_fit, of_fit, strict=True)]
    )
    keep(mixtures, context.scratch)
    begins = np.cumsum([0, *map(len, texts)])
    evaluated, done = open_artifact(EVALUATIONS, context.input("evaluations") / context.run_name), 0
    for shard, documents in shards.items():
        if shard in finished:
            done += len(list(itertools.islice(trained, len(documents))))
            context.say.progress(done, len(texts), "documents", "resumed")
            continue
        own, parts = (
            pl.DataFrame(pl.from_arrow(evaluated.read(shard, COLUMNS))).filter(pl.col("setting") == OWN),
            list[pl.DataFrame](),
        )
        for doc_id, tokens in documents.items():
            rows = own.filter(pl.col("doc_id") == doc_id)
            states_ND = reader.read(tokens)[1] if begins[done] < STATES_TOKENS else None
            losses = mixer.losses(
                Document(tokens, rows["token_losses"].explode().to_numpy(), next(trained), states_ND),
                mixtures,
            )
            parts += [mixed_rows(rows, name, losses[name]) for name in sorted(losses)]
            done += 1
            context.say.progress(done, len(texts), "documents")
        write_shard(CEILINGS, _table(parts, evaluation.split, chosen(mixtures)), target / shard)
    context.say.note(f"**{context.run_name}**: {said(mixtures)}")


def keep(mixtures: Mixtures, scratch: Path) -> None:
    """Keep what was chosen, to the last bit, for the case that the stage is stopped."""
    weights = {name: weights.tolist() for name, weights in mixtures.weights.items()}
    write_atomically(scratch / KEPT, json.dumps([weights, mixtures.temperatures]).encode())


def kept_mixtures(scratch: Path) -> Mixtures | None:
    """What `keep` kept; None if it was not yet called."""
    if not (scratch / KEPT).exists():
        return None
    weights, temperatures = json.loads((scratch / KEPT).read_bytes())
    return Mixtures({name: np.array(values) for name, values in weights.items()}, temperatures)


def reader_and_mixer(context: Context, geometry: Geometry, index: str) -> tuple[StateReader, Mixer]:
    """What reads documents with the trained model of the run, and what mixes it."""
    assert context.run_name
    directory = context.input("models") / context.run_name
    model = load_trained(directory, json.loads((directory / "config.json").read_text()))
    assert isinstance(model, TransformerXL)
    return StateReader(model, geometry.sequence_tokens), Mixer(geometry, model.config.vocabulary_size, index)


def read_document(reader: StateReader, tokens_T: np.ndarray, trained: Second) -> Document:
    """A document with its losses and states."""
    losses_N, states_ND = reader.read(tokens_T)
    return Document(tokens_T, losses_N, trained, states_ND)


def fitting_texts(chunks: Artifact, evaluation: Evaluation) -> list[np.ndarray]:
    """The first FITTED_TOKENS tokens of the documents on which weights are chosen."""
    other = evaluation.model_copy(update={"split": FITTED_ON[evaluation.split]})
    texts, left = [], FITTED_TOKENS
    for shard in chunks.shards:
        for tokens in held_out(chunks.read(shard), other).values() if left > 1 else ():
            if min(left, len(tokens)) > 1:
                texts.append(tokens[:left])
                left -= len(texts[-1])
    return texts


def training_text(chunks: Artifact) -> np.ndarray:
    """The first TRAINING_TOKENS tokens of the train split."""
    parts, left = [np.empty(0, np.int64)], TRAINING_TOKENS
    for shard in chunks.shards:
        if left > 0:
            rows = chunks.read(shard, ["split", "token_ids"])
            found = list_rows(rows.filter(pc.equal(rows.column("split"), "train")).column("token_ids"))
            parts.append(np.concatenate([parts[0], *found])[:left])
            left -= len(parts[-1])
    return np.concatenate(parts)


def mixed_rows(own: pl.DataFrame, name: str, losses_N: np.ndarray) -> pl.DataFrame:
    """The rows of a document in a mixture, from those of the model alone."""
    parts = np.split(losses_N.astype(np.float32), np.cumsum(own["tokens"].to_numpy())[:-1])
    sums = pl.Series([part.sum(dtype=np.float64) for part in parts], dtype=pl.Float32)
    return own.with_columns(
        setting=pl.lit(name), token_losses=pl.Series(parts, dtype=pl.List(pl.Float32)), loss=sums
    )


def said(mixtures: Mixtures) -> str:
    """The weights and temperatures in words."""

    def one(name: str) -> str:
        of_groups = ", ".join(f"{weight:.2f}" for weight in mixtures.weights[name] if weight > 0)
        temperature = (
            f" at temperature {mixtures.temperatures[name]:g}" if name in mixtures.temperatures else ""
        )
        return f"{name} {of_groups}{temperature}"

    return "weights, those of n-grams by the length of the context: " + "; ".join(
        one(name) for name in MIXTURES
    )


def chosen(mixtures: Mixtures) -> dict[str, dict[str, object]]:
    """The weights and temperatures as plain data."""
    return {
        name: {
            "weights": [round(float(weight), 4) for weight in weights],
            "temperature": mixtures.temperatures.get(name),
        }
        for name, weights in mixtures.weights.items()
    }


def _table(parts: list[pl.DataFrame], split: str, mixtures: dict) -> pa.Table:
    if not parts:
        return CEILINGS.table({name: [] for name in CEILINGS.schema.names}, mixtures=mixtures)
    rows = pl.concat(parts).with_columns(split=pl.lit(split))
    return CEILINGS.table({name: rows[name].to_arrow() for name in CEILINGS.schema.names}, mixtures=mixtures)


STAGE = Job(
    CEILING,
    measure_ceilings,
    ("geometry", "evaluation"),
    {CEILING: "artifacts/{corpus}/ceilings/{run}"},
    reads=tuple(f"artifacts/{{corpus}}/{place}" for place in ("chunks", "models/{run}", "evaluations/{run}")),
)
