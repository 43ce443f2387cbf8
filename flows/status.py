"""What exists under artifacts/, and whether it is intact."""

from __future__ import annotations

import json
from pathlib import Path

from data_contracts.candidates import CANDIDATES, LABELS
from data_contracts.contract import Contract, open_artifact
from data_contracts.documents import DOCUMENTS, QUARANTINE
from data_contracts.evaluations import EVALUATIONS
from data_contracts.failure import Failure
from data_contracts.sequences import SEQUENCES, SUPERVISION
from data_contracts.tokens import CHUNKS, TOKENS

CONTRACTS: dict[str, Contract] = {
    contract.name: contract for contract in (DOCUMENTS, QUARANTINE, TOKENS, CHUNKS, CANDIDATES, LABELS, SEQUENCES, SUPERVISION, EVALUATIONS)
}


def artifacts(root: Path) -> list[dict]:
    """One row for every artifact that has a manifest."""
    rows = []
    for path in sorted(root.rglob("manifest.json")):
        shards = json.loads(path.read_text()).get("shards", {}).values()
        rows.append(
            {
                "artifact": path.parent.relative_to(root).as_posix(),
                "shards": len(shards),
                "rows": sum(shard["rows"] for shard in shards),
                "bytes": sum(shard["bytes"] for shard in shards),
            }
        )
    return rows


def verify_all(root: Path) -> list[str]:
    """A sentence for every artifact or shard that is not what its manifest and contract say."""
    problems = []
    for path in sorted(root.rglob("manifest.json")):
        try:
            artifact = open_artifact(CONTRACTS[json.loads(path.read_text())["contract"]], path.parent)
        except (Failure, ValueError, KeyError, TypeError) as error:
            problems.append(f"{path}: {error}")
            continue
        for shard in artifact.shards:
            try:
                artifact.read(shard)
            except Failure as failure:
                problems.append(str(failure))
    return problems
