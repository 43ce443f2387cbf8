"""params.yaml as a whole, and what its sections must agree on."""

from __future__ import annotations

from pydantic import Field, model_validator

from data_contracts.systems import RECORDS
from stages.parameters.labels import Exhaustive, LabelGates, Mining, ReferenceLM, Retrieved, Scoring
from stages.parameters.realm import RealmAnswers, RealmStart, RealmTraining
from stages.parameters.results import Evaluation, Report
from stages.parameters.retrieval import CorpusNeighbours, DenseRetriever, Index, PassageEncoder, Swap
from stages.parameters.runtime import Runtime
from stages.parameters.section import Params
from stages.parameters.text import Corpus, Geometry, Ingestion, Tokenization
from stages.parameters.training import Packing, Recipe, Run, Start, Training


class Configuration(Params):
    """params.yaml as a whole."""

    corpora: dict[str, Corpus]
    runs: dict[str, Run]
    starts: dict[str, Start] = Field(description="trained runs, by name, that others begin with")
    geometry: Geometry
    ingestion: Ingestion
    tokenization: Tokenization
    mining: Mining
    reference_lm: ReferenceLM
    scoring: Scoring
    label_gates: LabelGates
    exhaustive: Exhaustive
    retrieved: Retrieved
    dense_corpora: tuple[str, ...] = Field(description="corpora for which a dense retriever is trained")
    swaps: dict[str, Swap] = Field(description="runs, by name, that are also read with its neighbours")
    dense_retriever: DenseRetriever
    indexed_corpora: tuple[str, ...] = Field(
        description="corpora whose train split is indexed, for systems that read all of it"
    )
    passage_encoder: PassageEncoder
    index: Index
    corpus_neighbours: CorpusNeighbours
    realm_corpora: tuple[str, ...] = Field(description="corpora for which REALM is trained")
    realm_start: RealmStart
    realm: RealmTraining
    realm_answers: RealmAnswers
    packing: Packing
    training: Training
    recipes: dict[str, Recipe]
    evaluation: Evaluation
    report: Report
    runtime: Runtime

    @model_validator(mode="after")
    def _names_agree(self) -> Configuration:
        for name, run in self.runs.items():
            for kind, value, known in (
                ("corpus", run.corpus, self.corpora),
                ("system", run.system, self.recipes),
            ):
                if value not in known:
                    raise ValueError(f"runs.{name}.{kind} is {value!r}, known are {sorted(known)}")
            if run.system == "griffin" and not self.recipes[run.system].recurrent_layers:
                raise ValueError(
                    "recipes.griffin.recurrent_layers is empty: name the layers with a recurrence there, no"
                    " longer in cca_layers"
                )
        limit = self.mining.max_candidates
        asked = {
            "scoring.candidates": self.scoring.candidates,
            "scoring.evaluation_candidates": self.scoring.evaluation_candidates,
            "packing.lexical_candidates": self.packing.lexical_candidates,
        }
        for name, count in asked.items():
            if count > limit:
                raise ValueError(
                    f"{name} is {count}, mining.max_candidates only {limit}: raise mining.max_candidates"
                )
        return self

    @model_validator(mode="after")
    def _corpora_are_indexed(self) -> Configuration:
        for corpus in self.indexed_corpora:
            if corpus not in self.corpora:
                raise ValueError(f"indexed_corpora names {corpus!r}, known are {sorted(self.corpora)}")
        for name, run in self.runs.items():
            if run.as_read().input == "corpus_neighbours" and run.corpus not in self.indexed_corpora:
                raise ValueError(
                    f"runs.{name} reads a whole corpus: add {run.corpus!r} to indexed_corpora"
                    f" {list(self.indexed_corpora)}"
                )
        return self

    @model_validator(mode="after")
    def _memories_can_be_searched(self) -> Configuration:
        for name, run in self.runs.items():
            pairs = run.system in RECORDS and RECORDS[run.system].weighs_pairs
            if pairs and self.evaluation.index != "exact":
                raise ValueError(
                    f"evaluation.index is {self.evaluation.index!r}, but runs.{name} weighs features of"
                    " pairs, which are no inner products: set evaluation.index to exact"
                )
        return self

    @model_validator(mode="after")
    def _starts_are_of_runs(self) -> Configuration:
        for name, start in self.starts.items():
            meant = self.runs.get(name)
            if meant is None or (meant.corpus, meant.system) != (start.corpus, start.system):
                raise ValueError(
                    f"starts.{name} says corpus {start.corpus}, system {start.system}; runs"
                    f" {_said(meant, self.runs)}"
                )
            if start.corpus not in self.indexed_corpora:
                raise ValueError(
                    f"starts.{name} is for runs that read a whole corpus: add {start.corpus!r} to"
                    f" indexed_corpora {list(self.indexed_corpora)}"
                )
        for name, run in self.runs.items():
            wanted = RECORDS[run.system].begins_with if run.system in RECORDS else ""
            if not wanted and run.start is None:
                continue
            if not wanted:
                raise ValueError(f"runs.{name}.input is {run.input!r}, but {run.system} begins with no run")
            if run.start is None:
                raise ValueError(
                    f"runs.{name}.input is {run.input!r}, but {run.system} begins with a trained {wanted}:"
                    f" write starts/RUN, with one of {sorted(self.starts) or 'the runs to add to `starts`'}"
                )
            if run.start not in self.starts:
                raise ValueError(
                    f"runs.{name} begins with {run.start!r}, starts has {sorted(self.starts)}: add it there"
                )
            start = self.starts[run.start]
            if (start.corpus, start.system) != (run.corpus, wanted):
                raise ValueError(
                    f"runs.{name} begins with {run.start!r}, which is {start.system} on {start.corpus}: it"
                    f" needs {wanted} on {run.corpus}, whose tokenizer it reads with"
                )
        return self

    @model_validator(mode="after")
    def _swaps_are_of_runs(self) -> Configuration:
        for corpus in self.dense_corpora:
            if corpus not in self.corpora:
                raise ValueError(f"dense_corpora names {corpus!r}, known are {sorted(self.corpora)}")
        for corpus in self.realm_corpora:
            if corpus not in self.corpora:
                raise ValueError(f"realm_corpora names {corpus!r}, known are {sorted(self.corpora)}")
        for name, swap in self.swaps.items():
            meant = self.runs.get(name)
            if meant is None or (meant.corpus, meant.system) != (swap.corpus, swap.system):
                raise ValueError(
                    f"swaps.{name} says corpus {swap.corpus}, system {swap.system}; runs"
                    f" {_said(meant, self.runs)}"
                )
            if swap.corpus not in self.dense_corpora:
                raise ValueError(
                    f"swaps.{name} needs a dense retriever: add {swap.corpus!r} to dense_corpora"
                    f" {list(self.dense_corpora)}"
                )
        return self


def _said(meant: Run | None, runs: dict[str, Run]) -> str:
    """What `runs` says of a run that another section names."""
    return f"says corpus {meant.corpus}, system {meant.system}" if meant else f"has only {sorted(runs)}"
