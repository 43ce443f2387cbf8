"""An evaluation that is interrupted goes on with the next shard, and ends with the bytes of one
that was not.
"""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data_contracts.candidates import CANDIDATES
from data_contracts.contract import commit, write_shard
from data_contracts.tokens import CHUNKS
from stages.evaluation.evaluation import STAGE, evaluate
from stages.parameters import Evaluation, Run
from stages.runner import resumption
from stages.runner.stage import Context
from stages.training.systems import config_of
from tests.stages.artifacts import write_model, write_tokenizer
from tests.stages.stopped import StopsAfter, written
from tests.tiny import tiny_context, tiny_recipe, tiny_training

RECIPE = tiny_recipe()
EVALUATION = Evaluation(max_tokens_per_document=10_000, settings_documents=1)
SHARDS = 3


@pytest.fixture
def context(tmp_path, make_chunks, geometry) -> Context:
    """Three shards of one document each; the model reads the first in every setting and the others in its own
    alone.
    """
    vocabulary = write_tokenizer(tmp_path).get_vocab_size()
    for contract in (CHUNKS, CANDIDATES):
        (tmp_path / contract.name).mkdir()
    for number in range(SHARDS):
        shard = f"part-{number:05d}.parquet"
        tokens = np.random.default_rng(number).integers(1, vocabulary, 8 * 14)
        write_shard(CHUNKS, make_chunks({f"{number}" * 16: ("test", tokens)}), tmp_path / "chunks" / shard)
        none = CANDIDATES.table(
            {name: [] for name in CANDIDATES.schema.names},
            stride_chunks=2,
            sequence_chunks=geometry.sequence_chunks,
        )
        write_shard(CANDIDATES, none, tmp_path / "candidates" / shard)
    for contract in (CHUNKS, CANDIDATES):
        commit(contract, tmp_path / contract.name)
    write_model(
        tmp_path / "models" / "sem",
        "rpt_sem",
        config_of(geometry, tiny_training(), RECIPE, vocabulary),
        RECIPE,
    )
    return tiny_context(
        tmp_path, run_name="sem", run=Run(corpus="demo", system="rpt_sem", input="supervision/scored")
    )


def run(context: Context, geometry, place: Path, stops: tuple[int, ...] = ()) -> dict[str, bytes]:
    """What the stage writes into the scratch directory `place`, interrupted after so many documents of each
    try.
    """
    return written(
        lambda given: evaluate(given, geometry, EVALUATION, RECIPE), context, place, "evaluation", stops
    )


def test_it_goes_on_after_the_shards_that_are_there(context, geometry, tmp_path):
    straight = run(context, geometry, tmp_path / "straight")
    assert list(straight) == ["manifest.json", *(f"part-{number:05d}.parquet" for number in range(SHARDS))]
    assert run(context, geometry, tmp_path / "stopped", stops=(0, 1, 1)) == straight
    for first, second in itertools.pairwise(sorted(straight)[1:]):
        assert len(straight[first]) != len(straight[second]) or straight[first] != straight[second]


def test_a_shard_that_is_there_is_not_read_again_and_elsewhere_it_is_said(
    context, geometry, tmp_path, monkeypatch
):
    run(context, geometry, tmp_path / "once")
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "once" / "evaluation").glob("part-*")}
    assert "computed on" not in context.say.stream.getvalue()
    here = resumption.computed_on()
    monkeypatch.setattr(resumption, "computed_on", lambda: "64 TPU v4")
    own = replace(context, scratch=tmp_path / "once", say=StopsAfter(0))
    evaluate(own, geometry, EVALUATION, RECIPE)
    assert {
        path.name: path.stat().st_mtime_ns for path in (tmp_path / "once" / "evaluation").glob("part-*")
    } == times
    assert f"computed on {here}, the rest are on 64 TPU v4" in own.say.stream.getvalue()


def test_what_it_reads_decides_whether_it_goes_on():
    assert {place.split("/", 2)[2] for place in STAGE.reads} == {
        "tokenizer",
        "chunks",
        "candidates",
        "models/{run}",
        "{input}/manifest.json",
    }
