"""RETRO as published: its passages against a computation written from the formulas, causality, and the same
losses stride by stride.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from model.baselines.retro_corpus import RetroCorpus
from model.chunked_cross_attention import ChunkedCrossAttention
from model.initialisation import initial_parameters
from model.language_model import Schedule
from model.neighbour_fusion import FusedNeighbours
from model.parameters import Architecture
from model.passages import Passages
from model.registry import PAPER_CONFIG, SYSTEMS
from model.rotary import rotate
from model.streaming import Document, StreamingReader
from tests.model.programs import compiled, loss_and_gradients
from tests.tiny import tiny_config

CHUNKS, KEPT = 12, 9
SAME = 1e-6


@pytest.fixture(scope="module")
def config():
    """Cross-attention in layers 2 and 4 of 4, the first of which ends the lower half as layer 6 does in the
    paper.
    """
    return tiny_config(layers=4, cca_layers=(2, 4), lower=1)


@pytest.fixture(scope="module")
def model(make_model, config) -> RetroCorpus:
    return make_model("retro_corpus", config, 2.0)


@pytest.fixture(scope="module")
def tokens(config) -> np.ndarray:
    return (
        np.random.default_rng(0)
        .integers(0, config.vocabulary_size, (1, CHUNKS * config.chunk_tokens))
        .astype(np.int32)
    )


@pytest.fixture(scope="module")
def passages(config) -> np.ndarray:
    """[1, C, 2, R]: chunk 3 has one, chunk 5 none."""
    drawn = (
        np.random.default_rng(1)
        .integers(0, config.vocabulary_size, (1, CHUNKS, 2, 2 * config.chunk_tokens))
        .astype(np.int32)
    )
    drawn[0, 3, 1], drawn[0, 5] = -1, -1
    return drawn


@compiled
def final(model, tokens_BL, passages_BCNR):
    return model.decode(model.encode(tokens_BL), passages_BCNR)


def norm(x, scale):
    return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + 1e-6) * np.asarray(scale)


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def attention(module, queries_from, keys_from, heads):
    """One head after the other, [R, D] attends to [T, D], rotary positions from 0 in both."""
    parts = [
        x @ np.asarray(layer.kernel[...])
        for layer, x in ((module.query, queries_from), (module.key, keys_from), (module.value, keys_from))
    ]
    q, k, v = (x.reshape(len(x), heads, -1) for x in parts)
    q, k = (np.asarray(rotate(jnp.asarray(x), jnp.arange(len(x)))) for x in (q, k))
    out = [softmax(q[:, h] @ k[:, h].T / np.sqrt(q.shape[2])) @ v[:, h] for h in range(heads)]
    return np.stack(out, axis=1).reshape(len(q), -1) @ np.asarray(module.output.kernel[...])


def test_a_passage_is_encoded_as_the_formulas_say(model, config):
    """Norms begin as ones, so that what they scale is seen in the test of gradients only."""
    rng = np.random.default_rng(2)
    passage, hidden = (
        rng.integers(0, 40, 2 * config.chunk_tokens),
        rng.standard_normal((config.chunk_tokens, config.width)).astype(np.float32),
    )
    z = np.asarray(model.embedding.table[...])[passage]
    for number, layer in enumerate(model.passages.layers):
        normed = norm(z, layer.attention_norm.scale[...])
        z = z + attention(layer.attention, normed, normed, config.heads)
        if number == 0:
            sides = norm(z, layer.neighbour_norm.scale[...]), norm(hidden, layer.query_chunk_norm.scale[...])
            z = z + attention(layer.query_chunk_attention, *sides, config.heads)
        inner = norm(z, layer.feed_forward_norm.scale[...]) @ np.asarray(
            layer.feed_forward.expand.kernel[...]
        )
        z = z + np.asarray(jax.nn.gelu(jnp.asarray(inner))) @ np.asarray(
            layer.feed_forward.contract.kernel[...]
        )
    expected = norm(z, model.passages.norm.scale[...])
    found = compiled(RetroCorpus._encoded_passages)(
        model, jnp.asarray(passage)[None, None, None], jnp.asarray(hidden)[None, None]
    )
    np.testing.assert_allclose(np.asarray(found)[0, 0, 0], expected, atol=2e-5)


def test_the_encoder_is_told_the_state_after_self_attention_of_the_first_layer_that_reads(
    model, tokens, passages, monkeypatch
):
    """H_u of algorithm 1; and every layer with cross-attention reads the same encoded passages."""
    told, crossed, encode, cross = [], [], RetroCorpus._encoded_passages, ChunkedCrossAttention.__call__

    def watched(self, passages, hidden, key=None):
        told.append(hidden)
        return encode(self, passages, hidden, key)

    def crossing(self, x, fused: FusedNeighbours, *rest):
        crossed.append(fused.values_BCNRD)
        return cross(self, x, fused, *rest)

    monkeypatch.setattr(RetroCorpus, "_encoded_passages", watched)
    monkeypatch.setattr(ChunkedCrossAttention, "__call__", crossing)

    @compiled
    def observed(model, tokens, passages):
        encoded = model.encode(tokens)
        model.decode(encoded, passages)
        first = model.upper.layers[0]
        return (
            told,
            crossed,
            encoded.hidden_BLD + first.attention(first.attention_norm(encoded.hidden_BLD))[0],
        )

    (hidden,), read, expected = observed(model, tokens, passages)
    np.testing.assert_allclose(hidden.reshape(expected.shape), expected, atol=1e-6)
    assert len(read) == 2
    np.testing.assert_array_equal(read[0], read[1])


def test_nothing_depends_on_what_comes_later(model, tokens, passages, config):
    before = np.asarray(final(model, tokens, passages))
    for position in (0, 3, 4, 15, 16, 23, 30, 47):
        changed = tokens.copy()
        changed[0, position] = (changed[0, position] + 1) % config.vocabulary_size
        difference = np.abs(np.asarray(final(model, changed, passages)) - before).max(axis=(0, 2))
        assert difference[:position].max(initial=0.0) < SAME, position
        assert difference[position] > 1e-3, position


def test_a_passage_serves_the_next_chunk_and_what_sees_it(model, tokens, passages, config):
    """Position p predicts token p + 1: the passages of chunk 4 change nothing before the last token of chunk
    4.
    """
    before, changed = np.asarray(final(model, tokens, passages)), passages.copy()
    changed[0, 4] = (changed[0, 4] + 1) % config.vocabulary_size
    difference = np.abs(np.asarray(final(model, tokens, changed)) - before).max(axis=(0, 2))
    begin = 5 * config.chunk_tokens - 1
    assert difference[:begin].max() < SAME
    assert difference[begin : begin + config.chunk_tokens].min() > 1e-4


def test_what_stands_in_an_empty_slot_does_not_matter(model, tokens, passages):
    other = passages.copy()
    other[0, 5, :, 1:], other[0, 3, 1, 1:] = 7, 7
    np.testing.assert_array_equal(final(model, tokens, other), final(model, tokens, passages))


@pytest.mark.parametrize("copying", [False, True])
def test_a_document_read_stride_by_stride_has_the_losses_of_the_training_forward(
    copying, make_model, config, tokens
):
    model = make_model("retro_corpus", replace(config, copying=copying), 1.0 if copying else 2.0)
    rng = np.random.default_rng(3)
    known = rng.integers(0, config.vocabulary_size, (20, 2 * config.chunk_tokens)).astype(np.int32)
    slots_SCN = rng.integers(-1, 20, (3, CHUNKS, 2)).astype(np.int32)
    slots_SCN[2] = -1
    text = np.append(tokens[0], 3)
    document = Document(
        text, Passages(known), lambda first, _: slots_SCN[:, first : first + config.stride_chunks]
    )
    [(_, reading)] = StreamingReader(model, 3, 2, 6, rows=2).read(iter([document]))
    for row, slots_CN in enumerate(slots_SCN):
        given = np.where(slots_CN[..., None] < 0, -1, known[slots_CN])[None]
        losses = model.token_losses(final(model, tokens, given), text[None, 1:])[0]
        np.testing.assert_allclose(reading.losses_ST[row], losses, atol=2e-5)
    assert np.abs(reading.losses_ST[0] - reading.losses_ST[2]).max() > 1e-2


def test_every_parameter_learns(make_batch, architecture_of, config):
    architecture = architecture_of("retro_corpus", config)
    parameters = {path: 2 * value for path, value in initial_parameters(architecture, config, 0).items()}
    _, gradients, _ = loss_and_gradients(
        architecture, parameters, make_batch(config), Schedule(1.0, 0.0, 0.0), jax.random.key(0)
    )
    assert not [path for path, gradient in gradients.items() if np.abs(gradient).max() < 1e-7]


def test_the_sizes_of_the_paper():
    """d = 896, 12 layers, FFN of 4 d, cross-attention in 6, 9, 12: the encoder of 2 layers of 12 d^2 has the
    19 M of section 2.5.
    """
    sizes = replace(PAPER_CONFIG, width=896, heads=14, cca_layers=(6, 9, 12), lower=5)
    parameters = Architecture.of(SYSTEMS["retro_corpus"].build, sizes).parameter_sizes()
    reading = [path for path in parameters if "cross_attention.attention.query" in path]
    assert reading == ["upper.layers.0.cross_attention.attention.query.kernel", *reading[1:]]
    assert sorted(int(path.split(".")[2]) + 6 for path in reading) == [6, 9, 12]
    kernels = {path: int(np.prod(size)) for path, size in parameters.items() if path.endswith("kernel")}
    encoder = sum(
        count for path, count in kernels.items() if path.startswith("passages.") and "query_chunk" not in path
    )
    conditioning = sum(
        count for path, count in kernels.items() if "cross_attention" in path or "query_chunk" in path
    )
    assert encoder == 24 * 896**2  # 19.3 M
    assert conditioning == 4 * 4 * 896**2  # 12.8 M


def test_a_config_that_reads_nothing_is_refused(config):
    with pytest.raises(ValueError, match="cca_layers is empty"):
        RetroCorpus(replace(config, cca_layers=()))
    with pytest.raises(ValueError, match="lower is 4, must be 1 to 3"):
        replace(config, lower=4)


def test_the_control_has_the_same_parameters(config):
    one, control = (
        initial_parameters(Architecture.of(SYSTEMS[name].build, config), config, 0)
        for name in ("retro_corpus", "retro_corpus_random")
    )
    assert {*one} == {*control}
    for path, value in one.items():
        np.testing.assert_array_equal(value, control[path])
