"""Evaluation rows: which loss stands beside which neighbours, in every setting, on a real untrained model."""

import itertools

import numpy as np
import pyarrow as pa
import pytest

from data_contracts.evaluations import EVALUATIONS, SETTINGS
from model.initialisation import initial_parameters
from model.parameters import Architecture
from model.registry import SYSTEMS
from stages.evaluation.documents import DocumentReader, Request, losses_by_chunk
from stages.evaluation.rankings import Rankings, bm25_rankings, random_rankings
from stages.evaluation.settings import computed, settings_of, slots_needed
from stages.evaluation.writing import Given, held_out, read_all
from stages.mining.mining import mine
from stages.parameters import Evaluation, Mining
from stages.training.systems import config_of
from tests.tiny import tiny_geometry, tiny_recipe, tiny_training

GEOMETRY = tiny_geometry()
TOKENS = np.random.default_rng(0).integers(1, 50, 8 * 30 + 5)
BYTES = np.arange(50, dtype=np.int32) % 5
ALL = tuple(sorted({*SETTINGS} - {"oracle", "oracle_all", "dpr", "by_chance"}))


@pytest.fixture
def reader(tmp_path):
    def make(name: str, settings: tuple[str, ...] = ALL) -> DocumentReader:
        config = config_of(GEOMETRY, tiny_training(), tiny_recipe(), 50)
        architecture = Architecture.of(SYSTEMS[name].build, config)
        model = architecture.model(
            {path: 3 * x for path, x in initial_parameters(architecture, config, 0).items()}
        )
        return DocumentReader(
            model, settings_of(SYSTEMS[name], settings), 2, GEOMETRY.sequence_chunks, "exact", tmp_path
        )

    return make


