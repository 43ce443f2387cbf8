import jax
import numpy as np
import pytest

from model.language_model import Schedule
from model.neighbours import gold_alone
from model.parameters import Architecture, parameters_of
from model.ranking_loss import as_sum
from model.registry import SYSTEMS
from model.rpt import RetrieverTraining, lexical_relevance, semantic_relevance, shuffled_relevance
from model.scheduled_sampling import draw_by_batch
from model.system import trained_as
from tests.model.programs import losses_of_tokens, own_neighbours, train_losses
from tests.tiny import tiny_config

KEY = jax.random.key(7)
# adds q_i . b to every score of query i, which moves no difference of two
SHIFTS_ALL_SCORES = "retriever.key_projection.bias"


@pytest.fixture(scope="module")
def model(make_model, two_layers):
    return make_model("rpt_sem", two_layers)


@pytest.fixture(scope="module")
def losses_of(model):
    return lambda batch, schedule: train_losses(model, batch, schedule, KEY)


@pytest.fixture(scope="module")
def gradients(make_batch, model, architecture_of, two_layers):
    """The gradients of both losses with respect to every parameter."""
    architecture, batch = architecture_of("rpt_sem", two_layers), make_batch()
    losses = jax.jacrev(
        lambda parameters: architecture.model(parameters).train_losses(batch, Schedule(4.0, 1.0, 0.5), KEY)[0]
    )
    return jax.tree.map(np.asarray, jax.jit(losses)(parameters_of(model)))


def test_the_lm_loss_does_not_reach_the_projections(gradients) -> None:
    for path, gradient in gradients["lm"].items():
        scoring = path.startswith(("retriever.query_", "retriever.key_"))
        assert bool(np.any(gradient != 0)) != scoring, path


def test_the_ranking_loss_reaches_the_lower_decoder_and_not_the_upper(gradients) -> None:
    for path, gradient in gradients["ranking"].items():
        if path == SHIFTS_ALL_SCORES:
            continue
        learns = path.startswith(("retriever.", "lower.", "embedding."))
        assert bool(np.any(gradient != 0)) == learns, path


def test_the_ranking_loss_does_not_move_the_bias_of_the_keys(gradients) -> None:
    """Its gradient is the rounding of a sum that is 0 exactly: beside the bias of the queries, nothing."""
    moved = np.abs(gradients["ranking"]["retriever.query_projection.bias"]).max()
    assert np.abs(gradients["ranking"][SHIFTS_ALL_SCORES]).max() < 1e-5 * moved


def test_all_gradients_are_finite(gradients) -> None:
    assert all(np.isfinite(gradient).all() for gradient in jax.tree.leaves(gradients))


def test_training_on_own_neighbours_is_encode_retrieve_decode(model, losses_of, make_batch) -> None:
    batch = make_batch()
    expected = losses_of_tokens(
        model, batch.tokens_BL, batch.targets_BL, own_neighbours(model, batch.tokens_BL)
    ).mean()
    assert float(losses_of(batch, Schedule(4.0, 1.0, 1.0))[0]["lm"]) == pytest.approx(
        float(expected), abs=1e-6
    )
    assert abs(float(losses_of(batch, Schedule(4.0, 1.0, 0.0))[0]["lm"]) - float(expected)) > 1e-5


def test_padding_does_not_matter(losses_of, make_batch, small) -> None:
    """Neither its tokens nor labels that stand there by mistake."""
    batch = make_batch()
    real = 9 * small.chunk_tokens + 1
    mask = batch.loss_mask_BL.copy()
    mask[:, 9 * small.chunk_tokens :] = False
    tokens = batch.tokens_BL.copy()
    tokens[:, real:] = 0
    scores = batch.scores_BCS.copy()
    scores[:, 9:] = 1e3
    schedule = Schedule(4.0, 1.0, 0.5)
    one = losses_of(batch._replace(loss_mask_BL=mask), schedule)[0]
    other = losses_of(batch._replace(loss_mask_BL=mask, tokens_BL=tokens, scores_BCS=scores), schedule)[0]
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-6)


def test_the_ranking_loss_is_a_mean_over_labelled_queries(losses_of, make_batch) -> None:
    """Twice the same sequence is the same loss; without labels there is none."""
    batch, schedule = make_batch(), Schedule(4.0, 0.5, 1.0)
    losses, metrics, _ = losses_of(batch, schedule)
    twice = losses_of(jax.tree.map(lambda x: np.concatenate((x, x)), batch), schedule)[0]
    assert float(twice["ranking"]) == pytest.approx(float(losses["ranking"]), rel=1e-5)
    assert float(losses["ranking"]) == pytest.approx(0.5 * float(metrics["ranking_loss"]))
    assert (
        float(losses_of(batch._replace(labelled_BC=np.zeros_like(batch.labelled_BC)), schedule)[0]["ranking"])
        == 0
    )


