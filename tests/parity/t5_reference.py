"""The buckets of distances of T5 as `transformers` 5.24.0 computes them (PyTorch on a CPU)."""

from __future__ import annotations

import numpy as np
import torch
from transformers.models.t5.modeling_t5 import T5Attention

PACKAGE, SEED = "transformers 5.24.0", None
BUCKETS, FARTHEST = 32, 128


def arrays() -> dict[str, np.ndarray]:
    """The bucket of a key so many tokens before its query, for every number up to 2,100."""
    distances = torch.arange(2101)
    found = T5Attention._relative_position_bucket(
        -distances, bidirectional=False, num_buckets=BUCKETS, max_distance=FARTHEST
    )
    return {"distances": distances.numpy(), "buckets": found.numpy()}
