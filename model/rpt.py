"""The Retrieval-Pretrained Transformer (arXiv 2306.13421): language model and retriever in one, trained
together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

from model.config import ModelConfig
from model.decoder import State
from model.fused_decoder import FusedDecoder
from model.language_model import Batch, Counts, Encoded, Schedule, Trained
from model.masks import eligible_pairs
from model.neighbour_gating import OpenGate
from model.neighbours import dense_relevance, gold_then_own, own_neighbours
from model.ranking_loss import per_query, ranking_loss, recall_at
from model.retriever import Retriever, chunk_scores
from model.scheduled_sampling import Sampling, draw_by_chunk, mix
from model.shapes import (
    CandidateScores,
    ChunkMask,
    ChunkPairMask,
    ChunkScores,
    HiddenStates,
    Neighbours,
    Scalar,
    TokenIds,
)

Relevance = Callable[[Batch, int], CandidateScores]


@dataclass(frozen=True)
class RetrieverTraining:
    """Where the paper's way of training is not the only one. The paper's is `as_sum`, `draw_by_batch` and
    `gold_alone`.

    `normalise` turns the sum of the ranking loss and the number of labelled queries into L_ret; `sampling`
    draws who reads gold neighbours; `gold` says which those are.
    """

    normalise: Callable[[Scalar, Scalar | float], Scalar] = per_query
    sampling: Sampling = draw_by_chunk
    gold: Callable[[ChunkScores, ChunkScores, ChunkPairMask, int], Neighbours] = gold_then_own


OUR_TRAINING = RetrieverTraining()


class RPT(FusedDecoder):
    """Paper section 3. `relevance` turns a batch and the tokens of a chunk into t of every candidate; what is
    positive is gold.
    """

    def __init__(
        self,
        config: ModelConfig,
        relevance: Relevance,
        training: RetrieverTraining = OUR_TRAINING,
        gate: OpenGate | None = None,
    ) -> None:
        super().__init__(config, gate)
        self.retriever = Retriever(config)
        self.relevance, self.training = relevance, training

    def _encoded(self, hidden_BLD: HiddenStates, tokens_BL: TokenIds, key: Array | None) -> Encoded:
        encoded = super()._encoded(hidden_BLD, tokens_BL, key)
        retriever_key = None if key is None else jax.random.fold_in(key, 2)
        return Encoded(encoded.hidden_BLD, *self.retriever(encoded.chunks_BCMD, tokens_BL, retriever_key))

    def retrieve(self, encoded: Encoded) -> Neighbours:
        """Each chunk's best eligible chunks of its own sequence, `config.neighbours` of them, -1 where there
        are fewer.
        """
        scores, eligible = self._scores(encoded)
        return own_neighbours(scores, eligible, self.config.neighbours)

    def train_losses(self, batch: Batch, schedule: Schedule, key: Array, carried: State = None) -> Trained:
        """L_LM with scheduled sampling of the neighbours, and alpha_ret L_ret (paper sections 3.3
        and 3.4).
        """
        encode_key, decode_key = self._dropout_keys(key)
        encoded = self.encode(batch.tokens_BL, encode_key)
        scores, eligible = self._scores(encoded)
        labelled, relevance_BCC = self._supervision(batch, eligible)
        counts = batch.counts or self.counts(batch)
        neighbours = mix(
            self.training.sampling(jax.random.fold_in(key, 1), *labelled.shape),
            self.training.gold(scores, relevance_BCC, eligible, self.config.neighbours),
            own_neighbours(scores, eligible, self.config.neighbours),
            schedule.own_probability,
            labelled,
        )
        lm = self._lm_loss(self.decode(encoded, neighbours, decode_key), batch)
        ranking = ranking_loss(scores, batch.candidates_BCS, relevance_BCC, eligible, labelled, schedule.tau)
        ranking = self.training.normalise(ranking, counts.queries)
        recalls = {
            f"recall_at_{k}": recall_at(k, scores, relevance_BCC, eligible, counts.answered) for k in (2, 10)
        }
        return Trained(
            {"lm": lm, "ranking": schedule.alpha * ranking},
            {"lm_loss": lm, "ranking_loss": ranking, **recalls},
        )

    def counts(self, batch: Batch) -> Counts:
        """Tokens, labelled queries, and those that have a positive candidate."""
        eligible = eligible_pairs(batch.labelled_BC.shape[1], self.config.stride_chunks)
        labelled, relevance_BCC = self._supervision(batch, eligible)
        answered = jnp.any(relevance_BCC > 0, axis=-1)
        return super().counts(batch)._replace(queries=jnp.sum(labelled), answered=jnp.sum(answered))

    def _supervision(self, batch: Batch, eligible: ChunkPairMask) -> tuple[ChunkMask, ChunkScores]:
        """Which chunks are labelled and not padding, and t of every chunk for each of them, 0 if unscored."""
        labelled = batch.labelled_BC & jnp.any(
            batch.loss_mask_BL.reshape(*batch.labelled_BC.shape, -1), axis=-1
        )
        relevance = self.relevance(batch, self.config.chunk_tokens)
        return labelled, jnp.where(
            labelled[..., None], dense_relevance(batch.candidates_BCS, relevance, eligible), 0.0
        )

    def _scores(self, encoded: Encoded) -> tuple[ChunkScores, ChunkPairMask]:
        assert encoded.queries_BCE is not None
        assert encoded.keys_BCE is not None
        scores = chunk_scores(encoded.queries_BCE, encoded.keys_BCE, self.config)
        return scores, eligible_pairs(scores.shape[1], self.config.stride_chunks)


def semantic_relevance(batch: Batch, chunk_tokens: int) -> CandidateScores:
    """RPT-Sem: t = s_t per token, in nats, from the labels' sum over the target chunk (paper section 3.2)."""
    return batch.scores_BCS / chunk_tokens


def shuffled_relevance(batch: Batch, chunk_tokens: int) -> CandidateScores:
    """The control of RPT-Sem: the same values of t, dealt anew to the scored candidates of each query.

    Which candidates were scored, and how good the best of them are, stays; which of them is good does not. A
    query is dealt to in the same way whenever it is read, as its tokens decide.
    """

    def deal(query_M: Array, ids_S: Array, t_S: Array) -> Array:
        draws = jax.random.uniform(jax.random.fold_in(jax.random.key(0), jnp.sum(query_M)), t_S.shape)
        scored = ids_S >= 0
        slots, dealt = jnp.argsort(~scored), jnp.argsort(jnp.where(scored, draws, jnp.inf))
        return jnp.zeros_like(t_S).at[slots].set(t_S[dealt])

    queries_BCM = batch.tokens_BL.reshape(*batch.labelled_BC.shape, chunk_tokens)
    return jax.vmap(jax.vmap(deal))(
        queries_BCM, batch.candidates_BCS, semantic_relevance(batch, chunk_tokens)
    )


def lexical_relevance(batch: Batch, chunk_tokens: int) -> CandidateScores:
    """RPT-Lex (paper section 5.1): t = (S - rank) / S, never the BM25 value, whose scale is that of the
    corpus.
    """
    slots = batch.candidates_BCS.shape[-1]
    return jnp.broadcast_to(
        (slots - jnp.arange(slots, dtype=jnp.float32)) / slots, batch.candidates_BCS.shape
    )
