"""What REALM begins as: the files of the stage, the same bytes each time and after an interruption, and that
both parts learn.
"""

import io
import json
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest

from data_contracts.failure import Exit, Failure
from model.baselines.realm import Reader, first_parameters
from model.parameters import Architecture
from stages.realm import reader_start, warm_start
from stages.realm.batches import Data
from stages.realm.corpus import config_of, read_corpus, read_sizes
from stages.realm.optimizer import EMBEDDER, READER, part_of
from stages.realm.reader_start import ReaderStart, learn_to_read, passages_with_answers
from stages.realm.start import make_realm_start
from stages.realm.training import Architectures
from stages.realm.warm_start import WarmStart, make_cloze, warm_up
from stages.runner.messages import Messages
from tests.stages.realm.conftest import GEOMETRY, write_corpus
from tests.stages.realm.tales import TALES
from tests.tiny import tiny_context, tiny_realm_start


def files(place) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in place.iterdir()}


def test_the_stage_leaves_a_model_its_sizes_and_two_histories(started):
    found = files(started / "realm_start")
    assert set(found) == {"model.safetensors", "config.json", "cloze.jsonl", "reader.jsonl"}
    config, sizes = read_sizes(started / "realm_start")
    assert sizes == tiny_realm_start()
    assert config == config_of(sizes, read_corpus(started, GEOMETRY, sizes).layout)
    assert [json.loads(line)["step"] for line in found["cloze.jsonl"].splitlines()] == [1, 2, 3]


class Stopped(Messages):
    """Messages that interrupt the work at an update of some phase, as Ctrl-C does."""

    def __init__(self, step: int, unit: str) -> None:
        super().__init__(io.StringIO())
        self.at = step, unit

    def progress(self, done, total, unit, detail="") -> None:
        super().progress(done, total, unit, detail)
        if (done, unit) == self.at:
            signal.raise_signal(signal.SIGINT)


def test_passages_shorter_than_sentences_are_refused(tmp_path):
    short = GEOMETRY.model_copy(update={"chunk_tokens": 8})
    write_corpus(tmp_path, TALES, geometry=short)
    (tmp_path / "scratch").mkdir()
    with pytest.raises(Failure, match=r"raise realm_start\.passage_chunks") as failure:
        make_realm_start(tiny_context(tmp_path), short, tiny_realm_start())
    assert failure.value.code == Exit.USAGE


@pytest.mark.slow
@pytest.mark.parametrize("at", [(2, "cloze updates"), (1, "reader updates")])
def test_a_start_that_was_interrupted_ends_with_the_same_bytes(at, started, context_of):
    context = context_of("stopped")
    (context.inputs / "realm_start").unlink()
    with pytest.raises(KeyboardInterrupt):
        make_realm_start(replace(context, say=Stopped(*at)), GEOMETRY, tiny_realm_start())
    again = replace(context, say=Messages(io.StringIO()))
    make_realm_start(again, GEOMETRY, tiny_realm_start())
    assert files(context.scratch / "realm_start") == files(started / "realm_start")
    shutil.rmtree(context.scratch)


@pytest.mark.slow
def test_an_embedder_finds_the_passages_that_sentences_were_taken_out_of(started):
    sizes = tiny_realm_start(width=32, vector=16)
    corpus = read_corpus(started, GEOMETRY, sizes)
    config, cloze = (
        config_of(sizes, corpus.layout),
        make_cloze(corpus.documents, corpus.tokenizer, corpus.layout, 0),
    )
    plan = WarmStart(150, 16, 3e-3, 0)
    begin = warm_start.fresh(part_of(first_parameters(config, 0), EMBEDDER), plan)
    history = warm_up(Architectures.of(config).embedder, begin, cloze, plan, lambda now: None).history
    first, last = (np.mean([row["loss"] for row in part]) for part in (history[:20], history[-20:]))
    assert last < first - 0.5, "names tell the four tales apart"


@pytest.mark.slow
def test_a_reader_learns_to_read_what_says_the_answer(started):
    sizes = tiny_realm_start(width=32)
    corpus = read_corpus(started, GEOMETRY, sizes)
    config, data = (
        config_of(sizes, corpus.layout),
        Data(corpus.questions.train, corpus.passages, corpus.layout),
    )
    saying, _ = passages_with_answers(data)
    plan = ReaderStart(250, 16, 3e-3, 0)
    begin = reader_start.fresh(part_of(first_parameters(config, 0), READER), plan)
    history = learn_to_read(
        Architecture.of(Reader, config), begin, data, saying, plan, lambda now: None
    ).history
    without, loss = (np.mean([row[name] for row in history[-30:]]) for name in ("without", "loss"))
    assert loss < without - 0.3, "a passage of a tale names its two people, a question leaves one out"
