"""The opened evaluations of a corpus: its runs, its documents, and what two readings of them differ by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from functools import lru_cache
from pathlib import Path

import numpy as np
import polars as pl

from data_contracts.candidates import CANDIDATES, LABELS
from data_contracts.contract import Artifact, Contract, open_artifact, read_columns
from data_contracts.documents import DOCUMENTS
from data_contracts.evaluations import BASELINE, OWN, WITHOUT
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS
from reports.browser.library import in_source
from reports.explorer.address import Look
from reports.explorer.document import FACTS, Document, EvaluatedDocument
from reports.explorer.run import ChunkResult, Reading, Results, Run, open_runs
from reports.labels.index import Progress
from reports.site.address import Missing, key_of
from reports.site.read_cache import ReadCache

KEPT_CHUNKS = 32
DETAILS = [field.name for field in fields(ChunkResult)]
Pieces = Callable[[np.ndarray], list[str]]


class Library:
    """What was evaluated in one corpus.

    Args:
        corpus: the directory with its artifacts; its name is the corpus's.
        cache: where the indices are kept.
        pieces: the text of each token of a chunk, or None if there is no tokenizer.
        progress: told for each run how far its index is.

    Attributes:
        documents: number, doc_id, key (in addresses), source, split, chunks, shard of every document that
            some run was evaluated on.

    Raises:
        Failure: (exit code 2) if no run is evaluated; (3) if an artifact is missing or not what its manifest
            says.
    """

    def __init__(
        self,
        corpus: Path,
        cache: Path,
        pieces: Pieces | None,
        progress: Callable[[str], Progress] = lambda run: lambda done, total: None,
    ):
        self.name, self.pieces = corpus.name, pieces
        self.runs = {run.name: run for run in open_runs(corpus, cache, progress)}
        if not self.runs:
            remedy = "`./rpt run evaluation` makes it, `dvc pull` fetches it"
            raise Failure(
                f"corpus {self.name!r} has no evaluation",
                f"{corpus / 'evaluations'} holds no run",
                remedy,
                Exit.USAGE,
            )
        self._chunks = open_artifact(CHUNKS, corpus / "chunks")
        self._candidates, self._labels = (
            _if_there(CANDIDATES, corpus / "candidates"),
            _if_there(LABELS, corpus / "labels"),
        )
        self.documents = _documents(
            [run.index for run in self.runs.values()], open_artifact(DOCUMENTS, corpus / "documents")
        )
        self._rows = {key: number for number, key in enumerate(self.documents["key"])}
        self._kept = ReadCache[Document]()
        self.rows: Callable[[str, int], Results] = lru_cache(maxsize=KEPT_CHUNKS)(self._read_rows)
        self.figures: Callable[[Reading, Reading], pl.DataFrame] = lru_cache(maxsize=32)(self._figures)

    @property
    def readings(self) -> list[Reading]:
        """Every run in every setting."""
        return [reading for run in self.runs.values() for reading in run.readings]

    def baseline(self) -> Run | None:
        """The run of Transformer-XL, if there is one."""
        return next((run for run in self.runs.values() if run.system == BASELINE), None)

    def shown(self) -> Reading:
        """What is shown first: the run of lowest perplexity that is not the baseline."""
        others = [run for run in self.runs.values() if run.system != BASELINE] or list(self.runs.values())
        return Reading(min(others, key=lambda run: run.perplexity(OWN)).name)

    def compared_with(self, shown: Reading) -> Reading:
        """What a reading is compared with first: the baseline, or the same run without neighbours,
        or itself.
        """
        baseline = self.baseline()
        if baseline and baseline.name != shown.run:
            return Reading(baseline.name)
        without = Reading(shown.run, WITHOUT)
        return without if without in self.readings else Reading(shown.run)

    def _figures(self, show: Reading, against: Reading) -> pl.DataFrame:
        """A row a document, as in `documents`: loss of `show`, nats a token; gain, nats a token by which it
        loses less than `against`, and sparks, that along the document in nats a target; null where the two
        did not count as many tokens."""
        columns = ["doc_id", "loss", "tokens", "rows", "spark_loss", "spark_tokens"]
        frame = self.documents.select("doc_id")
        for reading, name in ((show, "ours"), (against, "theirs")):
            index = self.runs[reading.run].of(reading.setting).select(columns)
            renamed = index.rename({column: f"{name}_{column}" for column in columns[1:]})
            frame = frame.join(renamed, on="doc_id", how="left", maintain_order="left")
        rows = [_figures_of(row) for row in frame.iter_rows(named=True)]
        return pl.DataFrame(
            rows, schema={"loss": pl.Float64, "gain": pl.Float64, "sparks": pl.List(pl.Float64)}, orient="row"
        )

    def listed(self, look: Look, show: Reading, against: Reading) -> pl.Series:
        """Rows of the documents that `look` lists, in its order."""
        chosen = pl.concat([self.documents, self.figures(show, against)], how="horizontal")
        chosen = chosen.filter(in_source(look.find)) if look.find else chosen
        chosen = chosen.filter(pl.col("split") == look.split) if look.split else chosen
        if look.sort:
            name = look.sort.removeprefix("-")
            chosen = chosen.sort(
                name, descending=look.sort.startswith("-"), maintain_order=True, nulls_last=True
            )
        return chosen["number"]

    def beside(self, key: str, numbers: pl.Series) -> tuple[str | None, str | None]:
        """The keys of the documents before and after this one in a list, or in the corpus if it is not in
        that.
        """
        at, keys = numbers.index_of(self._rows[key]), self.documents["key"]
        if at is None:
            numbers, at = self.documents["number"], self._rows[key]
        return keys[numbers[at - 1]] if at else None, keys[numbers[at + 1]] if at + 1 < len(numbers) else None

    def document(self, key: str) -> Document:
        """A document, read if it is not one of the last few.

        Raises:
            Missing: if there is none.
            Failure: (exit code 3) if it cannot be read, or was cut into other chunks since it was evaluated.
        """
        if key not in self._rows:
            cause = f"{len(self.documents):,} documents of {self.name} are evaluated and none with this id"
            raise Missing(f"document {key[:80]!r}", cause, "look for it in the list of documents")
        facts = EvaluatedDocument(**self.documents.select(FACTS).row(self._rows[key], named=True))
        runs = list(self.runs.values())
        return self._kept.asked_for(
            key, lambda: Document(facts, runs, self._chunks, self._candidates, self._labels)
        ).result()

    def _read_rows(self, doc_id: str, chunk: int) -> Results:
        """What every run did in every setting for one chunk of a document; raises like `Run.rows`."""
        found = {
            Reading(run.name, row.pop("setting")): ChunkResult(**row)
            for run in self.runs.values()
            for row in run.rows(doc_id, ["setting", *DETAILS], chunk).iter_rows(named=True)
        }
        return {reading: found[reading] for reading in self.readings if reading in found}


def _figures_of(row: dict) -> tuple[float | None, float | None, list[float | None]]:
    loss = row["ours_loss"] / row["ours_tokens"] if row["ours_tokens"] else None
    if loss is None or row["theirs_tokens"] != row["ours_tokens"]:
        return loss, None, []
    stretches = zip(
        row["ours_spark_loss"],
        row["theirs_spark_loss"],
        row["ours_spark_tokens"],
        row["theirs_spark_tokens"],
        strict=True,
    )
    tokens_a_row = row["ours_tokens"] / row["ours_rows"]
    sparks = [
        (theirs - ours) / n * tokens_a_row if n and n == m else None for ours, theirs, n, m in stretches
    ]
    return loss, (row["theirs_loss"] - row["ours_loss"]) / row["ours_tokens"], sparks


def _if_there(contract: Contract, directory: Path) -> Artifact | None:
    return open_artifact(contract, directory) if (directory / "manifest.json").exists() else None


def _documents(indices: list[pl.DataFrame], documents: Artifact) -> pl.DataFrame:
    columns = ["doc_id", "split", "shard", "rows"]
    own = pl.concat([index.filter(pl.col("setting") == OWN).select(columns) for index in indices])
    found = (
        own.unique("doc_id", keep="first", maintain_order=True)
        .sort("shard", maintain_order=True)
        .rename({"rows": "chunks"})
    )
    read = [
        read_columns(DOCUMENTS, documents.directory / shard, ["doc_id", "source"])
        for shard in sorted(set(found["shard"]))
    ]
    sources = pl.concat([pl.DataFrame(pl.from_arrow(table)) for table in read])
    joined = found.join(sources, on="doc_id", how="left", maintain_order="left").with_columns(
        pl.col("source").fill_null("")
    )
    keys = pl.Series("key", [key_of(doc_id) for doc_id in joined["doc_id"]], dtype=pl.String)
    return joined.with_columns(keys).with_row_index("number")
