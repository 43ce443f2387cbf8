"""`python -m stages.bill.calibration CORPUS`: how fast this machine scores, in about 20 s with the engine and
pairs of the corpus.

Printed as JSON and kept in `.run/calibration.json` by engine, code and machine: floating-point operations a
second, as stages/bill/cost.py counts them, hold for other corpora and other numbers of candidates too.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import numpy as np

from data_contracts.candidates import CANDIDATES
from data_contracts.contract import open_artifact
from data_contracts.failure import Failure
from data_contracts.tokens import CHUNKS
from data_contracts.whole_files import write_atomically
from model.decoder_config import DecoderConfig, read_config
from model.hugging_face_files import digest
from stages.bill.cost import scoring_flops
from stages.engines.scoring_lm import Pieces, Progress, ScoringLM, prompt_lengths
from stages.identity.code_identity import CHECKOUT, code_digest
from stages.identity.digest import short_digest
from stages.parameters import Configuration, load
from stages.scoring.pairs import wanted_pairs
from stages.scoring.scoring import chosen_rows, scorer_of

SECONDS = 20.0
CACHE = Path(".run/calibration.json")


class _TimeUp(Exception):
    pass


class TimedLM:
    """A `ScoringLM` that scores as `engine` does until it has spent `seconds`, and then stops between two
    batches by raising.

    It adds up `pairs`, `flops` and `spent` seconds once it is `ready`, which means compiled (a time of
    `time.monotonic()`).
    """

    def __init__(self, engine: ScoringLM, config: DecoderConfig, seconds: float):
        self._engine, self._config, self._seconds = engine, config, seconds
        self.ready: float | None = None
        self.pairs, self.flops, self.spent = 0, 0.0, 0.0

    def identity(self) -> dict[str, str]:
        """That of the engine."""
        return self._engine.identity()

    def score(
        self,
        prefixes_PT: np.ndarray,
        suffixes_ST: np.ndarray,
        pairs_n2: np.ndarray,
        progress: Progress | None = None,
    ) -> np.ndarray:
        """See `ScoringLM.score`."""
        first = np.zeros((1, 2), np.int64)
        self._get_ready(lambda: self._engine.score(prefixes_PT[:1], suffixes_ST[:1], first))
        timed = partial(self._engine.score, prefixes_PT, suffixes_ST, pairs_n2)
        return self._timed(timed, pairs_n2, suffixes_ST.shape[1] / 2)

    def score_pieces(self, pieces: Pieces, progress: Progress | None = None) -> np.ndarray:
        """See `ScoringLM.score_pieces`; its operations are those of real tokens, so padding makes
        it slower.
        """
        self._get_ready(lambda: self._engine.score_pieces(pieces._replace(pairs_n2=pieces.pairs_n2[:1])))
        return self._timed(
            partial(self._engine.score_pieces, pieces),
            pieces.pairs_n2,
            float(prompt_lengths(pieces).mean()) / 4,
        )

    def _get_ready(self, score_one: Callable[[], np.ndarray]) -> None:
        if self.ready is None:
            score_one()
            self.ready = time.monotonic()

    def _timed(
        self, score: Callable[[Progress], np.ndarray], pairs_n2: np.ndarray, chunk_tokens: float
    ) -> np.ndarray:
        prefixes, began, finished = len(np.unique(pairs_n2[:, 0])), time.monotonic(), 0

        def count(done: int, total: int) -> None:
            nonlocal finished
            finished = int(done)
            if self.spent + time.monotonic() - began >= self._seconds:
                raise _TimeUp

        try:
            return score(count)
        finally:
            self.spent += time.monotonic() - began
            self.pairs += finished
            self.flops += (
                scoring_flops(self._config, chunk_tokens, prefixes, len(pairs_n2)) * finished / len(pairs_n2)
            )


def measure(home: Path, configuration: Configuration, seconds: float) -> dict:
    """Score pairs of the corpus whose artifacts are in `home`, the largest shards first as scoring does, for
    about `seconds`.

    Seconds to start are those of reading the weights and compiling.
    """
    chunks, candidates = (
        open_artifact(CHUNKS, home / "chunks"),
        open_artifact(CANDIDATES, home / "candidates"),
    )
    load_at_start, began = os.getloadavg()[0], time.monotonic()
    directory = home / "reference_lm"
    scorer = scorer_of(
        configuration.scoring, home / "tokenizer", directory, configuration.geometry.chunk_tokens
    )
    timed = TimedLM(scorer.engine, read_config(directory), seconds)
    for shard in sorted(chunks.shards, key=lambda name: (-chunks.shards[name]["bytes"], name)):
        wanted = wanted_pairs(chosen_rows(candidates.read(shard), configuration.scoring))
        try:
            scorer.prompts(chunks.read(shard)).score(timed, wanted)
        except _TimeUp:
            break
    return {
        "flops_per_second": timed.flops / timed.spent,
        "pairs_per_second": round(timed.pairs / timed.spent, 3),
        "start_seconds": round((timed.ready or began) - began, 1),
        "pairs": timed.pairs,
        "seconds": round(timed.spent, 1),
        "load_at_start": load_at_start,
        "date": time.strftime("%Y-%m-%d"),
    }


def machine() -> dict:
    """What decides how fast this machine computes: processor, cores, devices that JAX finds."""
    information = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in information if line.startswith("model name")]
    devices = [device.device_kind for device in jax.devices()]
    return {
        "processor": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "devices": devices,
    }


def calibrate(corpus: str) -> dict:
    """The measurement for this corpus, from the file if the same engine was measured on this machine before.

    Raises:
        Failure: if an artifact of the corpus is missing or corrupt.
    """
    configuration, home, here = load(Path("params.yaml")), Path("artifacts") / corpus, machine()
    engine = [
        configuration.scoring.engine,
        configuration.scoring.dtype,
        jax.__version__,
        digest(home / "reference_lm"),
        configuration.geometry.chunk_tokens,
    ]
    key = short_digest(engine, code_digest(CHECKOUT, "stages.bill.calibration"), here)
    known = json.loads(CACHE.read_text()) if CACHE.exists() else {}
    if key not in known:
        known[key] = {**measure(home, configuration, SECONDS), "machine": here}
        CACHE.parent.mkdir(exist_ok=True)
        write_atomically(CACHE, json.dumps(known, indent=1).encode())
    return known[key]


def main(arguments: list[str]) -> int:
    """Print the measurement for the corpus named, as one line of JSON; what goes wrong is the last line on
    standard error.
    """
    try:
        sys.stdout.write(json.dumps(calibrate(arguments[0])) + "\n")
    except Failure as failure:
        sys.stderr.write(f"{failure}\n")
        return failure.code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
