"""Whether what exists under artifacts/ is intact."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from data_contracts.candidates import CANDIDATES, EXHAUSTIVE, LABELS, RETRIEVED
from data_contracts.ceilings import CEILINGS
from data_contracts.contract import Artifact, Contract, open_artifact
from data_contracts.documents import DOCUMENTS, QUARANTINE
from data_contracts.evaluations import EVALUATIONS
from data_contracts.failure import Exit, Failure
from data_contracts.passages import CORPUS_NEIGHBOURS, KEYS
from data_contracts.realm_answers import REALM_ANSWERS
from data_contracts.seal import SEAL, check_seal
from data_contracts.sequences import SEQUENCES, SUPERVISION
from data_contracts.starts import STARTS
from data_contracts.tokens import CHUNKS, TOKENS
from flows.dvc_child import distrust

CONTRACTS: dict[str, Contract] = {
    contract.name: contract
    for contract in (
        DOCUMENTS,
        QUARANTINE,
        TOKENS,
        CHUNKS,
        CANDIDATES,
        LABELS,
        EXHAUSTIVE,
        SEQUENCES,
        SUPERVISION,
        EVALUATIONS,
        RETRIEVED,
        CEILINGS,
        KEYS,
        CORPUS_NEIGHBOURS,
        REALM_ANSWERS,
        STARTS,
    )
}


def _open(directory: Path) -> Artifact:
    """The artifact in a directory, of whatever contract its manifest names.

    Raises:
        Failure: (exit code 3) if that cannot be found out, or the manifest does not fit the directory.
    """
    path = directory / "manifest.json"
    try:
        contract = CONTRACTS[json.loads(path.read_bytes())["contract"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        cause = f"no readable manifest: {type(error).__name__}: {error}"
        raise Failure(
            f"{path} names no contract", cause, "re-run the stage that writes it", Exit.CONTRACT
        ) from error
    return open_artifact(contract, directory)


def _directories(root: Path) -> list[Path]:
    """Every directory with a manifest or with shards, so that a lost manifest does not hide its shards."""
    return sorted(
        {path.parent for pattern in ("manifest.json", "part-*.parquet") for path in root.rglob(pattern)}
    )


def verify_all(root: Path) -> list[str]:
    """A sentence for every artifact or shard that is not what its manifest and contract say, and every other
    directory that is not what its seal says; the next run brings those back.

    DVC is told to look at what was found, because it does not see damage that leaves a file's time as it was.
    """
    problems = []
    for directory in _directories(root):
        try:
            artifact = _open(directory)
        except Failure as failure:
            problems.append(str(failure))
            distrust(directory)
            continue
        for shard in artifact.shards:
            try:
                artifact.read(shard)
            except Failure as failure:
                problems.append(str(failure))
                distrust(directory / shard)
    return [*problems, *_broken_indexes(root), *_broken_seals(root)]


def _broken_seals(root: Path) -> Iterator[str]:
    """A sentence for every tokenizer, model or report that is not as it was written."""
    for path in sorted(root.rglob(SEAL)):
        try:
            check_seal(path.parent)
        except Failure as failure:
            distrust(path.parent)
            yield str(failure)


def _broken_indexes(root: Path) -> Iterator[str]:
    """A sentence for every index of a corpus that is not as it was written."""
    for path in sorted(root.rglob("index.json")):
        from stages.index.store import open_index

        try:
            open_index(path.parent)
        except Failure as failure:
            distrust(path.parent)
            yield str(failure)
