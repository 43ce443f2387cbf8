"""`rpt plan training RUN --on TARGET`: the run's own training step, compiled for accelerators that need not
be here.

The compiler runs in a child process and an environment of its own, which has libtpu or JAX's CUDA plugin;
nothing is trained.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from data_contracts.failure import Exit, Failure
from flows.commands.own_environment import own_python
from flows.workspace import ROOT, child_environment
from infra.supervisor import release, supervised
from model.config import ModelConfig
from model.system import System
from model.training_cost import step_flops
from stages.fits.chips import Platform, Target, read_target
from stages.fits.program import Program, verdict
from stages.parameters import Configuration
from stages.tokens.tokenizer import load_tokenizer, vocabulary_size
from stages.training.systems import config_of, describe, steps_of, system_of, with_recipe

LOCKS: dict[Platform, Path] = {
    "tpu": ROOT / "requirements-tpu-plan.txt",
    "cuda": ROOT / "requirements-cuda-plan.txt",
}
COMPILER: dict[Platform, dict[str, str]] = {
    # No probing for a TPU, no metadata server, and another process of this machine may hold libtpu's lock
    # file.
    "tpu": {"TPU_SKIP_MDS_QUERY": "1", "ALLOW_MULTIPLE_LIBTPU_LOAD": "1", "XLA_FLAGS": ""},
    # Autotuning would run kernels on a card.
    "cuda": {"CUDA_VISIBLE_DEVICES": "-1", "XLA_FLAGS": "--xla_gpu_autotune_level=0"},
}
NOT_PROVED = (
    "speed: nothing ran, and a card's kernels were chosen without trying them",
    "numerics: a product on another chip is rounded otherwise",
    (
        "what lies beside the step: the gradient ratio of every 200th step, checkpoints and the runtime's own"
        " memory"
    ),
)
LESS_EFFORT = (
    "the program that training compiles: this one was made with less effort for speed. Training's needs more"
    " memory, and less is exchanged where full effort takes a sum out of a loop"
)


def fit(configuration: Configuration, name: str | None, on: str, batch: int | None) -> dict[str, Any]:
    """What the step of run `name` is on the chips `on`, with `batch` sequences instead of `training.batch`;
    ready for JSON.

    Returns:
        run, system, target, chips, devices, mesh, batch, parts, split_state, fits, bytes a device (state,
        temporaries, needed, memory with its source), batch_that_fits, operations, collectives by kind,
        exchanged (each collective), seconds, effort (0 is that of training) and not_proved.

    Raises:
        Failure: (exit code 2) for a run, chip or topology that is not known; (5) if the environment cannot be
            made; (1) if the compiler fails for another reason than size.
    """
    target = read_target(on)
    name = _run_name(configuration, name)
    request, config = _request(configuration, name, target, batch)
    program = _compiled(request, target)
    rows, tokens, system = request["sizes"]["rows"], request["sizes"]["tokens"], request["model"]["system"]
    memory = target.chip.memory_bytes
    found = verdict(program, memory, rows, request["sizes"]["parts"])
    counted = step_flops(system, config, tokens, rows)
    return {
        "run": name,
        "system": system,
        "target": target.name,
        "chips": target.chips,
        "devices": program.devices,
        "device_kind": program.device_kind,
        "mesh": {"data": program.mesh[0], "sequence": program.mesh[1]},
        "batch": rows,
        "parts": request["sizes"]["parts"],
        "split_state": program.split_state,
        "tokens": tokens,
        "fits": found.fits,
        "bytes": {
            "state": program.state_bytes,
            "temporaries": max(0, program.peak_bytes - program.state_bytes),
            "code": program.code_bytes,
            "needed": found.needed_bytes,
            "memory": memory,
        },
        "memory_source": target.chip.source,
        "batch_that_fits": found.rows,
        "refused": program.refused[:500],
        "flops": {
            "counted": counted,
            "traced": program.matrix_flops,
            "compiler_a_device": program.compiler_flops,
        },
        "collectives": program.collectives,
        "exchanged": program.exchanged,
        "seconds": program.seconds,
        "effort": program.effort,
        "not_proved": NOT_PROVED + ((LESS_EFFORT,) if program.effort < 0 else ()),
    }


def _run_name(configuration: Configuration, name: str | None) -> str:
    """The run meant; without a name the one whose step has the most operations."""
    if name is None:
        return max(configuration.runs, key=lambda name: _flops(configuration, name))
    if name not in configuration.runs:
        raise Failure(
            f"run {name!r}",
            "the configuration does not name it",
            f"one of {', '.join(configuration.runs)}",
            Exit.USAGE,
        )
    return name


def _flops(configuration: Configuration, name: str) -> float:
    system, config = _built(configuration, name)
    return step_flops(
        system.name, config, configuration.geometry.sequence_tokens, configuration.training.batch
    )


def _built(configuration: Configuration, name: str) -> tuple[System, ModelConfig]:
    """System and configuration of a run, with the tokenizer's own vocabulary where there is one already."""
    run = configuration.runs[name].as_read()
    recipe, tokenizer = configuration.recipes[run.system], ROOT / "artifacts" / run.corpus / "tokenizer"
    made = tokenizer.exists() and configuration.tokenization.tokenizer == "train"
    vocabulary = (
        vocabulary_size(load_tokenizer(tokenizer)) if made else configuration.tokenization.vocabulary_size
    )
    config = config_of(configuration.geometry, configuration.training, recipe, vocabulary)
    return with_recipe(system_of(name, run), recipe), config


