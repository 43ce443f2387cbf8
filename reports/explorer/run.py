"""The evaluated runs of a corpus, and what can be compared: a run in a setting."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.contract import open_artifact, read_rows
from data_contracts.evaluations import EVALUATIONS, ORACLE, OWN, SETTINGS
from reports.explorer.run_index import run_index
from reports.labels.index import Progress

SUMMED = ("rows", "tokens", "bytes", "loss")
HIGHEST = 700.0  # nats a token; what diverged further has no float to say so


class Reading(NamedTuple):
    """A run in a setting, written RUN or, unless the setting is `own`, RUN:SETTING."""

    run: str
    setting: str = OWN

    def __str__(self) -> str:
        return self.run if self.setting == OWN else f"{self.run}:{self.setting}"


@dataclass(frozen=True)
class ChunkResult:
    """What a run did in a setting for one chunk: nats of the counted `tokens` of the target and of each of
    them, how many chunks it could retrieve and which it read, with their gates, and its ranking with the
    scores of its retriever."""

    loss: float
    tokens: int
    token_losses: Sequence[float]
    eligible: int
    retrieved: Sequence[int]
    ranking: Sequence[int]
    scores: Sequence[float]
    gates: Sequence[float]


Results = Mapping[Reading, ChunkResult]
"""Of one chunk."""


@dataclass(frozen=True)
class Run:
    """One evaluated run.

    Attributes:
        system: the name of its system.
        index: what `run_index` gives, of its evaluation and of its oracle if that has rows: a system without
            a retriever has none there.
    """

    name: str
    system: str
    index: pl.DataFrame

    @cached_property
    def readings(self) -> list[Reading]:
        """Its settings, in the order of the contract."""
        known = set(self.index["setting"].unique())
        return [Reading(self.name, setting) for setting in SETTINGS if setting in known]

    @cached_property
    def documents(self) -> int:
        """How many documents it was evaluated on."""
        return len(self.of(OWN))

    @cached_property
    def _totals(self) -> dict[str, dict[str, float]]:
        return {
            setting: {column: float(self.of(setting)[column].to_numpy().sum()) for column in SUMMED}
            for _, setting in self.readings
        }

    def of(self, setting: str) -> pl.DataFrame:
        """The index of one setting."""
        return self.index.filter(pl.col("setting") == setting)

    def total(self, setting: str, column: str) -> float:
        """The sum of a column of the index: rows, tokens, bytes or loss in one setting."""
        return self._totals[setting][column]

    def perplexity(self, setting: str) -> float:
        """Over all tokens that were counted in this setting."""
        return math.exp(min(self.total(setting, "loss") / self.total(setting, "tokens"), HIGHEST))

    def rows(self, doc_id: str, columns: list[str], chunk: int | None = None) -> pl.DataFrame:
        """Some columns of a document's rows in all settings, or of those of one chunk; a row group of the
        file is read at a time.

        Raises:
            Failure: (exit code 3) if they cannot be read or are not those that the index was made of.
        """
        places = self.index.filter(pl.col("doc_id") == doc_id)
        spans = places.group_by("directory", "shard", maintain_order=True)
        parts = [EVALUATIONS.schema.empty_table().select(columns)]
        for span in spans.agg(pl.col("begin").min(), pl.col("end").max(), pl.col("rows").sum()).iter_rows(
            named=True
        ):
            path, seen = Path(span["directory"]) / span["shard"], 0
            for block in read_rows(EVALUATIONS, path, span["begin"], span["end"]):
                rows = block.filter(pc.equal(block.column("doc_id"), doc_id))
                seen += rows.num_rows
                parts.append(
                    (rows if chunk is None else rows.filter(pc.equal(rows.column("chunk"), chunk))).select(
                        columns
                    )
                )
            if seen != span["rows"]:
                raise EVALUATIONS.violated(str(path), "it changed while it was looked at; start again")
        return pl.DataFrame(
            pl.from_arrow(pa.concat_tables([part.replace_schema_metadata() for part in parts]))
        )


def open_runs(corpus: Path, cache: Path, progress: Callable[[str], Progress]) -> list[Run]:
    """The runs below a corpus directory that are evaluated, by name; `progress` of a run is told how far its
    index is.

    Raises:
        Failure: (exit code 3) if one of them is not what its manifest says.
    """
    return [_opened(directory, cache, progress(directory.name)) for directory in _evaluated(corpus)]


def _evaluated(corpus: Path) -> Iterator[Path]:
    return (path.parent for path in sorted((corpus / "evaluations").glob("*/manifest.json")))


def _opened(directory: Path, cache: Path, progress: Progress) -> Run:
    artifact = open_artifact(EVALUATIONS, directory)
    parts = [run_index(artifact, cache, progress)]
    if OWN not in parts[0]["setting"]:
        raise EVALUATIONS.violated(str(directory), f"it has no row of setting {OWN!r}")
    oracle = directory.parent.with_name(ORACLE) / directory.name
    if (oracle / "manifest.json").exists() and (chosen := open_artifact(EVALUATIONS, oracle)).rows:
        parts.append(run_index(chosen, cache, progress))
    return Run(directory.name, parts[0]["system"][0], pl.concat(parts))
