"""Both engines on one CUDA GPU at the shape of Pythia-1.4B with random weights in float16: pairs/s, share of
the peak, agreement.

Each engine runs in a process of its own, since both take the memory of the whole GPU: JAX in this
environment, vLLM in the one whose interpreter RPT_VLLM_PYTHON names (this one if it has vLLM; left out, and
said so, where neither has). Nobody has run the vLLM part yet.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks._copy import environment
from benchmarks.result import Bar, show
from data_contracts.failure import Exit, Failure
from flows.workspace import ROOT
from model import gpt_neox, gpt_neox_files
from model.gpt_neox_config import PYTHIA_1_4B
from stages.bill.cost import scoring_flops
from stages.devices import DEVICE_OF_KIND, PEAK_FLOPS
from stages.engines.choice import cuda_gpus, make_engine

PREFIXES, SHARING, SEED = 256, 20, 0
# nats of a sum of 64; float16 was off by 0.02 on a random model of 160 M parameters, and both sides may be
TOLERANCE = 0.25
BARS = [
    Bar("jax_mfu", 0.4, at_most=False),
    Bar("vllm_from_jax_nats", TOLERANCE, at_most=True),
    Bar("cached_tokens_odd", 0.0, at_most=True),
]


def prompts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random prefixes and suffixes, each prefix before `SHARING` of the suffixes."""
    rng = np.random.default_rng(SEED)
    prefixes, suffixes = rng.integers(0, PYTHIA_1_4B.vocab_size, (2, PREFIXES, 128), np.int32)
    return (
        prefixes,
        suffixes,
        np.stack(
            [np.repeat(np.arange(PREFIXES), SHARING), rng.integers(0, PREFIXES, PREFIXES * SHARING)], axis=1
        ),
    )


def one_engine(name: str, folder: Path) -> None:
    """Score in this process and leave the sums and the time in `folder`."""
    engine = make_engine(name, folder, "float16")
    prefixes, suffixes, pairs = prompts()
    # compiles, warms the clocks, fills vLLM's cache with a quarter
    engine.score(prefixes[:64], suffixes, pairs[: 64 * SHARING])
    began = time.monotonic()
    scores = engine.score(prefixes, suffixes, pairs)
    np.savez(
        folder / f"{name}.npz",
        scores=scores,
        seconds=time.monotonic() - began,
        odd=odd_hits(engine, prefixes, suffixes, pairs, name),
    )


def odd_hits(engine: object, prefixes: np.ndarray, suffixes: np.ndarray, pairs: np.ndarray, name: str) -> int:
    """Prompts of which vLLM took neither nothing nor exactly the prefix from its cache."""
    if name != "vllm":
        return 0
    some = np.concatenate([prefixes[pairs[:400, 0]], suffixes[pairs[:400, 1]]], axis=1)
    outputs = engine._engine._generate(some, skip_cache=False)  # type: ignore[attr-defined]
    return sum(output.num_cached_tokens not in (0, 128) for output in outputs)


def peak_flops() -> float:
    """The peak of this machine's GPU in float16, operations a second.

    Raises:
        Failure: (exit code 5) if stages/devices.py does not know the GPU.
    """
    name = subprocess.run(
        ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    kind = name.splitlines()[0].strip()
    if kind not in DEVICE_OF_KIND:
        raise Failure(
            f"GPU {kind!r}",
            f"its peak is not known; known are {sorted(DEVICE_OF_KIND)}",
            "add it to stages/devices.py",
            Exit.ENVIRONMENT,
        )
    return PEAK_FLOPS[DEVICE_OF_KIND[kind]]["float16"]


def vllm_python() -> str | None:
    """An interpreter that has vLLM, if one is known."""
    return os.environ.get("RPT_VLLM_PYTHON") or (sys.executable if importlib.util.find_spec("vllm") else None)


def main() -> None:
    """Measure and show.

    Raises:
        Failure: (exit code 5) if there is no CUDA GPU.
    """
    if not cuda_gpus():
        raise Failure(
            "this benchmark cannot run",
            "there is no CUDA GPU",
            "run it on a machine with one and jax[cuda13]",
            Exit.ENVIRONMENT,
        )
    load, size = os.getloadavg()[0], PREFIXES * SHARING
    figures: dict[str, float] = {"pairs": size}
    with tempfile.TemporaryDirectory() as name:
        folder, peak = Path(name), peak_flops()
        gpt_neox_files.save(folder, PYTHIA_1_4B, gpt_neox.init(PYTHIA_1_4B, SEED))
        (folder / "tokenizer.json").write_text("{}")
        for engine, python in (("jax", sys.executable), ("vllm", vllm_python())):
            if python is None:
                sys.stderr.write("vllm: no environment has it, so it is not measured; set RPT_VLLM_PYTHON\n")
                continue
            subprocess.run(
                [python, "-m", "benchmarks.gpu_scoring", engine, name],
                cwd=ROOT,
                env=environment(ROOT),
                check=True,
            )
            with np.load(folder / f"{engine}.npz") as result:
                rate = scoring_flops(PYTHIA_1_4B, 64, PREFIXES, size) / float(result["seconds"])
                figures |= {
                    f"{engine}_pairs_per_s": size / float(result["seconds"]),
                    f"{engine}_mfu": rate / peak,
                }
                if engine == "vllm":
                    jax_scores = np.load(folder / "jax.npz")["scores"]
                    figures["vllm_from_jax_nats"] = float(
                        np.abs((result["scores"] - jax_scores).sum(axis=1)).max()
                    )
                    figures["cached_tokens_odd"] = float(result["odd"])
    show("gpu_scoring", figures, [bar for bar in BARS if bar.figure in figures], load)


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in ("jax", "vllm"):
        one_engine(sys.argv[1], Path(sys.argv[2]))
    else:
        try:
            main()
        except Failure as failure:
            sys.stderr.write(f"error: {failure}\n")
            sys.exit(failure.code)
