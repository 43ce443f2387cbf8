"""What a file holds is recognised, in whatever form it is published, and every record of it is counted."""

import datetime
import gzip
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_contracts.failure import Exit, Failure
from stages.ingestion import json_records
from stages.ingestion.parquet_records import expected_columns
from stages.ingestion.readers import read_file
from stages.ingestion.records import Record, is_value
from stages.ingestion.sources import source_files
from stages.parameters import Corpus
from tests.nasty import lines, parquet, prose, zst

TEXTS = [prose(number) for number in range(3)]
RECORDS = [{"text": text, "year": 2000 + number} for number, text in enumerate(TEXTS)]
LINES = lines(*RECORDS)


def read(tmp_path, name: str, content: bytes, **options) -> list:
    """The text of every record of a file, and (position, reason) of every rejection, in order."""
    (tmp_path / name).write_bytes(content)
    corpus = Corpus(source=str(tmp_path / name), **options)
    (file,) = source_files(corpus)
    items = read_file(file, corpus)
    return [
        "".join(item.pieces) if isinstance(item, Record) else (item.position, item.reason) for item in items
    ]


@pytest.mark.parametrize(
    "name", ["a.json", "a.jsonl", "a.ndjson", "a.JSONL", "a.jsonlines", "a.txt", "a", "part-00000", "a.data"]
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zst], ids=["plain", "gzip", "zstandard"])
def test_records_one_a_line_are_records_whatever_the_file_is_called(tmp_path, name, pack):
    suffix = {bytes: "", gzip.compress: ".gz", zst: ".zst"}[pack]
    assert read(tmp_path, name + suffix, pack(LINES)) == TEXTS
    if "." not in name or name == "a.txt":
        assert read(tmp_path, name, pack(LINES)) == TEXTS, "compression is seen without its suffix"


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.txt", "a"])
@pytest.mark.parametrize("indent", [None, 0, 2])
def test_an_array_and_objects_over_several_lines_are_records(tmp_path, name, indent, monkeypatch):
    monkeypatch.setattr(json_records, "BLOCK_BYTES", 7)
    assert read(tmp_path, name, json.dumps(RECORDS, indent=indent).encode()) == TEXTS
    assert (
        read(tmp_path, name, b"\xef\xbb\xbf\n\n" + json.dumps(RECORDS, indent=indent).encode() + b"\n\n")
        == TEXTS
    )
    if not name.endswith("l"):
        spread = "\n".join(json.dumps(record, indent=indent) for record in RECORDS)
        assert read(tmp_path, name, spread.encode()) == TEXTS


def test_every_broken_or_foreign_value_of_an_array_is_counted(tmp_path):
    array = [RECORDS[0], 12, None, {"body": "x"}, RECORDS[1]]
    expected = [TEXTS[0], (2, "not_text"), (3, "not_text"), (4, "not_text"), TEXTS[1]]
    whole = json.dumps(array, indent=1).encode()
    assert read(tmp_path, "a.json", whole) == expected
    assert read(tmp_path, "a.json", whole[:-1]) == [*expected, (0, "unreadable")], "the array does not end"
    assert read(tmp_path, "a.json", whole + b"more") == [*expected, (0, "unreadable")]
    assert read(tmp_path, "a.json", whole[:-5]) == [*expected[:4], (0, "unreadable")]
    assert read(tmp_path, "a.json", whole.replace(b"12", b'"\xff"')) == [(0, "invalid_utf8")]
    assert read(tmp_path, "a.json", b'{"text": "cut') == [(1, "unreadable")]
    assert read(tmp_path, "a.json", b'{"text": "cut\n' + LINES) == [(1, "unreadable"), *TEXTS]
    assert read(tmp_path, "a.json", b"\n\n" + LINES + b"\n[1]") == [*TEXTS, (6, "not_text")]


def test_records_in_another_encoding_are_all_refused(tmp_path):
    found = read(tmp_path, "a.jsonl", LINES.decode().encode("utf-16"))
    assert {reason for _, reason in found} <= {"invalid_utf8", "unreadable"}
    assert len(found) >= 3


PROSE = [
    "{This} is set in braces. " + TEXTS[0],
    '{"quoted"} ' + TEXTS[0],
    "[1] A reference.\n[2] Another.\n" + TEXTS[0],
    "[" + TEXTS[0],
    '{"text": "an example"}\n' + "\n".join(TEXTS),
    "{\n" + TEXTS[0],
    '[{"text": ' + TEXTS[0],
    '["a", "list"]\n' + TEXTS[0],
    '{"text": "over several lines,\n' + TEXTS[0],
]


@pytest.mark.parametrize("text", PROSE)
def test_prose_that_begins_like_json_stays_text(tmp_path, text):
    assert read(tmp_path, "a.txt", text.encode()) == [text]
    assert read(tmp_path, "a.txt.gz", gzip.compress(text.encode())) == [text]


@pytest.mark.parametrize(
    "content",
    [
        lines({"body": "x"}, {"body": "y"}),
        b'{\n"cells": []\n}',
        json.dumps([{"a": 1}]).encode(),
        lines({"text": "x"}, "y", {}),
    ],
)
def test_a_file_in_doubt_is_a_question(tmp_path, content):
    with pytest.raises(
        Failure, match=r"may hold records or be one text.*set corpora.<name>.format to text.*include"
    ) as failure:
        read(tmp_path, "a.txt", content)
    assert failure.value.code == Exit.USAGE
    assert read(tmp_path, "a.txt", content, format="text") == [content.decode()]