def given(name: str, make_chunks) -> Rankings | None:
    if name == "random":
        return random_rankings("d", len(TOKENS) // 8, 2, GEOMETRY.sequence_chunks)
    chunks = make_chunks({"d": ("test", TOKENS)})
    mined = pa.concat_tables(mine(chunks, GEOMETRY, Mining(max_candidates=25)))
    return bm25_rankings(mined, GEOMETRY.sequence_chunks)["d"] if name == "retro" else None


def test_losses_are_grouped_by_the_chunk_of_their_target():
    losses = np.arange(1, 20, dtype=np.float32)
    rows = losses_by_chunk(losses, np.full(20, 3), 8)
    assert rows["chunk"] == [-1, 0, 1]
    assert rows["tokens"] == [7, 8, 4]
    assert rows["loss"] == [sum(range(1, 8)), sum(range(8, 16)), sum(range(16, 20))]
    assert rows["bytes"] == [21, 24, 12]
    assert [part.tolist() for part in rows["token_losses"]] == [
        losses[:7].tolist(),
        losses[7:15].tolist(),
        losses[15:].tolist(),
    ]
    assert losses_by_chunk(losses[:7], np.ones(8, np.int32), 8)["tokens"] == [7]
    assert losses_by_chunk(losses[:8], np.ones(9, np.int32), 8)["tokens"] == [7, 1]


@pytest.mark.parametrize("name", ["transformer_xl", "retro", "random", "rpt_sem"])
def test_rows_of_every_setting_keep_the_contract(name, reader, make_chunks):
    evaluated = reader(name)
    reading = next(evaluated.read([Request("d", TOKENS, given(name, make_chunks))]))
    rows = evaluated.rows(reading, BYTES[TOKENS])
    count = len(rows["chunk"])
    table = EVALUATIONS.table(
        {**rows, "system": [name] * count, "doc_id": ["d"] * count, "split": ["test"] * count},
        stride_chunks=2,
    )
    EVALUATIONS.validate(table, "a table")
    by_setting = {
        key: list(group) for key, group in itertools.groupby(table.to_pylist(), lambda row: row["setting"])
    }
    assert list(by_setting) == (["own"] if name == "transformer_xl" else list(ALL))
    for setting, group in by_setting.items():
        assert sum(row["tokens"] for row in group) == len(TOKENS) - 1
        assert sum(row["bytes"] for row in group) == BYTES[TOKENS[1:]].sum()
        assert sum(row["loss"] for row in group) == pytest.approx(reading.losses[setting].sum(), rel=1e-5)
    if name == "transformer_xl":
        assert not any(row["ranking"] or row["retrieved"] for row in by_setting["own"])
        return
    for own, none, near, *first, second in zip(
        *(by_setting[key] for key in ("own", "none", "training_length", *ALL[:4], "second")), strict=True
    ):
        assert len(own["ranking"]) == min(own["eligible"], 20)
        assert own["retrieved"] == own["ranking"][:2]
        assert none["retrieved"] == []
        assert [row["retrieved"] for row in first] == [own["ranking"][:k] for k in (1, 2, 3, 4)]
        assert second["retrieved"] == own["ranking"][1:2]
        assert near["retrieved"] == near["ranking"][:2]
        assert all(own["chunk"] - 16 <= chunk < own["chunk"] for chunk in near["ranking"])
        assert len(near["ranking"]) <= near["eligible"] <= own["eligible"]
        assert {key: first[1][key] for key in first[1] if key != "setting"} == {
            key: own[key] for key in own if key != "setting"
        }
        assert all(0.1 <= gate <= 1 for gate in own["gates"])
        assert own["scores"] == sorted(own["scores"], reverse=True)
    assert any(
        row["eligible"] < own["eligible"]
        for row, own in zip(by_setting["training_length"], by_setting["own"], strict=True)
    )
    losses = {setting: reading.losses[setting] for setting in ALL}
    assert all(
        np.abs(losses["own"] - losses[other]).max() > 1e-4 for other in ALL if other not in ("own", "first_2")
    )


def test_changed_neighbours_change_the_losses_of_the_next_chunk_first(reader):
    retro = reader("retro", ("own",))
    changed = Rankings.empty(20)
    changed.best.ids_CR[10, :2] = (0, 1)
    before, after = (
        next(retro.read([Request("d", TOKENS, rankings)])).losses["own"]
        for rankings in (Rankings.empty(20), changed)
    )
    places = np.flatnonzero(np.abs(before - after) > 1e-7) + 1
    assert places.min() == 11 * 8
    assert set(places) <= set(range(11 * 8, 12 * 8)), "one layer of cross-attention reaches chunk c_11 only"


def test_the_oracle_reads_its_choice_where_it_has_one(reader):
    system = reader("rpt_sem", ("oracle",))
    neighbours = next(
        system.read([Request("d", TOKENS, oracles={"oracle": {10: [5], 20: [], 99: [3]}})])
    ).neighbours
    assert neighbours["oracle"][10].tolist() == [5, -1]
    assert neighbours["oracle"][20].tolist() == [-1, -1]
    others = ~np.isin(np.arange(len(neighbours["own"])), (10, 20))
    assert np.array_equal(neighbours["oracle"][others], neighbours["own"][others])
    assert (neighbours["own"][[10, 20]] >= 0).all()


def test_two_oracles_choose_apart(reader):
    system = reader("rpt_sem", ("oracle", "oracle_all"))
    oracles = {"oracle": {10: [5]}, "oracle_all": {10: [2, 0], 12: [7]}}
    neighbours = next(system.read([Request("d", TOKENS, oracles=oracles)])).neighbours
    assert [neighbours[name][10].tolist() for name in ("oracle", "oracle_all")] == [[5, -1], [2, 0]]
    assert neighbours["oracle_all"][12].tolist() == [7, -1]
    assert np.array_equal(neighbours["oracle"][11], neighbours["oracle_all"][11])


def test_settings_that_read_the_same_are_computed_once():
    rows = computed(("first_1", "first_2", "first_3", "none", "own"), 2)
    assert rows["first_2"] == rows["own"]
    assert sorted({*rows.values()}) == [0, 1, 2, 3]
    assert slots_needed(("own",), 2) == (2, 2)
    assert slots_needed(ALL, 2) == (4, 6)
    assert slots_needed(("own", "second"), 1) == (1, 2)


def test_only_the_asked_split_and_length_are_evaluated(make_chunks):
    chunks = make_chunks({"a": ("test", TOKENS), "b": ("train", TOKENS), "c": ("validation", TOKENS)})
    documents = held_out(chunks, Evaluation(split="validation", max_tokens_per_document=50))
    assert list(documents) == ["c"]
    assert np.array_equal(documents["c"], TOKENS[:50])


def test_each_document_takes_one_reader_also_over_the_border_of_a_shard(reader):
    """Two documents in all settings, then the others in one: no reader is lost where a shard ends."""
    many, one = reader("retro", ("own", "none")), reader("retro", ("own",))
    reader_of = itertools.chain([many, many], itertools.repeat(one))
    shards = [{"a": TOKENS[:40]}, {"b": TOKENS[:60]}, {"c": TOKENS[:40], "d": TOKENS[:50]}]
    rankings = Rankings.empty(20)
    read = [
        turn for shard in shards for turn in read_all(shard, reader_of, Given(dict.fromkeys(shard, rankings)))
    ]
    assert [(reading.doc_id, used) for used, reading in read] == [
        ("a", many),
        ("b", many),
        ("c", one),
        ("d", one),
    ]
    assert [len(reading.losses["own"]) for _, reading in read] == [39, 59, 39, 49]
