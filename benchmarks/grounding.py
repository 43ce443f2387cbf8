"""Whether trained runs of RETRO with a whole corpus use what their database says: bits a byte of held-out
documents with their own database, with the text of other corpora in its place, with passages of their own by
chance, and with none. A model that gains as much from any text does not read it.

`python -m benchmarks.grounding RUN ... --database CORPUS ...` reads the artifacts of the workspace. The runs
are of one corpus. Passages come from text: the train split of the other corpus is tokenized with the
tokenizer of the runs and encoded with their encoder, so that it needs no index and may have any tokenizer,
encoder or chunks of its own. It is cut to as many passages as the own database has. Documents that are
evaluated are left out of it. Search is exact.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks import _databases as databases
from benchmarks._databases import Database, Given, HeldOut, RunReader, nothing, request_of
from benchmarks.result import refusing, show
from data_contracts import counting
from data_contracts.contract import open_artifact
from data_contracts.documents import DOCUMENTS
from data_contracts.evaluations import BY_CHANCE, OWN, WITHOUT
from data_contracts.failure import Exit, Failure
from data_contracts.passages import KEYS
from data_contracts.tokens import list_rows
from reports.metrics.evaluation_rows import Evaluations, Key, aligned
from reports.metrics.perplexity import loss_of, resampled
from reports.metrics.resampling import FEWEST_DOCUMENTS, Estimate, Named
from stages import parameters
from stages.evaluation.documents import losses_by_chunk
from stages.index.encoders import Encoder, load_encoder
from stages.index.neighbours import NO_DOCUMENT, drawn
from stages.index.passages import passages_of
from stages.index.store import PassageIndex, open_index
from stages.parameters import Configuration
from stages.tokens.token_bytes import DocumentBytes
from stages.tokens.tokenization import tokenize
from stages.tokens.tokenizer import load_tokenizer

GiveTo = Callable[[HeldOut], Given]
"""What a document reads of a database."""


def own_index(configuration: Configuration, home: Path, encoder: Encoder) -> PassageIndex:
    """The index of the runs' corpus.

    Raises:
        Failure: (exit code 3) if it is of another encoder, of other keys, or of chunks of another size.
    """
    index, size = open_index(home / "index"), configuration.geometry.chunk_tokens
    index.fits(encoder.identity)
    index.made_of(KEYS.name, open_artifact(KEYS, home / "keys").digest)
    if index.passages_NR.shape[1] != 2 * size:
        cause = f"its passages have {index.passages_NR.shape[1]} tokens, two chunks have {2 * size}"
        remedy = "./rpt run index makes it again"
        raise Failure(f"{index.directory} has chunks of another size", cause, remedy, Exit.CONTRACT)
    return index


def database_of_text(
    corpus: str, tokenizer: Path, encoder: Encoder, size: int, most: int, without: Iterable[str]
) -> Database:
    """At most so many passages of the train split of a corpus, its documents in their order, `without` some.

    Raises:
        Failure: (exit code 2) if there is no passage, or `tokenizer` has no tokens for the text; (3) if the
            corpus was not ingested.
    """
    documents, passages, left = open_artifact(DOCUMENTS, databases.ARTIFACTS / corpus / "documents"), [], most
    for shard in documents.shards:
        table = documents.read(shard)
        table = table.filter(pc.equal(table.column("split"), "train"))
        table = table.filter(pc.invert(pc.is_in(table.column("doc_id"), pa.array([*without], pa.string()))))
        for tokens in tokenize(table, tokenizer) if left else ():
            for ids in list_rows(tokens.column("token_ids")):
                passages.append(passages_of(ids, size)[:left])
                left -= len(passages[-1])
    if left == most:
        cause = f"its train split has no document of {size} tokens beside those that are evaluated"
        raise Failure(f"corpus {corpus} is no database", cause, "name another corpus", Exit.USAGE)
    passages_NR = np.concatenate(passages)
    return Database(encoder.encode(passages_NR[:, :size]), passages_NR)


def by_chance(index: PassageIndex, count: int, seed: int, document: HeldOut) -> Given:
    """Passages of an index that the evaluation draws for a document."""
    chunks = np.arange(len(document.keys_CD))
    ids_Ck = drawn(index, document.doc_id, chunks, NO_DOCUMENT, count, seed)
    return Given(np.asarray(index.passages_NR[ids_Ck]), np.zeros(ids_Ck.shape, np.float32))


def nearest(database: Database, count: int, document: HeldOut) -> Given:
    """The passages of a database that are nearest to a document's chunks."""
    return database.nearest(document.keys_CD, count)


def ways_to_read(
    index: PassageIndex, others: dict[str, Database], count: int, seed: int
) -> dict[str, GiveTo]:
    """Every way in which a run is evaluated, by the name of its figures."""
    own, length = Database(index.keys_ND, index.passages_NR), index.passages_NR.shape[1]
    near = {OWN: own, **others}
    ways: dict[str, GiveTo] = {name: partial(nearest, one, count) for name, one in near.items()}
    ways[BY_CHANCE] = partial(by_chance, index, count, seed)
    ways[WITHOUT] = lambda document: nothing(len(document.keys_CD), length)
    return ways


