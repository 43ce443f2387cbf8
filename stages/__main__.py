"""`python -m stages STAGE ITEM`: run one stage for one corpus or run. dvc.yaml calls this, and so may you."""

from __future__ import annotations

import errno
import gc
import shutil
import signal
import sys
import traceback
from pathlib import Path

from data_contracts.contract import commit, open_artifact
from data_contracts.failure import Exit, Failure
from data_contracts.places import resolved
from data_contracts.seal import seal
from stages import parameters
from stages.identity.from_checkpoint import take_up
from stages.identity.scratch import SCRATCH, finish, open_scratch
from stages.identity.work_identity import ARTIFACTS, identity_of, run_of, sections_of
from stages.runner.messages import Messages
from stages.runner.shards import write_all
from stages.runner.stage import CORPUS_STAGES, RUN_STAGES, Context, Job, ShardStage, load_stage


def publish(scratch: Path, target: Path) -> None:
    """Rename a finished directory or file onto an output; DVC has removed it already, a call by hand has not.

    What lies on another file system is copied beside the output first, so that it appears there whole or not
    at all.
    """
    if target.is_dir():
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        scratch.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        beside = target.with_name(f".{target.name}.arriving")
        _remove(beside)
        (shutil.copytree if scratch.is_dir() else shutil.copy2)(scratch, beside)
        beside.replace(target)
        _remove(scratch)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def run_shards(
    stage: ShardStage, corpus: str, configuration: parameters.Configuration, say: Messages
) -> None:
    """Map a shard stage over the shards of its first input and publish the output."""
    home = ARTIFACTS / corpus
    artifacts = [open_artifact(contract, home / contract.name) for contract in stage.reads]
    scratch = open_scratch(stage.name, corpus, identity_of(stage, corpus, configuration), say)
    sides = {name: (home / name).resolve() for name in stage.sides}
    stores = {name: resolved(getattr(configuration.runtime, name), Path.cwd()) for name in stage.stores}
    arguments = {
        **sections_of(stage, configuration, None),
        **sides,
        **stores,
    }
    write_all(stage, artifacts, scratch, arguments, configuration.runtime, say)
    commit(stage.writes, scratch)
    if stage.summary:
        say.note(f"**{corpus}**: {stage.summary(artifacts[0], open_artifact(stage.writes, scratch))}")
    publish(scratch, home / stage.output)
    finish(scratch)


def run_job(stage: Job, item: str, configuration: parameters.Configuration, say: Messages) -> None:
    """Run a job in a scratch directory, publish each of its outputs and remove the rest."""
    run = run_of(stage, item, configuration)
    corpus = run.corpus if run else item
    if not stage.reads:
        shutil.rmtree(SCRATCH / stage.name / item, ignore_errors=True)
    identity = identity_of(stage, item, configuration)
    scratch = open_scratch(stage.name, item, identity, say)
    take_up(scratch, stage.name, item, identity, say)
    source = configuration.corpora[corpus]
    context = Context(
        corpus,
        source,
        item if run else None,
        run and run.as_read(),
        ARTIFACTS / corpus,
        scratch,
        configuration.runtime,
        say,
        run.start if run else None,
    )
    stage.function(context, **sections_of(stage, configuration, run))
    for output, place in stage.outputs.items():
        if (scratch / output).is_dir():
            seal(scratch / output)
        publish(scratch / output, Path(place.format(corpus=corpus, run=item)))
    finish(scratch)


def _loaded(name: str) -> ShardStage | Job:
    """The stage of this name. What it imports lives to the end, so that no garbage is looked for in it, which
    would take a seventh of the time to import and to trace a model.
    """
    gc.disable()
    try:
        return load_stage(name)
    finally:
        gc.freeze()
        gc.enable()


def run_stage(name: str, item: str, say: Messages) -> None:
    """Run stage `name` for corpus or run `item` with the parameters of params.yaml.

    Raises:
        Failure: whatever went wrong, with its exit code.
    """
    configuration = parameters.load(Path("params.yaml"))
    known = (
        configuration.runs if name in RUN_STAGES else configuration.corpora if name in CORPUS_STAGES else None
    )
    if known is None:
        raise Failure(
            f"stage {name!r}",
            "there is no such stage",
            f"one of {', '.join((*CORPUS_STAGES, *RUN_STAGES))}",
            Exit.USAGE,
        )
    if item not in known:
        raise Failure(
            f"{name} of {item!r}", "params.yaml does not name it", f"one of {', '.join(known)}", Exit.USAGE
        )
    stage = _loaded(name)
    if isinstance(stage, ShardStage):
        run_shards(stage, item, configuration, say)
    else:
        run_job(stage, item, configuration, say)


def _terminated(*_: object) -> None:
    raise KeyboardInterrupt


def main(arguments: list[str]) -> int:
    """Run one stage; the last line on standard output is its outcome."""
    signal.signal(signal.SIGTERM, _terminated)
    say = Messages()
    failure, retry = None, False
    try:
        if len(arguments) != 2:
            raise Failure(
                "python -m stages",
                f"it was given {len(arguments)} words",
                "name a STAGE and a CORPUS or RUN",
                Exit.USAGE,
            )
        run_stage(arguments[0], arguments[1], say)
    except Failure as error:
        failure, retry = error, error.code == Exit.INTERRUPTED
    except KeyboardInterrupt:
        failure = Failure(
            "the stage", "it was interrupted", "run again to go on where it stopped", Exit.INTERRUPTED
        )
    except Exception as error:
        traceback.print_exc()
        failure = Failure(
            " ".join(arguments),
            f"{type(error).__name__}: {error}",
            "see the traceback above",
            Exit.STAGE_FAILED,
        )
    say.outcome(failure, retry)
    return failure.code if failure else Exit.DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
