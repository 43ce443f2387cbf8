"""A trained REALM answers questions, whoever finds what it reads: the same embedder and reader, other
candidates.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from model.baselines.realm import Batch, Realm, log_marginal, log_prior, of_answers, read_rows
from model.parameters import Architecture, Parameters
from stages.realm.batches import Data

ROWS = 8


class Answers(NamedTuple):
    """For Q questions: the best token at each mask, log p(y | x) of each token of the answer, and p(z | x),
    the null document first.
    """

    tokens_QA: np.ndarray
    logprobs_QA: np.ndarray
    prior_QN: np.ndarray


def answer(
    architecture: Architecture[Realm], parameters: Parameters, data: Data, ids_QN: np.ndarray
) -> Answers:
    """The answers to all questions of `data`, each with its passages `ids_QN`, of which there may be none."""

    @jax.jit
    def program(parameters: Parameters, batch: Batch) -> tuple[Array, Array, Array]:
        model = architecture.model(parameters)
        rows, candidates, _ = batch.passages_BNT.shape
        vectors_XE = model.embedder(batch.passages_BNT.reshape(rows * candidates, -1))
        prior_BN = log_prior(model.embedder(batch.queries_BT), vectors_XE.reshape(rows, candidates, -1))
        given_BNAV = read_rows(model.reader, batch)
        all_BAV = jax.nn.logsumexp(prior_BN[..., None, None] + given_BNAV, axis=1)
        return (
            jnp.argmax(all_BAV, axis=-1),
            log_marginal(prior_BN, of_answers(given_BNAV, batch)),
            jnp.exp(prior_BN),
        )

    count = len(data.questions.answers)
    padded = np.concatenate((np.arange(count), np.zeros(-count % ROWS, int)))
    parts = [
        program(parameters, data.batch(rows, ids_QN[rows])) for rows in np.split(padded, len(padded) // ROWS)
    ]
    return Answers(
        *(
            np.concatenate([np.asarray(part) for part in column])[:count]
            for column in zip(*parts, strict=True)
        )
    )
