"""Four ways to score the same pairs with the same model:
`python -m benchmarks._scoring_ways MODEL PAIRS.npz OUT.json`.

Needs JAX and vLLM in one environment. The plain ways are what a user does who knows nothing of shared
prefixes: whole prompts of 256 tokens, in query order, log-probabilities of all 255 predicted tokens, of which
the last 64 are taken; vLLM with all its defaults but for the memory it takes. All ways must agree, and they
take turns.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import psutil

from model import gpt_neox
from model.gpt_neox_config import GPTNeoXConfig
from model.gpt_neox_files import load
from stages.engines.jax_engine import JaxScoringLM
from stages.engines.vllm_engine import CPU_CACHE_BYTES, ENVIRONMENT, VllmScoringLM

ROUNDS = 3
BATCH = 16
TARGET = 64
Way = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@partial(jax.jit, static_argnums=1)
def _all_logprobs(params: gpt_neox.Params, config: GPTNeoXConfig, tokens_BL: jax.Array) -> jax.Array:
    logprobs = jax.nn.log_softmax(gpt_neox.logits(params, config, tokens_BL[:, :-1]))
    return jnp.take_along_axis(logprobs, tokens_BL[:, 1:, None], axis=-1)[..., 0]


def jax_naive(directory: Path) -> Way:
    """JAX on whole prompts with 255 rows of the head."""
    config, params = load(directory)

    def score(prefixes: np.ndarray, suffixes: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        prompts = np.concatenate([prefixes[pairs[:, 0]], suffixes[pairs[:, 1]]], axis=1)
        sums = [
            _all_logprobs(params, config, np.resize(prompts[at : at + BATCH], (BATCH, 256)))[:, -TARGET:].sum(
                axis=1
            )
            for at in range(0, len(prompts), BATCH)
        ]
        return np.concatenate(sums)[: len(pairs)]

    return score


def vllm_plain(directory: Path) -> Way:
    """vLLM with prompt log-probabilities and otherwise as it comes."""
    import vllm

    llm = vllm.LLM(model=str(directory), dtype="float32", kv_cache_memory_bytes=CPU_CACHE_BYTES)
    asked = vllm.SamplingParams(max_tokens=1, prompt_logprobs=0)

    def score(prefixes: np.ndarray, suffixes: np.ndarray, pairs: np.ndarray) -> np.ndarray:
        prompts = np.concatenate([prefixes[pairs[:, 0]], suffixes[pairs[:, 1]]], axis=1).tolist()
        outputs = llm.generate([{"prompt_token_ids": prompt} for prompt in prompts], asked, use_tqdm=False)
        return np.array(
            [
                sum(
                    row[token].logprob
                    for row, token in zip(output.prompt_logprobs[-TARGET:], prompt[-TARGET:], strict=True)
                )
                for output, prompt in zip(outputs, prompts, strict=True)
            ]
        )

    return score


def shared(engine: JaxScoringLM | VllmScoringLM) -> Way:
    """An engine of ours, sums over the whole target."""
    return lambda *prompts: engine.score(*prompts).sum(axis=1)


def cpu_seconds() -> float:
    """CPU time of this process and all it started so far."""
    me = psutil.Process()
    return sum(
        times.user + times.system
        for times in (process.cpu_times() for process in (me, *me.children(recursive=True)))
    )


def measure(
    ways: dict[str, Way], prompts: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> Iterator[tuple[str, float, float]]:
    """(way, CPU-seconds, wall seconds) of every way in every round; each has been compiled before.

    Raises:
        SystemExit: if two ways disagree by 1e-3 nats or more.
    """
    results = {name: way(*prompts) for name, way in ways.items()}
    first = next(iter(results.values()))
    if wrong := {
        name: float(np.abs(sums - first).max())
        for name, sums in results.items()
        if np.abs(sums - first).max() >= 1e-3
    }:
        raise SystemExit(f"scores differ from {next(iter(results))} by up to {wrong} nats")
    for number in range(ROUNDS):
        for name, way in ways.items():
            sys.stderr.write(f"round {number + 1} of {ROUNDS}: {name}\n")
            cpu, wall = cpu_seconds(), time.monotonic()
            way(*prompts)
            yield name, cpu_seconds() - cpu, time.monotonic() - wall


def main(directory: Path, file: Path, out: Path) -> None:
    """Write {way: {cpu_ms, pairs_per_s}} to `out`, medians over rounds."""
    os.environ.update(ENVIRONMENT)
    with np.load(file) as data:
        prompts = data["prefixes"], data["suffixes"], data["pairs"]
    ways = {
        "jax_naive": jax_naive(directory),
        "jax_shared": shared(JaxScoringLM(directory)),
        "vllm_plain": vllm_plain(directory),
        "vllm_shared": shared(VllmScoringLM(directory)),
    }
    taken = list(measure(ways, prompts))
    pairs, result = len(prompts[2]), {}
    for way in ways:
        cpu = statistics.median(seconds for name, seconds, _ in taken if name == way)
        wall = statistics.median(seconds for name, _, seconds in taken if name == way)
        result[way] = {"cpu_ms": 1e3 * cpu / pairs, "pairs_per_s": pairs / wall}
    out.write_text(json.dumps(result))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
