import jax
import numpy as np

from stages.evaluation.rankings import recency_rankings
from tests.model.programs import compiled


def test_the_latest_eligible_chunks_in_training_as_at_test(make_model, make_batch, small):
    """Strides of 2 chunks: chunk 11 stands in the sixth, sees the fifth, and may read pairs that end before
    it.
    """
    batch = make_batch(rows=2, chunks=12)
    model, chosen = (
        make_model("recency"),
        compiled(lambda model, batch, key: model.training_neighbours(batch, key)),
    )
    neighbours = np.asarray(chosen(model, batch, jax.random.key(0)))
    assert neighbours[1, 11].tolist() == [6, 5]
    assert neighbours[0, 4].tolist() == [0, -1]
    assert (neighbours[:, :4] == -1).all()
    ranking = recency_rankings(12, small.stride_chunks, reach=4)
    np.testing.assert_array_equal(ranking.best.ids_CR[:, :2], neighbours[0])
    assert ranking.near.ids_CR[11].max() == -1, "6 lies further back than 4 chunks"
    assert recency_rankings(12, small.stride_chunks, reach=5).near.ids_CR[11, :2].tolist() == [6, -1]
