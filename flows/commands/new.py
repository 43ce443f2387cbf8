"""`rpt new`: a corpus with a name of its own, with a run for each system, and what its text would give before
anything runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np

from data_contracts.documents import SPLITS
from data_contracts.failure import Exit, Failure
from data_contracts.passages import CORPUS_NEIGHBOURS
from flows.commands.bill import CHARACTERS_A_BIT
from flows.execution import unless_refused
from flows.overrides import apply_overrides
from flows.workspace import ROOT
from stages.bill.cost import LABEL_BYTES
from stages.bill.volume import estimated
from stages.ingestion.preview import Preview, preview
from stages.parameters import Configuration, load
from stages.parameters.training import STARTS

FEWEST_TO_TEST = 8  # documents below which an interval over documents says nothing


def new_corpus(name: str, source: str, like: str | None, more: dict[str, object]) -> tuple[str, dict]:
    """Write the corpus and its runs into params.yaml; returns the changed lines as a diff, and what its text
    would give.

    Args:
        like: the corpus whose shares to hold out and whose runs it gets; None is the first of params.yaml.
        more: further edits, by their keys in params.yaml, such as corpora.NAME.include.

    Raises:
        Failure: (exit code 2) for a name that is taken or is no plain one, an unknown corpus, or text that
            ingestion would refuse; then params.yaml is as it was.
    """
    with unless_refused(ROOT / "params.yaml") as params:
        configuration = load(params)
        change = apply_overrides(params, {**_entries(configuration, name, source, like), **more})
        configuration = load(params)
        return change, facts(preview(configuration.corpora[name], configuration.ingestion), configuration)


def _entries(configuration: Configuration, name: str, source: str, like: str | None) -> dict[str, object]:
    if not re.fullmatch(r"[A-Za-z][\w-]{0,59}", name):
        remedy = "begin with a letter, then at most 60 letters, digits, '-' and '_'"
        raise Failure(f"corpus {name!r}", "it is no plain name", remedy, Exit.USAGE)
    if name in configuration.corpora:
        raise Failure(
            f"corpus {name!r}",
            "params.yaml has one of this name",
            f"choose another, or edit corpora.{name}",
            Exit.USAGE,
        )
    model = like or next(iter(configuration.corpora))
    if model not in configuration.corpora:
        raise Failure(
            f"--like {model}",
            "params.yaml does not name it",
            f"one of {', '.join(configuration.corpora)}",
            Exit.USAGE,
        )
    shares = configuration.corpora[model]
    runs = {
        f"{name}-{_of(run.system, run.seed)}": run
        for run in configuration.runs.values()
        if run.corpus == model
    }
    entries: dict[str, object] = {
        f"corpora.{name}": {
            "source": source,
            "max_characters": None,
            "validation": shares.validation,
            "test": shares.test,
        }
    }
    for run_name, run in runs.items():
        given = run.input
        if run.start:
            start = configuration.runs[run.start]
            begun = f"{name}-{_of(start.system, start.seed)}"
            entries[f"starts.{begun}"] = {"corpus": name, "system": start.system}
            given = f"{STARTS}{begun}"
        entries[f"runs.{run_name}"] = {
            "corpus": name,
            "system": run.system,
            "input": given,
            "seed": run.seed,
        }
    if any(run.as_read().input == CORPUS_NEIGHBOURS.name for run in runs.values()):
        entries["indexed_corpora"] = [*configuration.indexed_corpora, name]
    return entries


def _of(system: str, seed: int) -> str:
    return f"{system}-s{seed}" if seed else system


def facts(found: Preview, configuration: Configuration) -> dict:
    """Documents, characters, lengths, splits and the labels they would get; tokens are estimated from
    characters.
    """
    geometry = configuration.geometry
    characters = found.documents["num_chars"].to_numpy()
    a_token = CHARACTERS_A_BIT * (configuration.tokenization.vocabulary_size.bit_length() - 1)
    tokens = (characters / a_token).astype(np.int64)
    lengths = zip(found.documents["split"].to_list(), (tokens // geometry.chunk_tokens).tolist(), strict=True)
    volume = estimated(lengths, geometry, configuration.scoring)
    splits = {split: int((found.documents["split"] == split).sum()) for split in SPLITS}
    known = {
        "files": found.files,
        "files_read": found.read,
        "part_read": found.part,
        "documents": len(characters),
        "beyond_max_characters": found.surplus,
        "refused": found.refused,
        "characters": int(characters.sum()),
        "tokens": int(tokens.sum()),
        "median_tokens": int(np.median(tokens)),
        "sequence_tokens": geometry.sequence_tokens,
        "shorter_than_a_sequence": int((tokens < geometry.sequence_tokens).sum()),
        "splits": splits,
        "queries": volume.queries,
        "pairs": volume.pairs,
        "label_bytes": volume.rows * LABEL_BYTES,
    }
    return {**known, "warnings": list(_warnings(known))}


def _warnings(known: dict) -> Iterable[str]:
    if not known["pairs"]:
        yield "no document is long enough for one query: mining would stop"
    if 2 * known["shorter_than_a_sequence"] > known["documents"]:
        yield "most documents are shorter than a training sequence, and retrieval stays inside one document"
    if known["splits"]["test"] < FEWEST_TO_TEST:
        yield f"{known['splits']['test']} test documents: intervals need at least {FEWEST_TO_TEST}"


def as_text(name: str, known: dict) -> str:
    """The facts for a person, and what to type next."""
    part = (
        f", of which {known['files_read']:,} were read ({known['part_read']:.0%} of the bytes; what follows"
        " is of these)"
    )
    refused = ", ".join(f"{reason} {count:,}" for reason, count in known["refused"].items()) or "nothing"
    splits = ", ".join(f"{split} {count:,}" for split, count in known["splits"].items())
    lines = [
        f"{name}: {known['files']:,} files{part if known['part_read'] < 1 else ''}",
        f"  documents   {known['documents']:,} ({splits}); refused: {refused}",
        f"  text        {known['characters']:,} characters, about {known['tokens']:,} tokens",
        (
            f"  lengths     median {known['median_tokens']:,} tokens; {known['shorter_than_a_sequence']:,}"
            f" documents are shorter than a training sequence of {known['sequence_tokens']:,}"
        ),
        (
            f"  labels      at most {known['queries']:,} queries, {known['pairs']:,} pairs to score,"
            f" {known['label_bytes'] / 1e6:,.1f} MB"
        ),
        *(f"  look        {warning}" for warning in known["warnings"]),
        "",
        f"./rpt plan scoring@{name}        what scoring would cost",
        f"./rpt run --corpus {name}        everything of this corpus",
    ]
    return "\n".join(lines)
