"""RETRO-fit (Borgeaud et al., arXiv 2112.04426, section 4.3): a trained Transformer-XL learns to read
passages.

What was trained is frozen. New are the encoder of passages and chunked cross-attention, whose output begins
at zero: the model begins as the Transformer-XL that it was, and is it at every step where a chunk has no
passages.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax import Array

from model.agreement import Text
from model.baselines.retro_corpus import RetroCorpus
from model.chunked_cross_attention import ChunkedCrossAttention
from model.config import ModelConfig
from model.decoder import State
from model.initialisation import initial_parameters
from model.language_model import Batch, Schedule, Trained
from model.neighbour_fusion import FusedNeighbours
from model.optimizer import adabelief
from model.parameters import Architecture, Parameters, dotted
from model.shapes import HiddenStates, RowMask

OUTPUT = ".cross_attention.attention.output.kernel"


class ServedCrossAttention(ChunkedCrossAttention):
    """Chunked cross-attention that adds exactly nothing where a position is served by no passage: what a null
    key brings is then left out.
    """

    def __call__(
        self,
        x_BLD: HiddenStates,
        fused: FusedNeighbours,
        key: Array | None = None,
        begun: RowMask | None = None,
        text_BT: Text | None = None,
    ) -> HiddenStates:
        """The update of the residual stream; arguments as those of `ChunkedCrossAttention`."""
        read_BLD = super().__call__(x_BLD, fused, key, begun, text_BT)
        served_BQ = jnp.repeat(fused.valid_BCN.any(axis=-1), self.chunk_tokens, axis=1)
        # the chunks end M - 1 positions after the last of x, and begin before its first or after it
        served_BQ = served_BQ[:, : served_BQ.shape[1] - (self.chunk_tokens - 1)]
        length = x_BLD.shape[1]
        served_BL = jnp.pad(served_BQ, ((0, 0), (max(0, length - served_BQ.shape[1]), 0)))[:, -length:]
        return jnp.where(served_BL[..., None], read_BLD, 0)


class RetroFit(RetroCorpus):
    """RETRO whose decoder is a trained Transformer-XL. Raises like `RetroCorpus`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        for block in self.upper.layers:
            if block.cross_attention is not None:
                block.cross_attention = ServedCrossAttention(config)

    def train_losses(self, batch: Batch, schedule: Schedule, key: Array, carried: State = None) -> Trained:
        """The language-model loss, of which only what is new has a gradient."""
        graph, state = nnx.split(self)
        held = [
            (path, value if is_new(dotted(path)) else jax.tree.map(jax.lax.stop_gradient, value))
            for path, value in nnx.to_flat_state(state)
        ]
        model = nnx.merge(graph, nnx.from_flat_state(held))
        return RetroCorpus.train_losses(model, batch, schedule, key, carried)


def is_new(path: str) -> bool:
    """Whether Transformer-XL lacks the parameter of this path."""
    return path.startswith("passages.") or ".cross_attention" in path


def fitted_values(architecture: Architecture, config: ModelConfig, seed: int) -> Parameters:
    """First values as those of all systems, but for the output of cross-attention, which is zero."""
    values = initial_parameters(architecture, config, seed)
    return {path: jnp.zeros_like(value) if path.endswith(OUTPUT) else value for path, value in values.items()}


def adabelief_of_what_is_new(learning_rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
    """`adabelief` for new parameters, and no step for the others, of which it keeps no state."""
    return optax.partition({True: adabelief(learning_rate), False: optax.set_to_zero()}, _news)


def _news(parameters: Parameters) -> dict[str, bool]:
    return {path: is_new(path) for path in parameters}
