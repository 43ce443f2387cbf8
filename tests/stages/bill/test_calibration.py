"""Measuring an engine changes nothing of what it computes, and stops between two batches."""

import numpy as np
import pytest

from model import gpt_neox, gpt_neox_files
from model.gpt_neox_config import GPTNeoXConfig
from stages.bill import calibration
from stages.bill.calibration import TimedLM
from stages.bill.cost import scoring_flops
from stages.engines.jax_engine import JaxScoringLM
from stages.engines.scoring_lm import Pieces

CONFIG = GPTNeoXConfig(
    vocab_size=31, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
)
PAIRS = np.stack(np.meshgrid(np.arange(5), np.arange(7)), axis=-1).reshape(-1, 2)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    directory = tmp_path_factory.mktemp("reference_lm")
    gpt_neox_files.save(directory, CONFIG, gpt_neox.init(CONFIG, 0))
    (directory / "tokenizer.json").write_text("{}")
    return JaxScoringLM(directory, batch_pairs=4)


@pytest.fixture(scope="module")
def texts():
    generator = np.random.default_rng(0)
    return generator.integers(0, 31, (5, 16)), generator.integers(0, 31, (7, 16))


def test_with_time_enough_it_scores_as_the_engine_does_and_counts_all(engine, texts):
    timed = TimedLM(engine, CONFIG, seconds=1e6)
    assert np.array_equal(timed.score(*texts, PAIRS), engine.score(*texts, PAIRS))
    assert np.array_equal(timed.score(*texts, PAIRS[:9]), engine.score(*texts, PAIRS[:9]))
    assert timed.pairs == len(PAIRS) + 9
    assert timed.flops == pytest.approx(scoring_flops(CONFIG, 8, 10, len(PAIRS) + 9))
    assert timed.identity() == engine.identity()


def test_pieces_are_counted_in_their_own_tokens(engine):
    generator = np.random.default_rng(0)
    pieces = Pieces(
        *(
            [generator.integers(0, 31, size) for _ in range(count)]
            for count, size in ((5, 20), (7, 8), (7, 12))
        ),
        PAIRS,
    )
    timed = TimedLM(engine, CONFIG, seconds=1e6)
    assert np.array_equal(timed.score_pieces(pieces), engine.score_pieces(pieces))
    assert timed.flops == pytest.approx(scoring_flops(CONFIG, 10, 5, len(PAIRS)))


def test_without_time_it_stops_after_a_batch(engine, texts):
    timed = TimedLM(engine, CONFIG, seconds=0.0)
    with pytest.raises(calibration._TimeUp):
        timed.score(*texts, PAIRS)
    assert timed.pairs == 4
    assert timed.flops == pytest.approx(scoring_flops(CONFIG, 8, 5, len(PAIRS)) * 4 / len(PAIRS))
    assert timed.spent > 0
