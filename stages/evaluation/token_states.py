"""The states with which Transformer-XL predicts each token of a document, and its losses, segment after
segment with one window.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax import Array

from model.baselines.transformer_xl import TransformerXL


class StateReader:
    """Reads documents with one model in segments of so many tokens, a multiple of the stride; compiled once
    for all of them.
    """

    def __init__(self, model: TransformerXL, segment_tokens: int) -> None:
        self._tokens = segment_tokens
        graph, self._parameters = nnx.split(model)
        self._start = model.start(1)
        self._step = _step(graph)

    def read(self, tokens_T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[N] nats of token 1, 2, ... of a document, and [N, D] the final states that predict them."""
        count = len(tokens_T) - 1
        segments = -(-count // self._tokens)
        padded = np.zeros(segments * self._tokens + 1, np.int32)
        padded[: len(tokens_T)] = tokens_T
        past, read = self._start, []
        for begin in range(0, segments * self._tokens, self._tokens):
            end = begin + self._tokens
            losses_1L, states_1LD, past = self._step(
                self._parameters, padded[None, begin:end], padded[None, begin + 1 : end + 1], past
            )
            read.append((losses_1L, states_1LD))
        losses_N, states_ND = (
            np.concatenate([np.asarray(x[0], np.float32) for x in parts])[:count]
            for parts in zip(*read, strict=True)
        )
        return losses_N, states_ND


@cache
def _step(graph: nnx.GraphDef[TransformerXL]) -> Callable[..., Any]:
    def step(parameters: Any, tokens_BL: Array, targets_BL: Array, past: Any) -> tuple[Array, Array, Any]:
        model = nnx.merge(graph, parameters)
        encoded, lower = model.encode_segment(tokens_BL, past[0])
        final_BLD, upper = model.upper(encoded.hidden_BLD, past[1], text_BT=encoded.text_BT)
        final_BLD = model.final_norm(final_BLD)
        return model.token_losses(final_BLD, targets_BL), final_BLD, (lower, upper)

    return jax.jit(step)