def test_what_losses_and_recall_are_means_over(model, make_batch) -> None:
    batch = make_batch()
    mask, labelled = batch.loss_mask_BL.copy(), batch.labelled_BC.copy()
    mask[0, mask.shape[1] * 3 // 4 :], labelled[0, 9:11] = False, False
    batch = batch._replace(loss_mask_BL=mask, labelled_BC=labelled)
    asked = labelled & mask.reshape(*labelled.shape, -1).any(axis=-1)
    answered = asked & ((batch.candidates_BCS >= 0) & (batch.scores_BCS > 0)).any(axis=-1)
    assert 0 < answered.sum() < asked.sum() < labelled.sum()
    assert [int(count) for count in jax.jit(model.counts)(batch)] == [mask.sum(), asked.sum(), answered.sum()]


PAPERS_TRAINING = RetrieverTraining(as_sum, draw_by_batch, gold_alone)


def test_training_as_the_paper_does(losses_of, make_batch, model, two_layers) -> None:
    """The sum is the mean times the labelled queries; with gold alone, queries without positives read no
    neighbours.
    """
    architecture = Architecture.of(trained_as(SYSTEMS["rpt_sem"], PAPERS_TRAINING).build, two_layers)
    papers, schedule = architecture.model(parameters_of(model)), Schedule(4.0, 0.5, 0.0)
    batch = make_batch()
    ours, theirs = losses_of(batch, schedule)[0], train_losses(papers, batch, schedule, KEY)[0]
    assert float(theirs["ranking"]) == pytest.approx(
        batch.labelled_BC.sum() * float(ours["ranking"]), rel=1e-5
    )
    assert abs(float(theirs["lm"]) - float(ours["lm"])) > 1e-5
    empty = np.full((*batch.labelled_BC.shape, two_layers.neighbours), -1)
    nothing = float(losses_of_tokens(model, batch.tokens_BL, batch.targets_BL, empty).mean())
    no_gold = batch._replace(scores_BCS=np.full_like(batch.scores_BCS, -1.0))
    assert float(train_losses(papers, no_gold, schedule, KEY)[0]["lm"]) == pytest.approx(nothing, rel=1e-6)
    assert abs(float(losses_of(no_gold, schedule)[0]["lm"]) - nothing) > 1e-5


def test_only_systems_that_learn_to_retrieve_are_trained_otherwise() -> None:
    assert trained_as(SYSTEMS["retro"], PAPERS_TRAINING) is SYSTEMS["retro"]
    assert all((system.relevance is not None) == (system.retriever == "own") for system in SYSTEMS.values())


def test_lexical_relevance_ignores_the_bm25_value(make_model, make_batch, two_layers) -> None:
    model, batch = make_model("rpt_lex", two_layers), make_batch()

    def losses(batch):
        return train_losses(model, batch, Schedule(4.0, 1.0, 0.5), KEY)[0]

    plain, huge = losses(batch), losses(batch._replace(scores_BCS=np.full_like(batch.scores_BCS, 500.0)))
    assert plain == huge
    assert float(plain["ranking"]) > 0
    none = losses(batch._replace(candidates_BCS=np.full_like(batch.candidates_BCS, -1)))
    assert float(none["ranking"]) == 0


def test_lexical_relevance_falls_with_the_rank(make_batch) -> None:
    batch = make_batch()
    relevance = np.asarray(lexical_relevance(batch, 4))
    assert relevance.shape == batch.candidates_BCS.shape
    assert np.unique(relevance.reshape(-1, 4), axis=0).tolist() == [[1.0, 0.75, 0.5, 0.25]]


def test_shuffled_relevance_deals_the_values_of_a_query_to_its_scored_candidates(make_batch, small) -> None:
    """In the same way wherever the query stands in a batch."""
    batch, size = make_batch(), small.chunk_tokens
    dealt, true = (np.asarray(of(batch, size)) for of in (shuffled_relevance, semantic_relevance))
    scored = batch.candidates_BCS >= 0
    for row in np.ndindex(dealt.shape[:2]):
        np.testing.assert_array_equal(np.sort(dealt[row][scored[row]]), np.sort(true[row][scored[row]]))
    moved = np.mean(dealt[scored] != true[scored])
    assert 0.3 < moved < 1, moved
    turned = jax.tree.map(lambda values: values[::-1], batch)
    np.testing.assert_array_equal(np.asarray(shuffled_relevance(turned, size)), dealt[::-1])


def test_dropout_follows_the_key(make_model, make_batch) -> None:
    model, batch = make_model("rpt_sem", tiny_config(dropout=0.3)), make_batch()
    loss, again, other = (
        train_losses(model, batch, Schedule(4.0, 1.0, 0.0), jax.random.key(seed))[0]["lm"]
        for seed in (0, 0, 1)
    )
    assert loss == again
    assert loss != other


def test_neighbours_must_be_given(model, make_batch) -> None:
    with pytest.raises(ValueError, match="pass chunk numbers, -1 for none"):
        model.decode(jax.eval_shape(lambda t: model.encode(t), make_batch().tokens_BL), None)


def test_teacher_forcing_alone_and_none_at_all(make_model, two_layers, make_batch) -> None:
    """The draw does not matter: at any point of the schedule they are RPT-Sem before and after it."""
    batch, loss = make_batch(two_layers), {}
    for name, probability in (
        ("rpt_sem", 0.0),
        ("rpt_sem", 1.0),
        ("rpt_sem_gold_only", 0.7),
        ("rpt_sem_own_only", 0.3),
    ):
        outcome = train_losses(make_model(name, two_layers, 2.0), batch, Schedule(1.0, 0.0, probability), KEY)
        loss[name, probability] = float(outcome.losses["lm"])
    assert loss["rpt_sem_gold_only", 0.7] == pytest.approx(loss["rpt_sem", 0.0], rel=1e-6)
    assert loss["rpt_sem_own_only", 0.3] == pytest.approx(loss["rpt_sem", 1.0], rel=1e-6)
    assert abs(loss["rpt_sem", 0.0] - loss["rpt_sem", 1.0]) > 1e-4
