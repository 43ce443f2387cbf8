from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.masks import eligible_pairs
from model.neighbours import dense_relevance
from model.ranking_loss import as_sum, per_query, ranking_loss, recall_at

CHUNKS, SLOTS, STRIDE = 12, 4, 2
ELIGIBLE = eligible_pairs(CHUNKS, STRIDE)


@jax.jit
def loss_of(scores, candidates, relevance, labelled, margin, eligible=ELIGIBLE):
    total = ranking_loss(
        scores, candidates, dense_relevance(candidates, relevance, eligible), eligible, labelled, margin
    )
    return per_query(total, jnp.sum(labelled))


def by_loops(scores, candidates, relevance, labelled, margin, eligible=ELIGIBLE) -> float:
    total = 0.0
    for row, query in zip(*np.nonzero(labelled), strict=True):
        allowed = np.flatnonzero(eligible[query])
        t = {int(j): 0.0 for j in allowed}
        for j, value in zip(candidates[row, query], relevance[row, query], strict=True):
            if int(j) in t:
                t[int(j)] = max(float(value), 0.0)
        gain = {j: np.expm1(np.log(2) * min(value, 8.0)) for j, value in t.items()}
        score = scores[row, query].astype(np.float64)
        rank = {int(j): place for place, j in enumerate(sorted(allowed, key=lambda j: (-score[j], j)))}
        ideal = sum(g / np.log2(2 + place) for place, g in enumerate(sorted(gain.values(), reverse=True)))
        for high in allowed:
            for low in allowed:
                if t[high] > t[low]:
                    discount = abs(1 / np.log2(2 + rank[high]) - 1 / np.log2(2 + rank[low]))
                    weight = (gain[high] - gain[low]) * discount / max(ideal, 1e-3)
                    total += weight * max(0.0, margin - (score[high] - score[low]))
    return total / max(1, labelled.sum())


@pytest.fixture
def inputs(random_candidates):
    rng = np.random.default_rng(3)
    scores = rng.normal(0, 1, (2, CHUNKS, CHUNKS)).astype(np.float32)
    candidates = np.stack([random_candidates(rng, CHUNKS, SLOTS, STRIDE) for _ in range(2)])
    relevance = rng.normal(0, 1, candidates.shape).astype(np.float32)
    return scores, candidates, relevance, rng.random((2, CHUNKS)) < 0.8


@pytest.mark.parametrize("margin", [1.0, 4.0])
def test_against_loops(inputs, margin: float) -> None:
    np.testing.assert_allclose(loss_of(*inputs, margin), by_loops(*inputs, margin), rtol=1e-5)


def by_rax(scores, candidates, relevance, labelled, margin):
    """LambdaRank as rax has it, of the same pairs: hinge times |gain difference| |discount difference| /
    ideal DCG.

    Its hinge has a margin of 1, hence scores / margin, and the sum times the margin; it multiplies weights by
    the length of the list.
    """
    import rax

    return (
        margin
        / CHUNKS
        * rax.pairwise_hinge_loss(
            scores / margin,
            dense_relevance(candidates, relevance, ELIGIBLE),
            where=jnp.broadcast_to(ELIGIBLE & labelled[..., None], scores.shape),
            lambdaweight_fn=partial(rax.dcg_lambdaweight, normalize=True),
            reduce_fn=jnp.sum,
        )
        / labelled.sum()
    )


@pytest.mark.parametrize("margin", [0.5, 1.0, 4.0])
def test_loss_and_gradient_are_those_of_rax(inputs, margin: float) -> None:
    """For labels up to 8 nats per token, where no gain is cut off, and an ideal DCG of at least 1e-3."""
    ours, ours_gradient = jax.value_and_grad(loss_of)(*map(jnp.asarray, inputs), margin)
    theirs, gradient = jax.jit(jax.value_and_grad(by_rax))(*map(jnp.asarray, inputs), margin)
    assert theirs > 0
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    np.testing.assert_allclose(ours_gradient, gradient, atol=1e-6)


def test_the_sum_is_the_mean_times_the_labelled_queries() -> None:
    assert float(as_sum(jnp.array(6.0), 4)) == 6.0
    assert float(per_query(jnp.array(6.0), 4)) == 6.0 / 4
    assert float(per_query(jnp.array(0.0), 0)) == 0.0


