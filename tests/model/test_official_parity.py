"""Every part against the numbers of the official model, each part fed with what the parts before it gave
here.

What is compared stops where the paper and the official code differ on purpose (docs/paper.md): its
retrievable chunks and its gate's divisor are put in, its rows, over whose border nothing carries, are cut.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.attention import bidirectional_attention
from model.language_model import LanguageModel
from model.neighbour_fusion import FusedNeighbours
from model.neighbours import chunk_pairs, gather_pairs, own_neighbours
from model.parameters import Architecture, parameters_of
from model.registry import SYSTEMS
from model.retriever import retrieval_scores

Arrays = dict[str, np.ndarray]
CHUNKS, ROWS = 32, 2
TOLERANCE = 1e-5


def close(ours: np.ndarray, official: np.ndarray, atol: float = TOLERANCE) -> None:
    assert np.abs(official).max() > 1e-2
    np.testing.assert_allclose(ours, official, rtol=0, atol=atol)


def with_open_gate(model: LanguageModel) -> LanguageModel:
    """The model with a gate of exactly 1 everywhere, which leaves neighbours as they come out of their
    augmentation.
    """
    architecture = Architecture.of(SYSTEMS["rpt_sem"].build, model.config)
    return architecture.model({**parameters_of(model), "fusion.gate.weight.bias": jnp.full((1,), 100.0)})


@pytest.fixture(scope="module")
def retrieved(official: Arrays, official_model: LanguageModel, official_eligible: np.ndarray) -> Arrays:
    """e, queries, keys, scores, neighbours, and the states of the neighbours before and after the
    bidirectional step.
    """

    def forward(hidden_BCMD):
        fusion = official_model.fusion
        e, queries, keys = official_model.retriever(
            hidden_BCMD, jnp.zeros((1, hidden_BCMD.shape[1] * hidden_BCMD.shape[2]), jnp.int32)
        )
        scores = retrieval_scores(queries, keys, queries.shape[-1])
        neighbours = own_neighbours(scores, jnp.asarray(official_eligible), 2)
        pairs = chunk_pairs(e, official_model.config.stride_chunks)
        mixed = pairs + bidirectional_attention(fusion.pair_attention, fusion.pair_norm(pairs))
        states = {
            "neighbour_states": gather_pairs(pairs, neighbours),
            "mixed": gather_pairs(mixed, neighbours),
        }
        return {
            "e": e,
            "queries": queries,
            "keys": keys,
            "scores": scores,
            "neighbours": neighbours,
            **states,
        }

    return {
        name: np.asarray(value[0]) for name, value in jax.jit(forward)(official["hidden_CMD"][None]).items()
    }


@pytest.fixture(scope="module")
def fused(official: Arrays, official_model: LanguageModel, retrieved: Arrays) -> Arrays:
    """The states of the neighbours augmented and gated, the attention of the gate in rows as the official
    one, and its logits.
    """
    arguments = retrieved["e"][None], official["hidden_CMD"][None], retrieved["neighbours"][None]
    opened, fusion = with_open_gate(official_model).fusion, official_model.fusion

    def forward(e, hidden, neighbours):
        augmented, valid, _ = opened(e, hidden, neighbours)
        pooled, valid = jnp.mean(augmented, axis=3).reshape(ROWS, -1, 2, 64), valid.reshape(ROWS, -1, 2)
        attended = fusion.gate._attend_to_earlier(fusion.gate.attention_norm(pooled), valid, None)
        logits = (
            fusion.gate.gate_norm(pooled + attended) @ official["fusion.gate.weight.kernel"]
            + official["fusion.gate.weight.bias"]
        )
        gated = fusion(e, hidden, neighbours).values_BCNRD
        per_chunk = {
            "attended": attended.reshape(CHUNKS, 2, 64),
            "logits": logits.reshape(CHUNKS, 2),
            "valid": valid.reshape(CHUNKS, 2),
        }
        return {"augmented": augmented[0], "gated": gated[0], **per_chunk}

    return {name: np.asarray(value) for name, value in jax.jit(forward)(*arguments).items()}


def test_retriever_encoding_of_every_chunk(official: Arrays, retrieved: Arrays) -> None:
    close(retrieved["e"], official["retriever.chunks_CMD"])


def test_queries_keys_and_their_scores(official: Arrays, retrieved: Arrays) -> None:
    close(retrieved["queries"], official["retriever.queries_CD"])
    close(retrieved["keys"], official["retriever.keys_CD"])
    close(retrieved["scores"], official["retriever.queries_CD"] @ official["retriever.keys_CD"].T / 8)
    close(retrieved["scores"], official["ranking.model_scores_CC"])


def test_chosen_neighbours_and_their_states(official: Arrays, retrieved: Arrays) -> None:
    np.testing.assert_array_equal(retrieved["neighbours"] >= 0, official["fusion.valid_CN"])
    close(retrieved["neighbour_states"][official["fusion.shown_K"]], official["fusion.neighbours_KNRD"])


def test_augmentation(official: Arrays, retrieved: Arrays, fused: Arrays) -> None:
    """The bidirectional step over the pair, then the attention to the query chunk."""
    shown = official["fusion.shown_K"]
    close(retrieved["mixed"][shown], official["fusion.mixed_KNRD"])
    to_query_chunk = fused["augmented"][shown] - retrieved["mixed"][shown]
    close(to_query_chunk, official["fusion.augmented_KNRD"] - official["fusion.mixed_KNRD"])
    close(fused["augmented"][shown], official["fusion.augmented_KNRD"])


def test_gate(official: Arrays, fused: Arrays) -> None:
    valid = official["fusion.valid_CN"]
    np.testing.assert_array_equal(fused["valid"], valid)
    close(fused["attended"][valid], official["fusion.gate.attended_CND"][valid])
    close(fused["logits"][valid], official["fusion.gate.logits_CN"][valid])


def test_gated_states(official: Arrays, fused: Arrays) -> None:
    """Of chunks whose window of 16 chunks is what they see of their row of 16: all of the first row, and the
    last chunk.
    """
    close(fused["gated"][official["fusion.shown_K"]], official["fusion.gated_KNRD"])


def test_chunked_cross_attention(official: Arrays, official_model: LanguageModel, fused: Arrays) -> None:
    """The whole first row: positions that no neighbour may serve, chunks without neighbours, chunks with
    them.
    """
    cross_attention = official_model.upper.layers[0].cross_attention
    neighbours = FusedNeighbours(fused["gated"][None, :16], fused["valid"][None, :16])
    out = jax.jit(lambda x: cross_attention(x, neighbours))(official["cross_attention.normed_LD"][None])[0]
    close(out, official["cross_attention.out_LD"])
    np.testing.assert_array_equal(out[:15], 0.0)


def test_chunked_cross_attention_of_given_neighbours(official: Arrays, official_model: LanguageModel) -> None:
    """Chunk 6 with the official states: its last token and all but the last of chunk 7."""
    cross_attention = official_model.upper.layers[0].cross_attention
    given = official["fusion.gated_KNRD"][list(official["fusion.shown_K"]).index(6)]
    neighbours = FusedNeighbours(
        jnp.stack((given, np.zeros_like(given)))[None], jnp.array([[[True, True], [False, False]]])
    )
    out = jax.jit(lambda x: cross_attention(x, neighbours))(
        official["cross_attention.normed_LD"][None, 6 * 16 : 8 * 16]
    )[0]
    close(out[15:31], official["cross_attention.out_LD"][6 * 16 + 15 : 7 * 16 + 15])
