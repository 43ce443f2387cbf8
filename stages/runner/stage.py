"""What a stage is: a name, a function and what it reads and writes. Running it is somebody else's business.

A `ShardStage` is a pure function for one shard, `table(s) -> table`, and keeps the shard names of what it
reads; where the result is large the function yields it in consecutive tables. A `Job` sees whole artifacts:
it trains, evaluates or reports. Both get the sections of params.yaml that they name, and no others.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from data_contracts.seal import check_seal
from stages.parameters import Corpus, Run, Runtime
from stages.runner.messages import Messages

if TYPE_CHECKING:
    from data_contracts.contract import Artifact, Contract

RAY_STAGES = (
    "ingestion",
    "tokenization",
    "chunking",
    "mining",
    "scoring",
    "packing",
    "lexical_supervision",
    "query_supervision",
    "semantic_supervision",
    "keys",
    "corpus_neighbours",
    "realm",
)
# Name -> module below stages/, those of a corpus and those of a run; imported only when they run, because
# some pull in JAX.
CORPUS_STAGES = {
    "ingestion": "ingestion.ingestion",
    "tokenizer": "tokens.tokenizer",
    "tokenization": "tokens.tokenization",
    "chunking": "tokens.chunking",
    "mining": "mining.mining",
    "reference_lm": "reference_lm.reference_lm",
    "scoring": "scoring.scoring",
    "label_gates": "scoring.label_gates",
    "exhaustive": "scoring.exhaustive",
    "label_report": "report.label_report",
    "packing": "supervision.packing",
    "lexical_supervision": "supervision.lexical",
    "query_supervision": "supervision.query",
    "semantic_supervision": "supervision.semantic",
    "retrieved": "scoring.retrieved",
    "dense_retriever": "dense.retriever",
    "keys": "index.keys",
    "index": "index.build",
    "corpus_neighbours": "index.neighbours",
    "realm_start": "realm.start",
    "realm": "realm.realm",
    "realm_answers": "realm.answers",
    "report": "report.report",
}
RUN_STAGES = {
    "start": "training.start",
    "training": "training.training",
    "evaluation": "evaluation.evaluation",
    "oracle": "evaluation.oracle",
    "ceilings": "evaluation.ceilings",
    "dense_evaluation": "dense.evaluation",
}


@dataclass(frozen=True)
class ShardStage:
    """`function(*tables, **sections, **sides, **stores) -> table or iterator of tables`; sides are Path
    keywords, stores a Path or a URL.

    `sides` are directories or files of the corpus that decide what comes out. `stores` are places named
    in `runtime` that the stage keeps from run to run; what they hold decides how long it works and never what
    it writes.

    `cpus` is the number of Ray CPUs a shard holds; 0 means all of them, for functions that are parallel
    inside. `summary` is given the first artifact read and the one written, and says in Markdown what came
    out. `monitor` names a module whose `watch(finished shards, **sections, **sides)` is called by the driver
    while the stage runs and says in Markdown how it goes, or None; it is named and not imported, so that no
    figure it draws makes the stage stale. A `budgeted` stage heeds `runtime.budget_hours`. `after` are places
    that must be there before the stage may run, of which it reads nothing.
    """

    name: str
    function: Callable
    sections: tuple[str, ...]
    reads: tuple[Contract, ...]
    writes: Contract
    output: str
    sides: tuple[str, ...] = ()
    stores: tuple[str, ...] = ()
    cpus: int = 1
    summary: Callable[[Artifact, Artifact], str] | None = None
    after: tuple[str, ...] = ()
    monitor: str | None = None
    budgeted: bool = False


@dataclass(frozen=True)
class Context:
    """What a job sees: its corpus, its run if it has one, where to read and where to write.

    `start` is the trained run that its run begins with; `run.input` is then what it reads beside that.
    """

    corpus: str
    source: Corpus
    run_name: str | None
    run: Run | None
    inputs: Path
    scratch: Path
    runtime: Runtime
    say: Messages
    start: str | None = None

    def input(self, name: str) -> Path:
        """An artifact of the same corpus.

        Raises:
            Failure: (exit code 3) if it is not as its seal has it.
        """
        _checked(self.inputs / name)
        return self.inputs / name

    def out(self, name: str) -> Path:
        """The directory to write the output `name` to; it appears in its place whole or not at all."""
        path = self.scratch / name
        path.mkdir(parents=True, exist_ok=True)
        return path


@dataclass(frozen=True)
class Job:
    """`function(context, **sections)` writes each of `outputs`: name in the scratch directory -> place, with
    {corpus} and {run}.

    A job that names what it `reads`, places with {corpus} and {input} (what its run reads), finds its scratch
    directory again after an interruption, as long as nothing it depends on changed; the others begin in an
    empty one.
    """

    name: str
    function: Callable
    sections: tuple[str, ...]
    outputs: dict[str, str]
    reads: tuple[str, ...] = ()


@lru_cache(maxsize=64)
def _checked(directory: Path) -> None:
    """Once in a process, for weights may be large."""
    check_seal(directory)


def module_of(name: str) -> str:
    """The module that holds the stage `name` as `STAGE`."""
    return f"stages.{(CORPUS_STAGES | RUN_STAGES)[name]}"


def load_stage(name: str) -> ShardStage | Job:
    """The stage `name`, imported only now."""
    return importlib.import_module(module_of(name)).STAGE