def _request(
    configuration: Configuration, name: str, target: Target, batch: int | None
) -> tuple[dict[str, Any], ModelConfig]:
    """What the child is asked, and the configuration in it."""
    system, config = _built(configuration, name)
    training, geometry, recipe = (
        configuration.training,
        configuration.geometry,
        configuration.recipes[system.name],
    )
    slots = {"none": 1, "scored": configuration.scoring.candidates}.get(
        system.supervision, configuration.packing.lexical_candidates
    )
    steps = steps_of(system, config, training, geometry)
    rows = batch or training.batch
    if rows % training.parts:
        raise Failure(
            f"a batch of {rows}",
            f"training.parts, {training.parts}, does not divide it",
            "give another --batch, or `-o training.parts=1`",
            Exit.USAGE,
        )
    return {
        "model": describe(system, config, recipe),
        "sizes": {
            "rows": rows,
            "tokens": geometry.sequence_tokens,
            "slots": slots,
            "parts": training.parts,
        },
        "memory_bytes": target.chip.memory_bytes,
        "optimizer": [system.learning_rate or training.learning_rate, steps, training.warmup],
        "topology": target.topology(),
        **({"card": target.chip.name} if target.chip.platform == "cuda" else {}),
    }, config


def _compiled(request: dict[str, Any], target: Target) -> Program:
    """The answer of the child.

    Raises:
        Failure: as `fit` states.
    """
    platform = target.chip.platform
    python = own_python(f"{platform}-plan", LOCKS[platform], "1.5 GB")
    sizes = request["sizes"]
    sys.stderr.write(
        f"compiling {request['model']['system']}, {sizes['rows']} x {sizes['tokens']:,} tokens, for"
        f" {target.name} ...\n"
    )
    environment = child_environment(JAX_PLATFORMS="cpu", JAX_TRACEBACK_FILTERING="off", **COMPILER[platform])
    del environment["JAX_COMPILATION_CACHE_DIR"]  # of programs that run here
    with tempfile.TemporaryFile("w+") as said:
        process = supervised(
            [str(python), "-m", "stages.fits", json.dumps(request)],
            cwd=ROOT,
            env=environment,
            stdout=-1,
            stderr=said,
            text=True,
        )
        try:
            assert process.stdout
            answer = process.stdout.read()
            code = process.wait()
        finally:
            release(process)
        said.seek(0)
        facts = _facts(answer, code, said.read(), target)
    return Program.of(facts)


def _facts(answer: str, code: int, said: str, target: Target) -> dict[str, Any]:
    if code or not answer:
        cause = said.strip().splitlines()[-1] if said.strip() else f"it ended with {code}"
        raise Failure(
            f"compiling for {target.name}",
            cause,
            "free memory if it was killed (the paper's shape took 8 GiB); else report it",
        )
    facts = json.loads(answer)
    if "topology_error" in facts:
        remedy = (
            f"for instance {', '.join(f'{target.chip.name}:{example}' for example in target.chip.examples)}"
        )
        raise Failure(
            f"--on {target.name}",
            f"the compiler knows no such topology: {facts['topology_error'][:300]}",
            remedy,
            Exit.USAGE,
        )
    if "compiler_error" in facts:
        raise Failure(
            f"compiling for {target.name}",
            facts["compiler_error"][:500],
            "report it with the command that you ran",
        )
    return facts
