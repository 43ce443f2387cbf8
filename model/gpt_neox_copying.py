"""First values with which a GPT-NeoX copies before it has learnt anything, for reference LMs that are trained
for minutes.

A large pretrained LM predicts "the token after the earlier occurrence of this token" by two attention heads
in a row, one that looks one token back and one that matches (induction heads; Olsson et al. 2022, arXiv
2209.11895). A small LM trained for minutes does not form them, and then says nothing about a chunk put before
its prompt. Here they are built into the first two layers; training keeps, bends or drops them as its loss
asks. Pythia, the paper's reference LM, has learnt the same from 300 B tokens.

Dimensions: D width, H heads, K head size, R rotated and N = K - R other dimensions of a head, V vocabulary.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from model.gpt_neox import Params, init
from model.gpt_neox_config import GPTNeoXConfig

# logit of the token before above a token whose rotary angles all disagree by 90 degrees, for each pair of
# dimensions
LOOK_BACK = 25.0
# scale of matched queries and of keys: a token against itself gets a logit of MATCH^2 sqrt(N / K)
MATCH = 6.0
COPY = 3.0  # of the copied token, whose embedding has deviation 1
CERTAINTY = 0.5  # of the output matrix, against embeddings of length 1


def copying_init(config: GPTNeoXConfig, seed: int) -> Params:
    """Parameters as of `init`, but for the embeddings, the first two layers' attention, and residual outputs,
    which are zero elsewhere.

    In layer 1, head 0 looks one token back: its query and key are constant vectors that rotary positions
    turn, so that they agree best at distance 1. It writes N directions of the token there where no token is
    written. In layer 2, all heads but the first match those directions of earlier positions with the token at
    hand, and write the token found there where the output matrix reads.

    Raises:
        ValueError: if there are fewer than two layers or heads, or no dimension of a head is free of
            rotation.
    """
    if (
        config.num_hidden_layers < 2
        or config.num_attention_heads < 2
        or config.rotary_size == config.head_size
    ):
        raise ValueError(
            f"{config.num_hidden_layers} layers of {config.num_attention_heads} heads with"
            f" {config.head_size - config.rotary_size} unrotated dimensions cannot copy: it takes at least 2,"
            " 2 and 1"
        )
    params = jax.tree.map(np.array, init(config, seed))
    rng = np.random.default_rng([seed, 1])
    embedding_VD = rng.standard_normal((config.vocab_size, config.hidden_size), np.float32)
    params["embed_in"] = embedding_VD
    params["embed_out"] = CERTAINTY * embedding_VD.T / np.sqrt(config.hidden_size)
    layers = params["layers"]
    for name in ("dense", "dense_4h_to_h"):
        layers[name]["kernel"][:] = 0
    free = config.head_size - config.rotary_size
    read_DN, write_DN = np.split(_orthonormal(rng, config.hidden_size, 2 * free), 2, axis=1)
    _look_back(layers, config, read_DN, write_DN)
    _match(layers, config, read_DN, write_DN, rng)
    return jax.tree.map(jnp.asarray, params)


def _look_back(layers: Params, config: GPTNeoXConfig, read_DN: np.ndarray, write_DN: np.ndarray) -> None:
    query, key, value = _columns(config, head=0)
    fused, half = layers["query_key_value"], config.rotary_size // 2
    angles = config.rotary_emb_base ** (-np.arange(half) / half)
    length = np.sqrt(LOOK_BACK * np.sqrt(config.head_size))
    fused["kernel"][0][:, [*query, *key, *value]] = 0
    fused["bias"][0][query[:half]] = length
    fused["bias"][0][key[: 2 * half]] = length * np.concatenate([np.cos(angles), np.sin(angles)])
    fused["kernel"][0][:, value[: read_DN.shape[1]]] = read_DN
    layers["dense"]["kernel"][0][: read_DN.shape[1]] = write_DN.T


def _match(
    layers: Params, config: GPTNeoXConfig, read_DN: np.ndarray, write_DN: np.ndarray, rng: np.random.Generator
) -> None:
    fused, size = layers["query_key_value"]["kernel"][1], config.head_size
    carried_DD = _orthonormal(rng, config.hidden_size, config.hidden_size)
    for head in range(1, config.num_attention_heads):
        query, key, value = _columns(config, head)
        fused[:, [*query, *key]] = 0
        fused[:, query[config.rotary_size :]] = MATCH * read_DN / np.sqrt(read_DN.shape[1])
        fused[:, key[config.rotary_size :]] = MATCH * write_DN
        carried_DK = carried_DD[:, head * size : (head + 1) * size]
        fused[:, value] = carried_DK
        layers["dense"]["kernel"][1][head * size : (head + 1) * size] = COPY * carried_DK.T


def _columns(config: GPTNeoXConfig, head: int) -> np.ndarray:
    """Where the fused projection holds the query, key and value of a head, [3, K]."""
    return (3 * head + np.arange(3))[:, None] * config.head_size + np.arange(config.head_size)


def _orthonormal(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """[rows, columns] of orthonormal columns."""
    return np.linalg.qr(rng.standard_normal((rows, columns)))[0].astype(np.float32)
