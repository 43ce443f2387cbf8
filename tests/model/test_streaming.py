"""A document read stride by stride has, token for token, the losses of the training forward over the whole of
it.
"""

from functools import cache

import jax
import numpy as np
import pytest

from model.language_model import LanguageModel
from model.registry import SYSTEMS
from model.retrieval_index import RetrievalIndex
from model.streaming import Document, Reading, StreamingReader, distinct_neighbours
from tests.model.programs import compiled
from tests.tiny import tiny_config

CHUNKS = 14


@compiled
def losses_in_settings(model, inputs_BL, targets_BL, neighbours_SCN):
    encoded = model.encode(inputs_BL)
    return jax.lax.map(
        lambda ids: model.token_losses(model.decode(encoded, ids[None]), targets_BL)[0], neighbours_SCN
    )


def forward(model: LanguageModel, tokens_T, neighbours_SCN) -> np.ndarray:
    """[S, T - 1] the losses of the training forward, padded at the end."""
    length = CHUNKS * model.config.chunk_tokens
    inputs, targets = np.zeros((1, length), np.int32), np.zeros((1, length), np.int32)
    inputs[0, : len(tokens_T)] = tokens_T[:length]
    targets[0, : len(tokens_T) - 1] = tokens_T[1:]
    return np.asarray(losses_in_settings(model, inputs, targets, neighbours_SCN))[:, : len(tokens_T) - 1]


@cache
def reader_of(model: LanguageModel, settings: int, slots: int) -> StreamingReader:
    return StreamingReader(model, settings, slots, 8)


def rolled(model: LanguageModel, tokens_T, neighbours_SCN, scratch, dtype=np.float32) -> Reading:
    settings, _, slots = neighbours_SCN.shape
    stride = model.config.stride_chunks
    memory = RetrievalIndex(model.config, CHUNKS, scratch, dtype=dtype)
    document = Document(tokens_T, memory, lambda first, _: neighbours_SCN[:, first : first + stride])
    [(_, reading)] = reader_of(model, settings, slots).read(iter([document]))
    return reading


@pytest.fixture(scope="module")
def tokens(small):
    return np.random.default_rng(2).integers(0, small.vocabulary_size, CHUNKS * small.chunk_tokens + 1)


@pytest.fixture(scope="module")
def neighbours(random_candidates, small):
    """Four settings of four neighbours: two at random, one with gaps, one with none."""
    rng = np.random.default_rng(3)
    drawn = random_candidates(rng, CHUNKS, 8, small.stride_chunks)
    gaps = np.where(rng.random((CHUNKS, 4)) < 0.4, -1, drawn[:, 2:6])
    return np.stack((drawn[:, :4], drawn[:, 4:], gaps, np.full((CHUNKS, 4), -1))).astype(np.int32)


@pytest.fixture(scope="module")
def model(make_model):
    """Two layers in each decoder, as every system has in the first test."""
    return make_model("rpt_sem", scale=2.0)


@pytest.mark.parametrize(
    "name",
    ["transformer_xl", "griffin", "memorizing_32k", "block_recurrent", "retro", "rpt_sem", "rpt_sem_ungated"],
)
def test_every_token_has_the_loss_of_the_training_forward(name, make_model, tokens, neighbours, tmp_path):
    model = make_model(name, scale=2.0)
    given = neighbours[:1, :, :0] if SYSTEMS[name].retriever == "none" else neighbours
    losses = rolled(model, tokens, given, tmp_path).losses_ST
    np.testing.assert_allclose(losses, forward(model, tokens, given), rtol=0, atol=1e-5)
    assert np.std(losses) > 0.1
    if len(losses) > 1:
        assert min(np.abs(losses[a] - losses[b]).max() for a, b in ((0, 1), (0, 2), (2, 3))) > 1e-2, (
            "settings are told apart"
        )


@pytest.mark.parametrize(("count", "window"), [(1, 3), (2, 1), (3, 20)])
def test_any_number_of_neighbours_and_any_window_of_the_gate(
    count, window, make_model, tokens, neighbours, tmp_path
):
    model = make_model("rpt_sem", tiny_config(gate_window=window), 2.0)
    given = neighbours[:3, :, :count]
    losses = rolled(model, tokens, given, tmp_path).losses_ST
    np.testing.assert_allclose(losses, forward(model, tokens, given), rtol=0, atol=1e-5)


