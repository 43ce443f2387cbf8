"""Labels as a folder that `datasets.load_dataset` reads, splits as splits, fit for the Hugging Face Hub."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from data_contracts.candidates import LABELS
from data_contracts.contract import MAX_GROUP_ROWS
from data_contracts.failure import Exit, Failure
from flows.labels import versions
from reports.labels.card import card
from reports.labels.card_header import CHUNK_SCHEMA, TITLE
from reports.labels.label_set import LabelSet
from reports.labels.report import LabelReport
from reports.metrics.figures_file import as_json, read_figures

PAIRS_A_FILE, PAIRS_A_BATCH = 5_000_000, 200_000
OURS = {"README.md", "statistics.json", "labels", "chunks"}
AGAIN = "./rpt labels report"


def report_of(labels: LabelSet) -> LabelReport:
    """The supervision report of these labels, which their card is made of.

    Raises:
        Failure: (exit code 2) if there is none, it is of other labels, or these are those of a git revision;
            (3) if it is of another version.
    """
    if labels.directory.is_relative_to(versions.FETCHED):
        cause = "these labels were fetched from a git revision, without the report that their card is made of"
        remedy = f"only a corpus of this workspace can be published: check the revision out, then {AGAIN}"
        raise Failure("publish REV:CORPUS", cause, remedy, Exit.USAGE)
    path = labels.directory.with_name("label_report") / "statistics.json"
    if not path.exists():
        raise Failure(f"there is no report of {labels.directory}", f"{path} is missing", AGAIN, Exit.USAGE)
    report = read_figures(LabelReport, path, AGAIN)
    if report.labels != labels.digest:
        cause = f"it is of {report.labels[:16]}, the labels are now {labels.digest[:16]}"
        raise Failure(f"{path} is of other labels", cause, AGAIN, Exit.USAGE)
    return report


def check_licences(report: LabelReport) -> None:
    """Refuses to hand on texts of documents that state no licence.

    Raises:
        Failure: (exit code 2) if there are such.
    """
    if "" in (report.licenses or [""]):
        cause = f"documents of {report.corpus} state no licence, and their texts would be public"
        remedy = f"leave --texts out, or state it: ./rpt run -o corpora.{report.corpus}.license=NAME"
        raise Failure("publish --texts --to", cause, remedy, Exit.USAGE)


def write_folder(labels: LabelSet, folder: Path, texts: bool) -> LabelReport:
    """Write card, figures and a file or more for each split to `folder`, whole or not at all; with `texts`
    the texts of all chunks of labelled documents too. A folder that was written so before is replaced, and
    one that a link names stays where it is.

    Raises:
        Failure: as `report_of`; (exit code 2) if the folder holds something else; (5) if it cannot be
            written.
    """
    report = report_of(labels)
    try:
        folder = folder.resolve()
        if folder.exists() and (foreign := _foreign(folder)):
            raise Failure(f"{folder} would be replaced", foreign, "name a new folder", Exit.USAGE)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as scratch:
            made = Path(scratch) / "folder"
            _write(labels, report, made, texts)
            _put(made, folder)
    except OSError as error:
        cause = f"{error.strerror}: {error.filename}"
        raise Failure(
            f"{folder} cannot be written", cause, "choose another place", Exit.ENVIRONMENT
        ) from error
    return report


def _foreign(folder: Path) -> str:
    """What shows that `folder`, which exists, was not written here; nothing if it was, or is empty."""
    if not folder.is_dir():
        return "it is a file"
    held = {path.name for path in folder.iterdir()}
    if others := sorted(held - OURS):
        return f"it holds {others[0]!r}, which this command does not write"
    readme, figures = folder / "README.md", folder / "statistics.json"
    if held and not (figures.is_file() and readme.is_file() and _is_ours(readme)):
        return "it has no statistics.json beside a README.md that this command wrote"
    return ""


def _is_ours(readme: Path) -> bool:
    with readme.open(encoding="utf-8", errors="replace") as lines:
        return [next(lines, ""), TITLE in next(lines, "")] == ["---\n", True]


def _put(made: Path, folder: Path) -> None:
    """Put `made` in the place of `folder`. An older folder is whole until the end, at worst under the name
    that it has meanwhile.
    """
    if not folder.exists():
        os.replace(made, folder)
        return
    aside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}-old-"))
    os.replace(folder, aside)
    try:
        os.replace(made, folder)
    except BaseException:
        os.replace(aside, folder)
        raise
    shutil.rmtree(aside)


def _write(labels: LabelSet, report: LabelReport, folder: Path, texts: bool) -> None:
    for split in report.splits:
        documents = labels.documents.filter(pl.col("split") == split)
        file = pl.col("pairs").cum_sum() // PAIRS_A_FILE
        files = documents.with_columns(file=file).partition_by("file", maintain_order=True)
        for number, part in enumerate(files):
            name = f"{split}-{number:05d}-of-{len(files):05d}.parquet"
            _table(folder / "labels" / name, LABELS.schema, _labels(labels, part))
            if texts:
                _table(folder / "chunks" / name, CHUNK_SCHEMA, _chunks(labels, part))
    (folder / "README.md").write_text(card(report, texts), encoding="utf-8")
    (folder / "statistics.json").write_text(as_json(report))


def _labels(labels: LabelSet, documents: pl.DataFrame) -> Iterator[pl.DataFrame]:
    batch = pl.col("pairs").cum_sum() // PAIRS_A_BATCH
    for part in documents.with_columns(batch=batch).partition_by("batch", maintain_order=True):
        yield labels.labels_of(part["doc_id"], LABELS.schema.names)


def _chunks(labels: LabelSet, documents: pl.DataFrame) -> Iterator[pl.DataFrame]:
    for doc_id in documents["doc_id"]:
        yield labels.chunks_of([doc_id], CHUNK_SCHEMA.names)


def _table(path: Path, schema: pa.Schema, parts: Iterable[pl.DataFrame]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    checked = {"write_page_index": True, "write_page_checksum": True}
    with pq.ParquetWriter(path, schema, compression="zstd", **checked) as writer:
        for part in parts:
            writer.write_table(part.to_arrow().cast(schema), row_group_size=MAX_GROUP_ROWS)
