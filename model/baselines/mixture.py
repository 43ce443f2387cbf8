"""A language model mixed with a second distribution over the same vocabulary: (1 - lambda) p + lambda q,
which sums to 1 as both do.

Lambda is one number for each group of tokens, where the group is known before the token is. It is fitted on
other text than it is used on.
"""

from __future__ import annotations

import numpy as np

ROUNDS = 100


def fitted_weights(model_N: np.ndarray, other_N: np.ndarray, group_N: np.ndarray, groups: int) -> np.ndarray:
    """Lambda of each group, by expectation maximisation of the likelihood of the tokens with these two
    probabilities.

    A token counted for each side keeps it off 0 and 1 where a group has few; one without tokens has 0. Tokens
    of a negative group do not count.
    """
    model_N, other_N, group_N = (values[group_N >= 0] for values in (model_N, other_N, group_N))
    tokens_G = np.bincount(group_N, minlength=groups)
    weights_G = np.full(groups, 0.5)
    for _ in range(ROUNDS):
        share_N = weights_G[group_N] * other_N
        share_N = share_N / (share_N + (1 - weights_G[group_N]) * model_N)
        weights_G = (np.bincount(group_N, share_N, minlength=groups) + 1) / (tokens_G + 2)
    return np.where(tokens_G > 0, weights_G, 0.0)


def mixed_losses(
    model_losses_N: np.ndarray, other_N: np.ndarray, group_N: np.ndarray, weights_G: np.ndarray
) -> np.ndarray:
    """Nats of each token under the mixture; of a negative group the model is alone."""
    weight_N = np.where(group_N >= 0, weights_G[group_N], 0.0)
    mixed_N = (1 - weight_N) * np.exp(-model_losses_N.astype(np.float64)) + weight_N * other_N
    return np.where(weight_N > 0, -np.log(mixed_N), model_losses_N)
