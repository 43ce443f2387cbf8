"""What a scored pair costs: both engines with shared prefixes against plain use, against the floor, and
against the bill.

One model of 4 layers x 192 with random weights and the BM25 candidates of real text; `_scoring_ways.py` says
what is compared. The bill is that of the demo corpus, in a copy of the checkout, against what its scoring
then takes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import polars as pl
import pyarrow as pa

from benchmarks._copy import environment, fresh_copy
from benchmarks.result import Bar, show
from benchmarks.tokenization import documents, standard_library
from flows.commands.testing import vllm_python
from flows.workspace import ROOT
from model import gpt_neox, gpt_neox_files
from model.gpt_neox import prefix_keys_values, suffix_logprobs
from model.gpt_neox_config import PYTHIA_1_4B, GPTNeoXConfig
from model.matrix_flops import matrix_flops
from stages.bill.cost import prefix_flops, suffix_flops, whole_prompt_flops
from stages.engines.jax_engine import JaxScoringLM
from stages.engines.scoring_lm import Pieces, Progress
from stages.mining.mining import mine
from stages.parameters import Geometry, Mining, Scoring
from stages.scoring.ledger import Ledger
from stages.scoring.pairs import ShardPrompts, fill, wanted_pairs
from stages.scoring.scoring import chosen_rows
from stages.tokens.chunking import chunk
from stages.tokens.tokenization import tokenize
from stages.tokens.tokenizer import train_tokenizer

TINY = GPTNeoXConfig(4096, 192, 4, 6, 768)
GEOMETRY = Geometry(chunk_tokens=64, sequence_chunks=128, stride_chunks=2)
DOCUMENT_CHARACTERS = 10_000
BARS = [
    Bar("jax_shared_x_naive", 1.8, at_most=False),
    Bar("vllm_shared_x_plain", 1.8, at_most=False),
    Bar("jax_x_vllm", 1.0, at_most=False),
    Bar("calls_k20_to_30", 1.0, at_most=True),
    Bar("calls_k30_to_20", 0.0, at_most=True),
    Bar("plan_error", 0.25, at_most=True, wall_clock=True),
]


class Watched:
    """An engine that keeps the prompts it was last asked to score and counts the pairs."""

    def __init__(self, engine: JaxScoringLM):
        self.engine, self.pairs = engine, 0
        self.prompts: tuple[np.ndarray, ...] = ()

    def identity(self) -> dict[str, str]:
        """That of the engine."""
        return self.engine.identity()

    def score(
        self,
        prefixes_PT: np.ndarray,
        suffixes_ST: np.ndarray,
        pairs_n2: np.ndarray,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """See `ScoringLM.score`."""
        self.prompts, self.pairs = (prefixes_PT, suffixes_ST, pairs_n2), self.pairs + len(pairs_n2)
        return self.engine.score(prefixes_PT, suffixes_ST, pairs_n2, progress)

    def score_pieces(self, pieces: Pieces, progress: Progress | None = None) -> np.ndarray:
        """See `ScoringLM.score_pieces`; what is measured here has one tokenizer."""
        return self.engine.score_pieces(pieces, progress)


def sample(folder: Path) -> tuple[ShardPrompts, Callable[[int], pl.DataFrame]]:
    """The prompts of one document of Python's standard library, and the pairs that k candidates a query need,
    query by query.
    """
    texts = standard_library(8_000_000)
    train_tokenizer(iter(texts), TINY.vocab_size).save(str(folder / "tokenizer.json"))
    table = documents([max(texts, key=len)[:DOCUMENT_CHARACTERS]])
    chunks = pa.concat_tables(chunk(pa.concat_tables(tokenize(table, folder)), GEOMETRY, folder))
    candidates = pa.concat_tables(mine(chunks, GEOMETRY, Mining.model_validate({"max_candidates": 30})))

    def pairs(k: int) -> pl.DataFrame:
        rows = chosen_rows(candidates, Scoring.model_validate({"candidates": k, "evaluation_candidates": k}))
        return wanted_pairs(rows).sort("query_chunk", "candidate_chunk")

    return ShardPrompts(chunks, GEOMETRY.chunk_tokens), pairs


def calls(folder: Path, prompts: ShardPrompts, pairs: Callable[[int], pl.DataFrame]) -> dict[str, float]:
    """Pairs scored for every pair that is new when k goes from 20 to 30, and pairs scored when it
    goes back.
    """
    engine = Watched(JaxScoringLM(folder))
    ledger, scored = Ledger(folder / "ledger", engine.identity()), []
    for k in (20, 30, 20):
        before = engine.pairs
        fill(ledger, engine, prompts, pairs(k))
        scored.append(engine.pairs - before)
    return {
        "calls_k20_to_30": scored[1] / (len(pairs(30)) - len(pairs(20))),
        "calls_k30_to_20": float(scored[2]),
    }


def flops(sharing: float) -> dict[str, float]:
    """Matrix operations a pair of the JAX engine as it is written, at the shape of Pythia-1.4B, and the least
    there could be.
    """
    params, prefixes, pairs = gpt_neox.shapes(PYTHIA_1_4B), 64, 128
    tokens = jax.ShapeDtypeStruct((prefixes, 128), jnp.int32)
    kv = jax.eval_shape(
        lambda params, tokens: prefix_keys_values(params, PYTHIA_1_4B, tokens), params, tokens
    )
    once = jax.make_jaxpr(lambda params, tokens: prefix_keys_values(params, PYTHIA_1_4B, tokens))(
        params, tokens
    )
    suffix = jax.make_jaxpr(lambda *arguments: suffix_logprobs(arguments[0], PYTHIA_1_4B, *arguments[1:]))(
        params, kv, jax.ShapeDtypeStruct((pairs,), jnp.int32), jax.ShapeDtypeStruct((pairs, 128), jnp.int32)
    )
    ours = matrix_flops(once.jaxpr) / prefixes / sharing + matrix_flops(suffix.jaxpr) / pairs
    floor = prefix_flops(PYTHIA_1_4B, 64) / sharing + suffix_flops(PYTHIA_1_4B, 64)
    whole = whole_prompt_flops(PYTHIA_1_4B, 64)
    return {
        "flops_per_pair_x_floor": ours / floor,
        "tflop_per_pair_1_4b": ours / 1e12,
        "tflop_per_whole_prompt_1_4b": whole / 1e12,
    }


def ways(folder: Path, prompts: tuple[np.ndarray, ...]) -> dict[str, dict[str, float]]:
    """What `_scoring_ways.py` measures, in the environment that has vLLM."""
    np.savez(folder / "pairs.npz", prefixes=prompts[0], suffixes=prompts[1], pairs=prompts[2])
    command = [
        str(vllm_python()),
        "-m",
        "benchmarks._scoring_ways",
        str(folder),
        str(folder / "pairs.npz"),
        str(folder / "ways.json"),
    ]
    subprocess.run(command, cwd=ROOT, env=environment(ROOT), check=True, stdout=sys.stderr)
    return json.loads((folder / "ways.json").read_text())


def plan_error(folder: Path) -> dict[str, float]:
    """The bill of the demo corpus against what its scoring then takes, in a copy."""
    copy = fresh_copy(folder)
    rpt = [sys.executable, "-m", "flows.cli"]

    def run(*arguments: str) -> str:
        return subprocess.run(
            [*rpt, *arguments], cwd=copy, env=environment(copy), check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    run("run", "mining", "reference_lm")
    (bill,) = json.loads(run("plan", "scoring", "--json"))["bills"]
    run("run", "scoring")
    events = [json.loads(line) for line in (copy / ".run" / "events.jsonl").read_text().splitlines()]
    (taken,) = (
        event["seconds"] for event in events if event["event"] == "end" and event["stage"] == "scoring@demo"
    )
    planned = bill["here"]["seconds"]
    return {"plan_error": abs(planned / taken - 1), "planned_s": planned, "taken_s": taken}


def main() -> None:
    """Measure and show."""
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prompts, pairs = sample(folder)
        gpt_neox_files.save(folder, TINY, gpt_neox.init(TINY, 0))
        prompts.score(watched := Watched(JaxScoringLM(folder)), pairs(20))
        sharing = watched.pairs / len(watched.prompts[0])
        bill = plan_error(folder)
        measured = ways(folder, watched.prompts)
        cpu = {name: way["cpu_ms"] for name, way in measured.items()}
        figures = {
            "jax_shared_x_naive": cpu["jax_naive"] / cpu["jax_shared"],
            "vllm_shared_x_plain": cpu["vllm_plain"] / cpu["vllm_shared"],
            "jax_x_vllm": cpu["vllm_shared"] / cpu["jax_shared"],
            **calls(folder, prompts, pairs),
            **flops(sharing),
            **bill,
            "sharing": sharing,
            "pairs": watched.pairs,
            **{f"{name}_{figure}": value for name, way in measured.items() for figure, value in way.items()},
        }
    show("scoring", figures, BARS, load)


if __name__ == "__main__":
    main()
