"""`sources/code/<stage>.txt`: what the code of a stage means, one line a file, so that DVC sees when it changes.

A stage of a run has one for each system, `sources/code/<stage>-<system>.txt`. They follow from the code alone, so git ignores them.
"""

from __future__ import annotations

from pathlib import Path

from data_contracts.contract import write_atomically
from data_contracts.failure import Exit, Failure
from model.systems import MODULE_OF
from stages.identity.code_identity import Code, as_lines
from stages.parameters import Configuration
from stages.runner.stage import CORPUS_STAGES, RUN_STAGES, module_of

PLACE = Path("sources/code")


def modules_of(stage: str, system: str | None = None) -> tuple[str, ...]:
    """Where the code of a stage begins: its own module, and that of the system of its run.

    Raises:
        Failure: (exit code 2) if there is no such system.
    """
    if system is None:
        return (module_of(stage),)
    if system not in MODULE_OF:
        raise Failure(f"system {system!r}", "there is none of this name", f"one of {', '.join(MODULE_OF)}", Exit.USAGE)
    return (module_of(stage), f"model.systems.{MODULE_OF[system]}")


def write_code_files(configuration: Configuration) -> None:
    """Bring sources/code/ up to date for all stages; a file whose text stays the same is not touched.

    Raises:
        Failure: as `modules_of` states.
    """
    code = Code(Path())
    PLACE.mkdir(parents=True, exist_ok=True)
    for stage in CORPUS_STAGES:
        _write(PLACE / f"{stage}.txt", as_lines(code.files(*modules_of(stage))))
    for system in sorted({run.system for run in configuration.runs.values()}):
        for stage in RUN_STAGES:
            _write(PLACE / f"{stage}-{system}.txt", as_lines(code.files(*modules_of(stage, system))))
    code.remember()


def _write(target: Path, text: str) -> None:
    if not target.exists() or target.read_text(encoding="utf-8") != text:
        write_atomically(target, text.encode())
