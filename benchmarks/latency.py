"""Where the time of a query goes: encode, search, fuse and read, for a trained run of RETRO with a whole
corpus and databases of several sizes.

`python -m benchmarks.latency RUN --sizes 10000 100000 1000000` reads the artifacts of the workspace. Encoder,
model and queries are real: strides of held-out documents, and the encoder that params.yaml names, whichever
the index was made with. The databases are synthetic: keys of some passages of the corpus with noise, as many
as are asked for, indexed as the section `index` of params.yaml says for so many; passages are those of the
corpus.

- encode: the keys of the chunks of a stride, by the frozen encoder. A BERT reads 64 at once, so that a stride
  costs as much as 64 chunks.
- search: their nearest passages, looked up and taken from the files.
- fuse: what reading passages adds to the time of a stride, the encoder of passages and cross-attention: the
  run's model less Transformer-XL of the same sizes.
- read: that Transformer-XL, over the same tokens.

Figures are medians over strides in milliseconds a chunk; the parts of a stride are measured one after
another, so that a busy machine slows all of them. `cpu_ms` has the same of the time that the process
computed, over all of its threads, which other programs change less.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks import _databases as databases
from benchmarks.index import BLOCK
from benchmarks.result import refusing, show
from data_contracts.evaluations import BASELINE
from data_contracts.failure import Exit, Failure
from model.config import ModelConfig
from model.initialisation import initial_parameters
from model.language_model import Fetched, LanguageModel
from model.parameters import Architecture
from model.registry import SYSTEMS
from stages import parameters
from stages.index.build import METRIC
from stages.index.encoders import load_encoder
from stages.index.store import PassageIndex, open_index
from stages.index.vectors import VectorIndex, build, read_graph, write_graph
from stages.parameters import Configuration, Index

SIZES = [10_000, 100_000, 1_000_000]
STRIDES, WARM = 50, 3
SAMPLE, NOISE = 512, 0.1  # passages whose keys are repeated, and noise as a share of the spread of a value
Step = Callable[[np.ndarray, np.ndarray], Any]
"""Tokens [1, W + 1] of a stride and the one after it, and the passages [1, C, K, R] that its chunks read ->
the losses [1, W].
"""


class Lap(NamedTuple):
    """Seconds of wall clock, and seconds that the process computed."""

    wall: float
    cpu: float


def timed(work: Callable[..., Any], *arguments: Any) -> tuple[Any, Lap]:
    """What a call gives, and what it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = jax.block_until_ready(work(*arguments))
    return found, Lap(time.perf_counter() - wall, time.process_time() - cpu)


def database_of(sample_XD: np.ndarray, size: int, section: Index, place: Path) -> tuple[VectorIndex, str]:
    """So many keys like those of a sample, in files, and the kind of their search."""
    rng, width, scale = np.random.default_rng(0), sample_XD.shape[1], NOISE * float(np.std(sample_XD))
    place.mkdir()
    keys = np.lib.format.open_memmap(place / "keys.npy", "w+", np.float32, (size, width))
    for first in range(0, size, BLOCK):
        count = min(BLOCK, size - first)
        noise = scale * rng.standard_normal((count, width), np.float32)
        keys[first : first + count] = sample_XD[np.arange(first, first + count) % len(sample_XD)] + noise
    keys.flush()
    keys_ND = np.load(place / "keys.npy", mmap_mode="r")
    if size <= section.exact_below:
        return VectorIndex(keys_ND, METRIC, None, section.probes), "exact"
    graph = build(keys_ND, section.approximate, METRIC, section.seed)
    assert graph is not None
    write_graph(graph, place / "graph")
    return VectorIndex(keys_ND, METRIC, read_graph(place / "graph"), section.probes), section.approximate


def step_of(model: LanguageModel) -> Step:
    """One stride read as an evaluation reads it, compiled."""
    graph, state = nnx.split(model)
    chunks, slots = model.config.stride_chunks, model.config.neighbours

    @jax.jit
    def read(state: Any, tokens_BT: jax.Array, passages_BCKR: jax.Array) -> jax.Array:
        merged = nnx.merge(graph, state)
        encoded, _ = merged.encode_segment(tokens_BT[:, :-1], merged.start_encoding(1))
        slots_BSCN = jnp.broadcast_to(jnp.arange(slots), (1, 1, chunks, slots))
        fetched = Fetched(passages_BCKR, slots_BSCN)
        decoded = merged.decode_segment(encoded, fetched, merged.start_decoding(1, slots))
        return merged.token_losses(decoded.final_XWD, tokens_BT[:, 1:])

    return lambda tokens_BT, passages_BCKR: read(state, tokens_BT, passages_BCKR)


def without_passages(config: ModelConfig) -> LanguageModel:
    """Transformer-XL of the same sizes; times do not depend on what its parameters are."""
    config = replace(config, cca_layers=())
    architecture = Architecture.of(SYSTEMS[BASELINE].build, config)
    return architecture.model(initial_parameters(architecture, config, 0))


