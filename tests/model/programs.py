"""What tests have models compute, compiled once a process for all models that differ in the values of their
parameters alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from model.baselines.retro_corpus import RetroCorpus
from model.decoder import State
from model.language_model import Batch, LanguageModel, Schedule, Trained
from model.neighbours import gather_pairs
from model.parameters import Architecture, Parameters
from model.rpt import RPT
from model.shapes import HiddenStates, Neighbours, PassageTokens, TokenIds, TokenLosses


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function(model, *arguments)` with the parameters as arguments of the program, no constants of it."""

    @partial(jax.jit, static_argnums=0)
    def run(graph: nnx.GraphDef[Any], state: nnx.State, *arguments: Any) -> Any:
        return function(nnx.merge(graph, state), *arguments)

    @wraps(function)
    def call(model: nnx.Module, *arguments: Any) -> Any:
        return run(*nnx.split(model), *arguments)

    return call


def read_by(model: LanguageModel, tokens_BL: TokenIds, neighbours_BCN: Neighbours) -> Array:
    """What `decode` is given for these neighbours: their numbers or, of a system that reads passages, the
    tokens of the pairs.
    """
    if not isinstance(model, RetroCorpus):
        return neighbours_BCN
    chunks_BCM = jnp.asarray(tokens_BL).reshape(len(tokens_BL), -1, model.config.chunk_tokens)
    pairs_BCR = jnp.concatenate((chunks_BCM, jnp.roll(chunks_BCM, -1, axis=1)), axis=2)
    return jnp.where(neighbours_BCN[..., None] < 0, -1, gather_pairs(pairs_BCR, neighbours_BCN))


@compiled
def final_states(model: LanguageModel, tokens_BL: TokenIds, neighbours_BCN: Neighbours) -> HiddenStates:
    """What predictions are made from, with these neighbours."""
    return model.decode(model.encode(tokens_BL), read_by(model, tokens_BL, neighbours_BCN))


@compiled
def own_neighbours(model: RPT, tokens_BL: TokenIds) -> Neighbours:
    """What the model itself retrieves."""
    return model.retrieve(model.encode(tokens_BL))


@compiled
def losses_of_tokens(
    model: LanguageModel, tokens_BL: TokenIds, targets_BL: TokenIds, neighbours_BCN: Neighbours
) -> TokenLosses:
    """The training forward with these neighbours."""
    return model.token_losses(
        model.decode(model.encode(tokens_BL), read_by(model, tokens_BL, neighbours_BCN)), targets_BL
    )


@compiled
def losses_of_passages(
    model: RetroCorpus, tokens_BL: TokenIds, targets_BL: TokenIds, passages_BCNR: PassageTokens
) -> TokenLosses:
    """The training forward with these passages."""
    return model.token_losses(model.decode(model.encode(tokens_BL), passages_BCNR), targets_BL)


@compiled
def train_losses(
    model: LanguageModel, batch: Batch, schedule: Schedule, key: Array, carried: State = None
) -> Trained:
    """What a batch teaches."""
    return model.train_losses(batch, schedule, key, carried)


@partial(jax.jit, static_argnums=0)
def loss_and_gradients(
    architecture: Architecture[LanguageModel],
    parameters: Parameters,
    batch: Batch,
    schedule: Schedule,
    key: Array,
    carried: State = None,
) -> tuple[Array, Parameters, State]:
    """The sum of the losses, its gradient with respect to every parameter, and the state after the batch."""

    def total(parameters: Parameters) -> tuple[Array, State]:
        outcome = architecture.model(parameters).train_losses(batch, schedule, key, carried)
        return sum(outcome.losses.values()), outcome.carried

    (loss, following), gradients = jax.value_and_grad(total, has_aux=True)(parameters)
    return loss, gradients, following
