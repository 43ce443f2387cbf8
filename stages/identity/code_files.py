"""`sources/code/<stage>.txt`: what the code of a stage means, one line a file, so that DVC sees when it
changes.

A stage of a run has one for each system, `sources/code/<stage>-<system>.txt`. They follow from the code
alone, so git ignores them.
"""

from __future__ import annotations

import json
from pathlib import Path

from data_contracts.failure import Exit, Failure
from data_contracts.systems import RECORDS
from data_contracts.whole_files import write_atomically
from stages.identity.code_identity import Code, as_lines, digest_of
from stages.parameters import Configuration
from stages.runner.stage import CORPUS_STAGES, RUN_STAGES, module_of

PLACE, SYSTEMS = Path("sources/code"), "data_contracts/systems.py"


def modules_of(stage: str, system: str | None = None) -> tuple[str, ...]:
    """Where the code of a stage begins: its own module, and those of the system of its run.

    Raises:
        Failure: (exit code 2) if there is no such system.
    """
    if system is None:
        return (module_of(stage),)
    if system not in RECORDS:
        raise Failure(
            f"system {system!r}", "there is none of this name", f"one of {', '.join(RECORDS)}", Exit.USAGE
        )
    return (module_of(stage), *RECORDS[system].modules)


def code_of(code: Code, stage: str, system: str | None = None) -> dict[str, str]:
    """Path -> digest of the code of a stage. Of the records of systems a run depends on what its own one
    decides.

    Raises:
        Failure: as `modules_of` states.
    """
    files = code.files(*modules_of(stage, system))
    return (
        files
        if system is None
        else files | {SYSTEMS: digest_of(json.dumps(RECORDS[system].deciding, sort_keys=True))}
    )


def write_code_files(configuration: Configuration) -> None:
    """Bring sources/code/ up to date for all stages; a file whose text stays the same is not touched.

    Raises:
        Failure: as `modules_of` states.
    """
    code = Code(Path())
    PLACE.mkdir(parents=True, exist_ok=True)
    for stage in CORPUS_STAGES:
        _write(PLACE / f"{stage}.txt", as_lines(code_of(code, stage)))
    for system in sorted({run.system for run in configuration.runs.values()}):
        for stage in RUN_STAGES:
            _write(PLACE / f"{stage}-{system}.txt", as_lines(code_of(code, stage, system)))
    code.remember()


def _write(target: Path, text: str) -> None:
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        write_atomically(target, text.encode())
