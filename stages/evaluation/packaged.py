"""Trained models and a few held-out documents as one folder that needs nothing else: weights in float16, and
the artifacts of these documents, laid out as `artifacts/CORPUS/` is.
"""

from __future__ import annotations

import io
import itertools
import shutil
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.candidates import CANDIDATES, LABELS
from data_contracts.contract import Contract, commit, open_artifact, write_shard
from data_contracts.documents import DOCUMENTS
from data_contracts.evaluations import OWN
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS
from model.registry import SYSTEMS
from stages.evaluation.documents import DocumentReader
from stages.evaluation.evaluation import own_given
from stages.evaluation.half_precision import halve, load_in_float32
from stages.evaluation.settings import settings_of
from stages.evaluation.writing import write_evaluations
from stages.parameters import Configuration, Run
from stages.runner.messages import Messages
from stages.runner.stage import Context

SHARD = "part-00000.parquet"
KEPT = {"documents": DOCUMENTS, "chunks": CHUNKS, "candidates": CANDIDATES, "labels": LABELS}
TOKENIZER = Path("tokenizer") / "tokenizer.json"


def keep_documents(contract: Contract, source: Path, doc_ids: Collection[str], target: Path) -> None:
    """Write the rows of some documents of the artifact `source` as an artifact of one shard.

    Raises:
        Failure: (exit code 3) if the artifact is not what its manifest says.
    """
    artifact = open_artifact(contract, source)
    wanted = pa.array(sorted(doc_ids))
    parts = [artifact.read(shard) for shard in artifact.shards]
    rows = pa.concat_tables([part.filter(pc.is_in(part.column("doc_id"), wanted)) for part in parts])
    target.mkdir(parents=True, exist_ok=True)
    write_shard(contract, rows.sort_by([(name, "ascending") for name in contract.sort_key]), target / SHARD)
    commit(contract, target)


def package(source: Path, runs: dict[str, str], doc_ids: Collection[str], target: Path) -> None:
    """Write tokenizer, models and documents to `target`; `runs` says under which name a run of the corpus in
    `source` is kept.

    Raises:
        Failure: (exit code 2) if a document is not of the corpus or not held out; what `halve` and
            `keep_documents` raise.
    """
    _check_held_out(source / "documents", doc_ids)
    (target / TOKENIZER).parent.mkdir(parents=True)
    shutil.copyfile(source / TOKENIZER, target / TOKENIZER)
    for run, name in runs.items():
        there, here = source / "models" / run, target / "models" / name
        here.mkdir(parents=True)
        shutil.copyfile(there / "config.json", here / "config.json")
        halve(there / "model.safetensors", here / "model.safetensors")
    for place, contract in KEPT.items():
        keep_documents(contract, source / place, doc_ids, target / place)


def evaluate_model(inputs: Path, name: str, run: Run, configuration: Configuration, target: Path) -> None:
    """Write the evaluation of the model `name` of `inputs` to `target`/evaluations/`name`, by the protocol of
    the configuration; raises what `write_evaluations` raises.
    """
    source, silent = configuration.corpora[run.corpus], Messages(io.StringIO())
    context = Context(run.corpus, source, name, run, inputs, target, configuration.runtime, silent)
    evaluation, geometry = configuration.evaluation, configuration.geometry

    def reader(settings: tuple[str, ...]) -> DocumentReader:
        return DocumentReader(
            load_in_float32(inputs / "models" / name),
            settings,
            configuration.recipes[run.system].neighbours,
            geometry.sequence_chunks,
            evaluation.index,
            target,
        )

    in_every = reader(settings_of(SYSTEMS[run.system], evaluation.settings))
    count = evaluation.settings_documents
    readers = itertools.repeat(in_every) if count is None else itertools.repeat(in_every, count)
    rest = itertools.repeat(reader((OWN,))) if count is not None else iter(())
    given_to = own_given(context, geometry)
    write_evaluations(
        context, geometry, evaluation, itertools.chain(readers, rest), f"evaluations/{name}", given_to
    )


def _check_held_out(documents: Path, doc_ids: Collection[str]) -> None:
    rows = open_artifact(DOCUMENTS, documents).read_all(["doc_id", "split"])
    held_out = rows.filter(pc.equal(rows.column("split"), "test")).column("doc_id").to_pylist()
    if other := sorted({*doc_ids} - {*held_out}):
        remedy = f"name some of {', '.join(held_out[:20])}"
        raise Failure(f"document {other[0]!r}", "it is not one of the test split", remedy, Exit.USAGE)
