"""States and losses of documents: the losses of an evaluation, whatever the segments, and states from which
they follow.
"""

from dataclasses import replace

import numpy as np
import pytest

from model.initialisation import initial_parameters
from model.parameters import Architecture
from model.registry import SYSTEMS
from stages.evaluation.documents import DocumentReader, Request
from stages.evaluation.token_states import StateReader
from tests.tiny import tiny_config

CONFIG = tiny_config()


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "copying"])
def model(request):
    config = replace(CONFIG, copying=request.param)
    architecture = Architecture.of(SYSTEMS["transformer_xl"].build, config)
    return architecture.model(
        {path: 3 * x for path, x in initial_parameters(architecture, config, 0).items()}
    )


def test_losses_are_those_of_the_evaluation_and_follow_from_the_states(model, tmp_path):
    evaluation = DocumentReader(model, ("own",), 1, 16, "exact", tmp_path)
    readers = [StateReader(model, segment) for segment in (8, 32)]
    for length in (2, 8, 9, 70):
        tokens = np.random.default_rng(length).integers(0, CONFIG.vocabulary_size, length)
        evaluated = next(evaluation.read([Request("d", tokens)])).losses["own"]
        for reader in readers:
            losses, states = reader.read(tokens)
            assert losses == pytest.approx(evaluated, abs=1e-5), length
            logits = states @ np.asarray(model.embedding.table[...]).T
            again = np.log(np.exp(logits).sum(1)) - logits[np.arange(length - 1), tokens[1:]]
            assert losses == pytest.approx(again, abs=1e-4), length