def test_the_papers_alpha_belongs_to_the_sum(random_candidates) -> None:
    """8 documents of 256 chunks, 20 candidates a query, half of them positive: 1e-9 of the sum is 2e-3 of the
    mean over pairs.

    On the mean itself, the official code's, 1e-9 would leave W_Q and W_K gradients below the epsilon of the
    optimizer.
    """
    rng, eligible = np.random.default_rng(0), eligible_pairs(256, 16)
    candidates = random_candidates(rng, 256, 20, 16)[None]
    relevance = np.asarray(
        dense_relevance(candidates, rng.normal(0, 1, candidates.shape).astype(np.float32), eligible)
    )[0]
    allowed = np.asarray(eligible)
    pairs = 8 * sum(np.sum(relevance[i][allowed[i]][:, None] > relevance[i][allowed[i]]) for i in range(256))
    assert 1e-9 * pairs == pytest.approx(2.0e-3, rel=0.1)
    assert 8 * np.sum((candidates >= 0).any(axis=-1)) == 1792, (
        "so many labelled queries is what the sum has over our mean"
    )


def test_official_scores_with_standard_weights(official, official_eligible) -> None:
    arrays = (official[f"ranking.{name}"][None] for name in ("model_scores_CC", "candidates_CS", "scores_CS"))
    loss = loss_of(*map(jnp.asarray, arrays), jnp.ones((1, 32), bool), 1.15, jnp.asarray(official_eligible))
    assert float(loss) * 32 == pytest.approx(77.159, abs=1e-3)


@pytest.mark.parametrize(
    "relevance",
    [1e4, -1e4, 500.0, 0.0, 1e-12],
    ids=["far above", "far below", "a BM25 value", "all ties at 0", "tiny"],
)
def test_extreme_labels_give_finite_losses_and_gradients(inputs, relevance: float) -> None:
    scores, candidates, _, labelled = inputs
    arrays = (jnp.asarray(candidates), jnp.full(candidates.shape, relevance), jnp.asarray(labelled), 4.0)
    loss, gradient = jax.value_and_grad(loss_of)(jnp.asarray(scores), *arrays)
    assert jnp.isfinite(loss)
    assert jnp.all(jnp.isfinite(gradient))
    assert (loss > 0) == (relevance > 0)
    np.testing.assert_allclose(
        loss, by_loops(scores, candidates, np.full(candidates.shape, relevance), labelled, 4.0), rtol=1e-4
    )


def test_mixed_extremes(inputs) -> None:
    scores, candidates, relevance, labelled = inputs
    gradient = jax.grad(loss_of)(jnp.asarray(scores), candidates, jnp.sign(relevance) * 1e4, labelled, 128.0)
    assert jnp.all(jnp.isfinite(gradient))
    assert jnp.any(gradient != 0)


@pytest.mark.parametrize("case", ["nothing labelled", "no candidates"])
def test_nothing_to_learn_from(inputs, case: str) -> None:
    scores, candidates, relevance, labelled = inputs
    labelled = np.zeros_like(labelled) if case == "nothing labelled" else labelled
    candidates = np.full_like(candidates, -1) if case == "no candidates" else candidates
    loss, gradient = jax.value_and_grad(loss_of)(jnp.asarray(scores), candidates, relevance, labelled, 4.0)
    assert loss == 0
    assert jnp.all(gradient == 0)


def test_ineligible_chunks_get_no_gradient(inputs) -> None:
    gradient = jax.grad(loss_of)(jnp.asarray(inputs[0]), *inputs[1:], 4.0)
    assert jnp.all(jnp.where(ELIGIBLE, 0.0, gradient) == 0)


def test_recall_is_a_mean_over_the_queries_with_a_positive() -> None:
    scores = -jnp.broadcast_to(jnp.arange(CHUNKS, dtype=jnp.float32), (1, CHUNKS, CHUNKS))
    relevance = jnp.zeros((1, CHUNKS, CHUNKS)).at[0, 11, jnp.array([1, 5])].set(1.0).at[0, 9, 0].set(1.0)
    assert float(recall_at(2, scores, relevance, ELIGIBLE, answered=2)) == pytest.approx((0.5 + 1.0) / 2)
    assert float(recall_at(2, scores, jnp.zeros_like(relevance), ELIGIBLE, answered=0)) == 0
