"""`rpt labels export`: every format holds every pair and text exactly, no cell of a CSV file begins a
formula, files come whole or not.
"""

import csv
import json
import re

import polars as pl
import pyarrow.parquet as pq
import pytest

from benchmarks._label_sets import make_label_set
from data_contracts.failure import Exit, Failure
from flows.labels import export as label_export
from flows.labels import versions as label_versions
from flows.labels.commands import labels
from tests.hostile import STORABLE

FORMULA = re.compile(r"^[\s\x00-\x20\u200b\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20\u2212]|^[\t\r\n]")
GUARDED = re.compile(
    r"^''*(?:[\s\x00-\x20\x7f-\x9f\u200b\ufeff]*[=+\-@\uff1d\uff0b\uff0d\uff20\u2212]|[\t\r\n])"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("corpus")
    in_turn = iter(STORABLE * 20)
    count = len(STORABLE)
    make_label_set(
        home, count, 10, 3, 3, lambda rng: next(in_turn), lambda n: STORABLE[-n - 1], lambda n: STORABLE[n]
    )
    return home


@pytest.fixture(scope="module")
def expected(home) -> pl.DataFrame:
    """What an export has to say, by joins of the artifacts."""
    rows = pl.read_parquet(home / "labels" / "*.parquet")
    sources = pl.read_parquet(home / "documents" / "*.parquet", columns=["doc_id", "source"])
    chunks = pl.read_parquet(home / "chunks" / "*.parquet", columns=["doc_id", "chunk", "text"])
    rows = rows.join(sources, on="doc_id", maintain_order="left")
    for name, place in (
        ("query_text", pl.col("query_chunk")),
        ("target_text", pl.col("query_chunk") + 1),
        ("candidate_text", pl.col("candidate_chunk")),
        ("continuation_text", pl.col("candidate_chunk") + 1),
    ):
        rows = (
            rows.with_columns(chunk=place)
            .join(chunks.rename({"text": name}), on=["doc_id", "chunk"], maintain_order="left")
            .drop("chunk")
        )
    return rows


@pytest.fixture
def export(home, monkeypatch, capsys):
    monkeypatch.setattr(label_versions, "INDEX", home / "index")

    def export(*arguments: object) -> str:
        assert (
            labels(["export", str(home / "labels"), *map(str, arguments)], result_action="return_value") == 0
        )
        return capsys.readouterr().out

    return export


TEXTS = ["doc_id", "source", "query_text", "target_text", "candidate_text", "continuation_text"]
NUMBERS = [
    "query_chunk",
    "candidate_chunk",
    "rank",
    "bm25",
    "candidate_logprob",
    "local_logprob",
    "target_score",
]


def same(frame: pl.DataFrame, expected: pl.DataFrame, names: list[str]) -> None:
    assert len(frame) == len(expected)
    for name in names:
        assert frame[name].to_list() == expected[name].to_list(), name


@pytest.mark.parametrize("batch", [100_000, 700])
def test_parquet_is_exact_and_describes_itself(export, expected, tmp_path, monkeypatch, batch):
    monkeypatch.setattr(label_export, "BATCH_PAIRS", batch)
    said = export(tmp_path / "labels.parquet", "--texts")
    assert f"{len(expected):,} pairs" in said
    frame = pl.read_parquet(tmp_path / "labels.parquet")
    same(frame, expected, [*TEXTS, *NUMBERS, "split"])
    halves = frame.select(
        pl.concat_arr("local_first_half", "local_second_half"),
        pl.concat_arr("candidate_first_half", "candidate_second_half"),
    )
    assert halves.to_series(0).to_list() == expected["local_halves"].to_list()
    assert halves.to_series(1).to_list() == expected["candidate_halves"].to_list()
    for field in pq.read_schema(tmp_path / "labels.parquet"):
        assert field.metadata[b"description"]
    assert pq.read_schema(tmp_path / "labels.parquet").field("target_score").metadata[b"unit"] == b"nats"


def test_json_lines_are_exact(export, expected, tmp_path):
    export(tmp_path / "labels.jsonl", "--texts")
    rows = [
        json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().removesuffix("\n").split("\n")
    ]
    for name in [*TEXTS, "split", "rank", "query_chunk"]:
        assert [row[name] for row in rows] == expected[name].to_list()
    assert [row["target_score"] for row in rows] == pytest.approx(
        expected["target_score"].to_list(), rel=1e-6
    )


def test_no_cell_of_a_csv_file_begins_a_formula_and_every_text_can_be_read_back(export, expected, tmp_path):
    export(tmp_path / "labels.csv", "--texts")
    with open(tmp_path / "labels.csv", newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert len(rows) == len(expected)
    guarded = 0
    for row, real in zip(rows, expected.iter_rows(named=True), strict=True):
        cells = dict(zip(head, row, strict=True))
        for name in TEXTS:
            assert not FORMULA.match(cells[name]), repr(cells[name])
            changed = bool(GUARDED.match(cells[name]))
            assert cells[name][changed:] == real[name]
            guarded += changed
        assert float(cells["target_score"]) == pytest.approx(real["target_score"], rel=1e-6)
        assert int(cells["rank"]) == real["rank"]
    assert guarded > 1000
    assert any(row[head.index("target_score")].startswith("-") for row in rows), "numbers stay numbers"


def test_other_tools_read_the_csv_file(export, expected, tmp_path):
    import duckdb
    import pandas as pd

    export(tmp_path / "labels.csv")
    frame = pd.read_csv(tmp_path / "labels.csv")
    assert frame["target_score"].to_numpy() == pytest.approx(expected["target_score"].to_numpy(), rel=1e-6)
    found = duckdb.sql(
        f"select count(*), sum(target_score) from read_csv('{tmp_path / 'labels.csv'}')"
    ).fetchall()
    assert found[0] == (
        len(expected),
        pytest.approx(expected["target_score"].cast(pl.Float64).sum(), rel=1e-5),
    )
    polars = pl.read_csv(tmp_path / "labels.csv", infer_schema_length=None)
    assert polars["rank"].to_list() == expected["rank"].to_list()


def test_without_texts_there_are_none(export, tmp_path):
    export(tmp_path / "labels.parquet")
    assert not [name for name in pq.read_schema(tmp_path / "labels.parquet").names if name.endswith("_text")]


def test_nothing_is_overwritten_unless_asked(export, tmp_path):
    target = tmp_path / "labels.csv"
    target.write_text("precious")
    with pytest.raises(Failure, match="exists") as failure:
        export(target)
    assert (failure.value.code, target.read_text()) == (Exit.USAGE, "precious")
    export(target, "--force")
    assert target.read_text().startswith("doc_id,split,source,query_chunk,")


def test_an_export_that_fails_leaves_nothing_and_touches_nothing(export, home, tmp_path, monkeypatch):
    target = tmp_path / "labels.csv"
    target.write_text("precious")
    real = label_export._batches

    def broken(*arguments):
        yield next(real(*arguments))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(label_export, "_batches", broken)
    with pytest.raises(Failure, match="No space left") as failure:
        export(target, "--force")
    assert failure.value.code == Exit.ENVIRONMENT
    assert [path.name for path in tmp_path.iterdir()] == ["labels.csv"]
    assert target.read_text() == "precious"


def test_the_format_is_that_of_the_suffix_or_the_one_asked_for(export, tmp_path):
    with pytest.raises(Failure, match=r"suffix '\.txt'"):
        export(tmp_path / "labels.txt")
    export(tmp_path / "labels.txt", "--format", "parquet")
    assert pq.read_metadata(tmp_path / "labels.txt").num_rows > 0


def test_a_place_that_cannot_be_written_is_explained(export, tmp_path):
    with pytest.raises(Failure, match="cannot be written") as failure:
        export(tmp_path / "nowhere" / "labels.csv")
    assert failure.value.code == Exit.ENVIRONMENT
