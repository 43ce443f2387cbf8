"""First values with which small decoders read their window and their neighbours from the first update on.

Heads are told how far the text before a key agrees with that up to the query (model/agreement.py). Here they
are given what to do with it: half of the heads of each self-attention, and all of cross-attention, begin by
reading what followed the same tokens, and cross-attention hands on the token that it finds, or nothing where
nothing agrees. Training keeps, bends or drops that as its loss asks. Every system gets the same; the paper
has none of it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from model.config import ModelConfig
from model.parameters import Parameters

# logits of a key before which the last token is the same, the last two, the last three
MATCHES = (4.0, 5.0, 4.0)
# logit of reading no neighbour: above that of 256 keys of which none agrees, below that of two agreeing
# tokens
NOTHING_AGREES = 8.0
HANDED_ON = 4.0  # what cross-attention adds of a token that it finds, in embeddings
GATE = 2.0  # logit of a neighbour's gate, 0.9 of it open


def with_copying_values(values: Parameters, config: ModelConfig, key: Array) -> Parameters:
    """The values, with those of what heads know of agreement, of cross-attention's values and outputs and of
    the gate replaced.
    """
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    handed_on_DD = np.linalg.qr(rng.standard_normal((config.width, config.width)))[0]
    size_of_tokens = float(values["embedding.table"].std())
    heads, new = np.arange(config.heads), {path: np.asarray(value) for path, value in values.items()}
    for path, value in values.items():
        crossing = ".cross_attention." in path
        if path.endswith("match_bias"):
            new[path] = np.outer(heads < (config.heads if crossing else max(1, config.heads // 2)), MATCHES)
        elif path.endswith("nothing_bias"):
            new[path] = np.full(config.heads, NOTHING_AGREES)
        elif crossing and path.endswith("null_value"):
            new[path] = np.zeros_like(value)
        elif crossing and path.endswith("value.kernel"):
            new[path] = handed_on_DD
        elif crossing and path.endswith("output.kernel"):
            new[path] = HANDED_ON * size_of_tokens * handed_on_DD.T
        elif path == "fusion.gate.weight.bias":
            new[path] = np.full_like(value, GATE)
        elif path == "final_norm.scale":
            new[path] = value / (size_of_tokens * np.sqrt(config.width))
    return {path: jnp.asarray(value, jnp.float32) for path, value in new.items()}
