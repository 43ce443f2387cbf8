"""`python -m stages.fits`, in an environment that can compile for the target: takes one request as JSON,
writes what it found as JSON.

The request has `model` (as a trained model's config.json), `sizes` of a batch, `optimizer` (the numbers of
`learning_rate`), `memory_bytes` of a device, `topology` and, for cards, `card`. Nothing is computed: of the
model there are only types.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
from jax.experimental import topologies

from model.abstract_step import AbstractStep, StepSizes, abstract_step
from model.matrix_flops import matrix_flops
from model.schedules import learning_rate
from model.train_step import train_step
from stages.fits.cards import description
from stages.fits.collectives import by_kind, collectives, normalised
from stages.training.systems import described_config, described_system

TOO_LARGE = "RESOURCE_EXHAUSTED"


def compiled(request: dict) -> dict[str, Any]:
    """The fields of a `stages.fits.program.Program`; or `topology_error` or `compiler_error`, what was said
    of either.
    """
    try:
        devices = _devices(request["topology"], request.get("card"))
    except Exception as error:  # what libtpu and XLA raise for a topology has no type of its own
        return {"topology_error": f"{type(error).__name__}: {error}"}
    return _described(_step(request, devices), devices)


def _devices(topology: dict[str, Any], card: str | None) -> Sequence[jax.Device]:
    described = {"target_config": description(card)} if card else {}
    return topologies.get_topology_desc(**topology, **described).devices


def _step(request: dict, devices: Sequence[jax.Device]) -> AbstractStep:
    system = described_system(request["model"])
    config = described_config(request["model"])
    optimizer = system.optimizer_for(config, learning_rate(*request["optimizer"]))
    return abstract_step(
        system, config, StepSizes(**request["sizes"]), optimizer, devices, request["memory_bytes"]
    )


def _described(step: AbstractStep, devices: Sequence[jax.Device]) -> dict[str, Any]:
    began, mesh = time.monotonic(), step.state.layout.mesh
    assert mesh
    traced = train_step.trace(*step.arguments)
    facts: dict[str, Any] = {
        "devices": len(devices),
        "device_kind": devices[0].device_kind,
        "mesh": mesh.devices.shape,
        "split_state": step.state.layout.split_state,
        "state_bytes": step.state_bytes,
        "matrix_flops": matrix_flops(traced.jaxpr.jaxpr),
        "effort": float(os.environ.get("JAX_EXEC_TIME_OPTIMIZATION_EFFORT", "0")),
    }
    lowered = traced.lower()
    at, cpu = time.monotonic(), time.process_time()
    seconds = {"lower": at - began}
    try:
        program = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        text = str(error)
        seconds |= {"compile": time.monotonic() - at, "compile_cpu": time.process_time() - cpu}
        return facts | (
            {"refused": text, "seconds": seconds} if TOO_LARGE in text else {"compiler_error": text}
        )
    seconds |= {"compile": time.monotonic() - at, "compile_cpu": time.process_time() - cpu}
    memory, cost, exchanged = (
        program.memory_analysis(),
        program.cost_analysis(),
        collectives(program.as_text()),
    )
    return facts | {
        "peak_bytes": memory.peak_memory_in_bytes,
        "code_bytes": memory.generated_code_size_in_bytes,
        "compiler_flops": cost.get("flops") if cost else None,
        "collectives": by_kind(exchanged),
        "exchanged": normalised(exchanged),
        "seconds": seconds,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(compiled(json.loads(sys.argv[1]))) + "\n")