def test_empty_slots_change_nothing(model, tokens, neighbours, tmp_path):
    """So one reader with four slots serves every number of neighbours."""
    wide = np.where(np.arange(4) < 2, neighbours, -1)
    narrow = rolled(model, tokens, neighbours[:, :, :2], tmp_path)
    padded = rolled(model, tokens, wide, tmp_path)
    np.testing.assert_allclose(padded.losses_ST, narrow.losses_ST, rtol=0, atol=1e-5)
    taken = neighbours[:, :, :2] >= 0
    np.testing.assert_allclose(padded.gates_SCN[:, :, :2][taken], narrow.gates_SCN[taken], rtol=0, atol=1e-5)
    assert ((padded.gates_SCN >= 0.1) & (padded.gates_SCN <= 1)).all()


def test_a_document_may_end_anywhere(model, tokens, neighbours, tmp_path):
    for length in (2, 3, 4, 5, 8, 9, 37, 40, 41, 55):
        losses = rolled(model, tokens[:length], neighbours, tmp_path).losses_ST
        assert losses.shape == (4, length - 1)
        np.testing.assert_allclose(
            losses, forward(model, tokens[:length], neighbours), rtol=0, atol=1e-5, err_msg=f"{length} tokens"
        )


def test_neighbours_serve_the_first_tokens_of_the_next_stride(make_model, tokens, neighbours, tmp_path):
    """The last chunk of a stride predicts over its border; changing its neighbours changes the next chunk
    first.
    """
    config = tiny_config()
    model = make_model("rpt_sem", config, 2.0)
    changed = neighbours.copy()
    last = 4 * config.stride_chunks - 1
    changed[0, last] = neighbours[3, last]
    before, after = (
        rolled(model, tokens, given[:1], tmp_path).losses_ST[0] for given in (neighbours, changed)
    )
    places = np.flatnonzero(np.abs(before - after) > 1e-4)
    assert places.min() + 1 == (last + 1) * config.chunk_tokens
    assert (places + 1 < (last + 2) * config.chunk_tokens + config.gate_window * config.chunk_tokens).all()


def test_half_precision_of_the_memory_moves_losses_little(model, tokens, neighbours, tmp_path):
    whole, half = (
        rolled(model, tokens, neighbours, tmp_path, dtype).losses_ST for dtype in (np.float32, np.float16)
    )
    assert 0 < np.abs(whole - half).max() < 5e-3


def test_each_setting_is_read_as_if_alone(model, tokens, neighbours, tmp_path):
    together = rolled(model, tokens, neighbours, tmp_path)
    for number in range(len(neighbours)):
        alone = rolled(model, tokens, neighbours[number : number + 1], tmp_path)
        np.testing.assert_allclose(alone.losses_ST[0], together.losses_ST[number], rtol=0, atol=1e-5)


def test_different_neighbours_of_a_chunk_are_fetched_once():
    neighbours_SCN = np.array([[[5, 2], [7, -1]], [[2, 9], [-1, -1]]])
    ids, slots = distinct_neighbours(neighbours_SCN, 3)
    assert ids.tolist() == [[2, 5, 9], [7, -1, -1]]
    named = np.where(slots >= 0, np.take_along_axis(np.broadcast_to(ids, (2, 2, 3)), slots, axis=2), -1)
    assert np.array_equal(named, neighbours_SCN)
    with pytest.raises(ValueError, match="3 different neighbours"):
        distinct_neighbours(neighbours_SCN, 2)


def test_documents_side_by_side_are_read_as_if_alone(model, tokens, neighbours, tmp_path):
    """Two rows take five documents of other lengths, begun anew in the middle of each other."""
    stride = model.config.stride_chunks
    lengths = (55, 9, 30, 2, 41)
    texts = [np.roll(tokens, 7 * number)[:length] for number, length in enumerate(lengths)]

    def document(text):
        # halves would make a step of the last bit of a state
        memory = RetrievalIndex(model.config, CHUNKS, tmp_path, dtype=np.float32)
        return Document(text, memory, lambda first, _: neighbours[:, first : first + stride])

    together = dict(StreamingReader(model, 4, 4, 8, rows=2).read(map(document, texts)))
    assert list(together) != sorted(together), "a short document ends before a long one that began earlier"
    for number, text in enumerate(texts):
        [(_, alone)] = reader_of(model, 4, 4).read(iter([document(text)]))
        np.testing.assert_allclose(together[number].losses_ST, alone.losses_ST, rtol=0, atol=1e-5)
        np.testing.assert_allclose(together[number].gates_SCN, alone.gates_SCN, rtol=0, atol=1e-5)
