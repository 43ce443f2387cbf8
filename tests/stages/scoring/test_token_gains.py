"""Per-token gains add up to the labels' s_t, for any number of candidates."""

import numpy as np
import pytest

from data_contracts.failure import Exit, Failure
from model import gpt_neox, gpt_neox_files
from model.gpt_neox_config import GPTNeoXConfig
from stages.engines.jax_engine import JaxScoringLM
from stages.scoring.token_gains import PREFIXES, TokenGains

CONFIG = GPTNeoXConfig(
    vocab_size=61,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    max_position_embeddings=256,
)
SIZE = 16


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    path = tmp_path_factory.mktemp("reference_lm")
    gpt_neox_files.save(path, CONFIG, gpt_neox.init(CONFIG, 3))
    (path / "tokenizer.json").write_text("{}")
    return path


@pytest.fixture(scope="module")
def chunks():
    rng = np.random.default_rng(0)
    return [*rng.integers(0, CONFIG.vocab_size, (30, SIZE)).astype(np.uint32), np.arange(3, dtype=np.uint32)]


@pytest.mark.parametrize("count", [1, PREFIXES, PREFIXES + 3])
def test_a_row_sums_to_the_label(directory, chunks, count):
    query, candidates = 25, list(range(count))
    pair = np.array([np.concatenate(chunks[j : j + 2]) for j in range(29)])
    engine = JaxScoringLM(directory)
    sums = engine.score(pair, pair, np.array([[j, query] for j in [query - 2, *candidates]])).sum(axis=1)
    gains = TokenGains(directory).gains(chunks, query, candidates)
    assert gains.shape == (count, SIZE)
    assert np.allclose(gains.sum(axis=1), sums[1:] - sums[0], atol=1e-3)
    assert np.abs(gains).max() > 1e-3


@pytest.mark.parametrize(("query", "candidate"), [(29, 0), (30, 0), (25, -1), (1, 0)])
def test_chunks_that_are_not_there_are_refused(directory, chunks, query, candidate):
    with pytest.raises(Failure) as failure:
        TokenGains(directory).gains(chunks, query, [candidate])
    assert failure.value.code == Exit.USAGE