def strides_of(configuration: Configuration, home: Path) -> Iterator[np.ndarray]:
    """[1, W + 1] tokens of whole strides of held-out documents and the one after, again and again."""
    size = configuration.geometry.chunk_tokens * configuration.geometry.stride_chunks
    documents = [document.tokens_T for document in databases.documents_of(configuration, home)]
    strides = [
        tokens[at : at + size + 1] for tokens in documents for at in range(0, len(tokens) - size, size)
    ]
    if not strides:
        cause = f"no held-out document has {size + 1} tokens"
        raise Failure("there is nothing to read", cause, "add documents", Exit.USAGE)
    while True:
        yield from (stride[None].astype(np.int32) for stride in strides)


@dataclass(frozen=True)
class Parts:
    """What a query goes through: the encoder, databases by their size, and the model and its reading
    alone.
    """

    encode: Callable[[np.ndarray], np.ndarray]
    index: PassageIndex
    databases: dict[int, VectorIndex]
    steps: dict[str, Step]

    def fetch(self, size: int, keys_CD: np.ndarray, count: int) -> np.ndarray:
        """[1, C, K, R] the passages that a database of a size gives."""
        ids_Ck = self.databases[size].search(keys_CD, count).ids_Qk
        return np.asarray(self.index.passages_NR[ids_Ck % len(self.index)])[None].astype(np.int32)

    def laps(self, tokens_BT: np.ndarray, chunk_tokens: int, count: int) -> dict[str, Lap]:
        """One stride, part by part."""
        found: dict[str, Lap] = {}
        keys_CD, found["encode"] = timed(self.encode, tokens_BT[:, :-1].reshape(-1, chunk_tokens))
        for size in self.databases:
            passages_BCKR, found[f"search_at_{size}"] = timed(self.fetch, size, keys_CD, count)
        for part, step in self.steps.items():
            _, found[part] = timed(step, tokens_BT, passages_BCKR)
        return found


def check_sizes(sizes: list[int], least: int) -> None:
    """Refuse, with exit code 2, a size twice, and one below the passages that a chunk reads."""
    for size in sizes:
        cause = f"{size} is there twice" if sizes.count(size) > 1 else f"{size} is less than {least}"
        if size < least or sizes.count(size) > 1:
            remedy = f"name each once, from {least} passages, as many as a chunk reads"
            raise Failure(f"--sizes {' '.join(map(str, sizes))}", cause, remedy, Exit.USAGE)


def measure(
    configuration: Configuration, name: str, sizes: list[int], scratch: Path
) -> tuple[dict[str, list[Lap]], dict[str, str]]:
    """The laps of every part, and the kind of search at each size.

    Raises:
        Failure: (exit code 2) for sizes that `check_sizes` refuses, or if there is nothing to read.
    """
    model = databases.load_run(configuration, name)
    check_sizes(sizes, model.config.neighbours)
    home, geometry = databases.ARTIFACTS / configuration.runs[name].corpus, configuration.geometry
    index = open_index(home / "index")
    encoder = load_encoder(configuration.passage_encoder, home / "tokenizer", geometry.chunk_tokens)
    sample_XD = encoder.encode(np.asarray(index.passages_NR[:SAMPLE, : geometry.chunk_tokens]))
    steps = {"whole": step_of(model), "read": step_of(without_passages(model.config))}
    made = {size: database_of(sample_XD, size, configuration.index, scratch / f"{size}") for size in sizes}
    parts = Parts(encoder.encode, index, {size: vectors for size, (vectors, _) in made.items()}, steps)
    laps: dict[str, list[Lap]] = {}
    for place, tokens_BT in zip(range(WARM + STRIDES), strides_of(configuration, home), strict=False):
        for part, lap in parts.laps(tokens_BT, geometry.chunk_tokens, model.config.neighbours).items():
            if place >= WARM:
                laps.setdefault(part, []).append(lap)
    return laps, {f"{size}": kind for size, (_, kind) in made.items()}


def medians(laps: dict[str, list[Lap]], clock: str, chunks: int) -> dict[str, float]:
    """Milliseconds a chunk by part; `fuse` is what is left of the whole model without its reading."""
    found = {
        part: 1000 * float(np.median([getattr(lap, clock) for lap in of])) / chunks
        for part, of in laps.items()
    }
    return found | {"fuse": found.pop("whole") - found["read"]}


def main() -> None:
    """Measure and show."""
    load, configuration = os.getloadavg()[0], parameters.load(databases.PARAMETERS)
    parser = argparse.ArgumentParser(prog="./rpt bench latency")
    parser.add_argument("run", metavar="RUN", help="of a system that reads a whole corpus")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="passages of the databases")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    databases.check_runs(configuration, [asked.run])
    with tempfile.TemporaryDirectory() as scratch:
        laps, kinds = measure(configuration, asked.run, asked.sizes, Path(scratch))
    wall, cpu = (medians(laps, clock, configuration.geometry.stride_chunks) for clock in ("wall", "cpu"))
    details = {"cpu_ms": cpu, "search": kinds, "strides": STRIDES}
    show("latency", {f"{part}_ms": value for part, value in wall.items()}, [], load, **details)


if __name__ == "__main__":
    raise SystemExit(refusing(main))
