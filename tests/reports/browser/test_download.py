"""What is filtered comes as a file: every row of it, and no cell that a spreadsheet would run."""

import csv
import io

import polars as pl
import pytest

from reports.browser import download
from tests.reports.served_pages import check_headers


def parquet(client, address):
    answer = client.get(f"/download?format=parquet&{address}")
    assert answer.status_code == 200
    check_headers(answer)
    return pl.read_parquet(io.BytesIO(answer.content))


@pytest.fixture(scope="module")
def labels(home):
    distance = pl.col("query_chunk") - pl.col("candidate_chunk")
    return pl.read_parquet(home / "labels" / "*.parquet").with_columns(distance=distance)


def test_pairs_are_all_of_those_that_the_filters_leave(client, labels):
    found = parquet(client, "kind=pairs&low=1.5&near=10&far=20&split=train")
    kept = (pl.col("target_score") >= 1.5) & pl.col("distance").is_between(10, 20)
    wanted = labels.filter(kept & (pl.col("split") == "train"))
    assert len(found) > 50  # more than a page holds
    assert found.drop("source").equals(wanted.select(found.drop("source").columns))


def test_queries_come_with_their_best_candidate(client, labels, label_set):
    found = parquet(client, "order=best")
    assert len(found) == label_set.documents["queries"].sum()
    best = labels.group_by("doc_id", "query_chunk").agg(pl.col("target_score").max())
    joined = found.join(best, on=["doc_id", "query_chunk"], suffix="_wanted")
    assert joined["target_score"].equals(joined["target_score_wanted"])
    row = found.row(100, named=True)
    own = labels.filter(*(pl.col(name) == row[name] for name in ("doc_id", "query_chunk", "candidate_chunk")))
    assert (own["rank"].item(), own["target_score"].item()) == (row["rank"], row["target_score"])


def test_csv_has_the_same_cells(client):
    address = "kind=pairs&low=3&source=00002"
    answer = client.get(f"/download?format=csv&{address}")
    check_headers(answer)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="labels.csv"'
    rows, frame = list(csv.DictReader(io.StringIO(answer.text))), parquet(client, address)
    assert len(rows) == len(frame) > 10
    assert [row["source"] for row in rows] == frame["source"].to_list()
    assert [float(row["target_score"]) for row in rows] == pytest.approx(frame["target_score"].to_list())


def test_hostile_names_are_no_formulas(client_of, hostile_set):
    answer = client_of(hostile_set).get("/download?format=csv&kind=pairs")
    rows = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    written = {row["source"] for row in rows}
    for source in hostile_set.documents["source"]:
        assert written & {source, f"'{source}"}, repr(source)
    for row in rows:
        for name in ("doc_id", "source"):
            assert not row[name].lstrip().startswith(("=", "+", "-", "@")), repr(row[name])


def test_the_page_links_to_what_it_shows(client, parse):
    page = parse(client.get("/search?kind=pairs&low=1&order=best&q=model").text)
    ways = [dict(attributes)["href"] for name, attributes in page.elements if name == "a"]
    assert "/download?format=csv&q=model&kind=pairs&low=1.0&order=best" in ways
    assert "/download?format=parquet&q=model&kind=pairs&low=1.0&order=best" in ways


def test_a_format_or_filter_that_is_unknown_is_refused(client, parse):
    for address in ("format=xlsx", "format=csv&low=much"):
        answer = client.get(f"/download?{address}")
        assert answer.status_code == 400
        assert parse(answer.text).all_text("h1")


def test_damage_is_an_error_and_no_file(tmp_path, client_of):
    from benchmarks._label_sets import make_label_set
    from reports.labels.label_set import open_label_set

    made = make_label_set(tmp_path, documents=2, chunks=30, candidates=3)
    labels = open_label_set(made, tmp_path / "cache")
    victim = made / "part-00000.parquet"
    victim.write_bytes(victim.read_bytes()[:-100])
    answer = client_of(labels).get("/download?format=csv&kind=pairs")
    assert answer.status_code == 500
    assert "content-disposition" not in answer.headers


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_full_disk_is_said_and_the_file_is_closed(client, parse, monkeypatch, kind):
    """/dev/full takes no byte."""
    opened = []

    def full():
        opened.append(open("/dev/full", "w+b"))  # noqa: SIM115
        return opened[-1]

    monkeypatch.setattr(download.tempfile, "TemporaryFile", full)
    answer = client.get(f"/download?format={kind}&kind=pairs")
    assert answer.status_code == 500
    assert "Free space, or set TMPDIR" in answer.text
    assert "No space left on device" in answer.text
    assert [file.closed for file in opened] == [True]
