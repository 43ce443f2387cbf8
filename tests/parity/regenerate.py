"""Writes tests/model/goldens/*.npz: what packages that none of us wrote compute, for
tests/model/test_reference_parity.py.

The packages stay out of the project's environment. In one of its own, from the root of the project:

    python3.11 -m venv .venv-parity
    .venv-parity/bin/pip install -r tests/parity/requirements.txt
    .venv-parity/bin/pip install --no-deps -r tests/parity/references.txt
    .venv-parity/bin/python tests/parity/regenerate.py [--check]

`--check` writes nothing and fails unless the committed numbers come out again, within 1e-6.
"""

from __future__ import annotations

import sys
from pathlib import Path

import bert_reference
import decoder_reference
import gguf_reference
import griffin_reference
import numpy as np
import retro_reference
import t5_reference

GOLDENS = Path(__file__).resolve().parents[1] / "model" / "goldens"
REFERENCES = {
    "griffin": griffin_reference,
    "chunked_cross_attention": retro_reference,
    "bert": bert_reference,
    "decoders": decoder_reference,
    "gguf_tokenizers": gguf_reference,
    "distance_buckets": t5_reference,
}
TOLERANCE = 1e-6


def main(check: bool) -> int:
    """The number of files that did not come out again."""
    failures = 0
    for name, reference in REFERENCES.items():
        path, arrays = GOLDENS / f"{name}.npz", reference.arrays()
        if not check:
            np.savez_compressed(path, **arrays)
        difference = _difference(path, arrays)
        failures += not difference <= TOLERANCE  # a nan fails
        print(  # noqa: T201
            f"{path.name}: {reference.PACKAGE}, seed {reference.SEED}, {path.stat().st_size} bytes, off by"
            f" {difference:.1e}"
        )
    return failures


def _difference(path: Path, arrays: dict[str, np.ndarray]) -> float:
    with np.load(path) as committed:
        if set(committed) != set(arrays):
            return float("inf")
        return max(
            float(np.abs(committed[name].astype(float) - value).max()) for name, value in arrays.items()
        )


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