def test_a_table_is_no_text_unless_it_is_said_to_be(tmp_path):
    assert read(tmp_path, "a.csv", b"text\nx\n") == [(0, "not_text")]
    assert read(tmp_path, "a.csv", b"text\nx\n", format="text") == ["text\nx\n"]


def test_a_parquet_file_needs_no_suffix(tmp_path):
    assert read(tmp_path, "a", parquet({"text": TEXTS})) == TEXTS


ARROW_FORMS = {
    "string": pa.string(),
    "large_string": pa.large_string(),
    "string_view": pa.string_view(),
    "dictionary": pa.dictionary(pa.int32(), pa.string()),
    "dictionary of large strings": pa.dictionary(pa.int8(), pa.large_string()),
}


@pytest.mark.parametrize("kind", ARROW_FORMS.values(), ids=ARROW_FORMS)
def test_every_form_of_a_string_is_text(tmp_path, kind):
    content = parquet(
        {"text": pa.array([*TEXTS, None], pa.string()).cast(kind), "year": [2000, 2001, 2002, 2003]}
    )
    assert read(tmp_path, "a.parquet", content) == [*TEXTS, (4, "not_text")]
    assert read(tmp_path, "a.parquet", content, where={"year": 2001}) == [
        (1, "filtered"),
        TEXTS[1],
        (3, "filtered"),
        (4, "filtered"),
    ]


@pytest.mark.parametrize("column", [[[1], [2]], [b"x", b"\xff"], [1, 2], [None, None]])
def test_every_row_that_cannot_be_used_is_counted(tmp_path, column):
    assert read(tmp_path, "a.parquet", parquet({"text": column})) == [(1, "not_text"), (2, "not_text")]
    assert read(tmp_path, "a.parquet", parquet({"content": column})) == [(1, "not_text"), (2, "not_text")]


def test_rows_behind_a_broken_page_are_counted(tmp_path):
    pq.write_table(
        pa.table({"text": [prose(number) for number in range(9)]}),
        tmp_path / "whole.parquet",
        row_group_size=3,
        compression="gzip",
    )
    place = pq.ParquetFile(tmp_path / "whole.parquet").metadata.row_group(1).column(0)
    broken = bytearray((tmp_path / "whole.parquet").read_bytes())
    begin = place.dictionary_page_offset or place.data_page_offset
    broken[begin : begin + place.total_compressed_size] = bytes(place.total_compressed_size)
    found = read(tmp_path, "a.parquet", bytes(broken))
    assert found == [prose(0), prose(1), prose(2), *((row, "unreadable") for row in range(4, 10))]


@pytest.mark.parametrize(
    ("other", "where"),
    [
        ({"content": TEXTS}, {}),
        ({"text": [1, 2, 3]}, {}),
        ({"text": TEXTS, "years": [1, 2, 3]}, {"year": 2000}),
    ],
)
def test_parquet_files_that_differ_in_what_is_read_stop_the_run_with_both_schemas(tmp_path, other, where):
    (tmp_path / "a.parquet").write_bytes(parquet({"text": TEXTS, "year": [2000] * 3}))
    (tmp_path / "b.parquet").write_bytes(parquet(other))
    corpus = Corpus(source=str(tmp_path), where=where)
    files = source_files(corpus)
    expected = expected_columns(files, corpus)
    assert len(list(read_file(files[0], corpus, expected))) == 3
    with pytest.raises(
        Failure, match=r"a\.parquet has .*'year': 'int64'.*; b\.parquet has .*(content|int64|years)"
    ) as failure:
        list(read_file(files[1], corpus, expected))
    assert failure.value.code == Exit.USAGE


def test_parquet_files_may_differ_in_what_is_not_read(tmp_path):
    (tmp_path / "a.parquet").write_bytes(
        parquet({"text": pa.array(TEXTS, pa.large_string()), "year": [2000] * 3})
    )
    (tmp_path / "b.parquet").write_bytes(parquet({"id": [1, 2, 3], "text": TEXTS}))
    (tmp_path / "c.parquet").write_bytes(parquet({"none": pa.array([], pa.string())}))
    corpus = Corpus(source=str(tmp_path))
    files = source_files(corpus)
    assert [len(list(read_file(file, corpus, expected_columns(files, corpus)))) for file in files] == [
        3,
        3,
        0,
    ]


EQUAL = [
    (2019, 2019),
    (2019, "2019"),
    (2019.0, "2019"),
    (2019, 2019.0),
    ("2019", 2019),
    (Decimal("2019.00"), 2019),
    (0.5, "0.50"),
    (1e300, 1e300),
    (True, True),
    (True, "True"),
    (False, "false"),
    ("true", True),
    (None, None),
    (None, "null"),
    ("wiki", "wiki"),
    (datetime.date(2019, 1, 2), "2019-01-02"),
]
DIFFERENT = [
    (2019, 2020),
    ("007", "7"),
    (True, 1),
    (1, True),
    (None, ""),
    ("Wiki", "wiki"),
    (2019, "y"),
    (0.1, 0),
    ([2019], 2019),
]
DIFFERENT += [(float("nan"), 1), (float("inf"), "1"), (False, None)]


def test_fields_are_compared_by_value():
    assert [pair for pair in EQUAL if not is_value(*pair)] == []
    assert [pair for pair in DIFFERENT if is_value(*pair)] == []
    assert Corpus(source="x", where={"date": datetime.date(2019, 1, 2)}).where == {"date": "2019-01-02"}
    with pytest.raises(ValueError, match="compared with one value"):
        Corpus(source="x", where={"year": [2019, 2020]})