def frame_of(
    reader: RunReader, documents: list[HeldOut], give_to: GiveTo, sizes: DocumentBytes, chunk_tokens: int
) -> pl.DataFrame:
    """Losses by chunk of all documents, as `aligned` takes them."""
    tokens, frames = {document.doc_id: document.tokens_T for document in documents}, []
    for reading in reader.read(request_of(document, give_to(document)) for document in documents):
        rows = losses_by_chunk(reading.losses[OWN], sizes(tokens[reading.doc_id]), chunk_tokens)
        del rows["token_losses"]
        frames.append(pl.DataFrame({"doc_id": reading.doc_id, **rows, "eligible": 0}))
    return pl.concat(frames).sort("doc_id", "chunk")


def compared(evaluations: Evaluations, runs: list[str], samples: int) -> dict[str, dict[str, Estimate]]:
    """Bits a byte of each way to read, the mean over the runs, and by how much the own database is better,
    both over the same resamples of documents; without intervals where there are too few documents.
    """
    by_block = {"bytes": evaluations.by_block(evaluations.chunks["bytes"].to_numpy())}
    by_block |= {loss_of(key): evaluations.by_block(evaluations.loss(key)) for key in evaluations.frames}
    sums, ways = resampled(evaluations, by_block, samples, 0), evaluations.settings(runs[0])

    def bits(at: Named, way: str) -> np.ndarray:
        nats = np.mean([at(loss_of((run, way)))[..., 0] for run in runs], axis=0)
        return nats / np.log(2) / at("bytes")[..., 0]

    def gain(at: Named, way: str) -> np.ndarray:
        return bits(at, way) - bits(at, OWN)

    def measured(of: Callable[..., np.ndarray], way: str) -> Estimate:
        found = sums.combined(partial(of, way=way))
        return found if sums.documents >= FEWEST_DOCUMENTS else found.bare()

    return {
        "bits_a_byte": {way: measured(bits, way) for way in ways},
        "own_better_by": {way: measured(gain, way) for way in ways if way != OWN},
    }


def corpus_of(configuration: Configuration, names: list[str], others: list[str]) -> str:
    """The corpus of the runs.

    Raises:
        Failure: (exit code 2) if they are no runs of one corpus that read all of it, or another corpus is
            unknown.
    """
    databases.check_runs(configuration, names)
    corpora = sorted({configuration.runs[name].corpus for name in names})
    if len(corpora) > 1:
        cause = f"they are of the corpora {', '.join(corpora)}, and are compared over the same documents"
        raise Failure(f"runs {', '.join(names)}", cause, "name runs of one corpus", Exit.USAGE)
    for other in others:
        if other not in configuration.corpora:
            known = f"one of {', '.join(configuration.corpora)}"
            raise Failure(f"corpus {other!r}", "params.yaml does not name it", known, Exit.USAGE)
    return corpora[0]


def measure(
    configuration: Configuration, names: list[str], others: list[str], scratch: Path
) -> tuple[Evaluations, dict[str, int]]:
    """Losses of the runs in every way, and how many passages each database has."""
    corpus = corpus_of(configuration, names, others)
    home, size = databases.ARTIFACTS / corpus, configuration.geometry.chunk_tokens
    encoder = load_encoder(configuration.passage_encoder, home / "tokenizer", size)
    index, documents = own_index(configuration, home, encoder), databases.documents_of(configuration, home)
    asked = [document.doc_id for document in documents]
    swapped = {
        f"from_{other}": database_of_text(other, home / "tokenizer", encoder, size, len(index), asked)
        for other in others
    }
    sizes, frames = DocumentBytes(load_tokenizer(home / "tokenizer")), dict[Key, pl.DataFrame]()
    for name in names:
        reader = RunReader(configuration, name, scratch)
        ways = ways_to_read(index, swapped, reader.count, configuration.corpus_neighbours.seed)
        for way, give_to in ways.items():
            frames[name, way] = frame_of(reader, documents, give_to, sizes, size)
    runs = configuration.runs
    found = aligned(frames, {name: runs[name].system for name in names}, dict.fromkeys(names, 0))
    return found, {OWN: len(index), **{way: len(one.keys_ND) for way, one in swapped.items()}}


def main() -> None:
    """Measure the runs that are named, and print the mean over them."""
    load, configuration = os.getloadavg()[0], parameters.load(databases.PARAMETERS)
    parser = argparse.ArgumentParser(prog="./rpt bench grounding")
    parser.add_argument("runs", nargs="+", metavar="RUN", help="of a system that reads a whole corpus")
    parser.add_argument("--database", nargs="+", required=True, metavar="CORPUS", dest="others")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        evaluations, passages = measure(configuration, asked.runs, asked.others, Path(scratch))
    found = compared(evaluations, asked.runs, configuration.report.bootstrap_samples)
    by_run = {run: compared(evaluations, [run], configuration.report.bootstrap_samples) for run in asked.runs}
    counts = {
        "documents": int(evaluations.document_B.max()) + 1,
        "tokens": evaluations.chunks.select(counting.total("tokens")).item(),
    }
    show(
        "grounding",
        {
            f"{name}_{way}": one.value
            for name, ways in found.items()
            for way, one in ways.items()
            if one.value is not None
        },
        [],
        load,
        passages=passages,
        **counts,
        **_plain(found),
        runs={run: _plain(ways) for run, ways in by_run.items()},
    )


def _plain(found: dict[str, dict[str, Estimate]]) -> dict[str, dict[str, dict]]:
    return {name: {way: asdict(one) for way, one in ways.items()} for name, ways in found.items()}


if __name__ == "__main__":
    raise SystemExit(refusing(main))
