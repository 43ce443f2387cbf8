"""Every input is a document or is quarantined with a reason, and nothing that a disk can hold crashes the
run.
"""

import gzip
import json

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_contracts.contract import open_artifact
from data_contracts.documents import DOCUMENTS, QUARANTINE, REASONS
from data_contracts.failure import Exit, Failure
from stages.ingestion.ingestion import STAGE
from stages.ingestion.plan import MAX_SHARD_BYTES, assign_splits, judge, plan_shards, shard_bytes, within
from stages.ingestion.text_key import TextKey
from stages.parameters import Corpus, Ingestion, Runtime
from stages.runner.messages import Messages
from stages.runner.ray_map import stop_ray
from tests.nasty import NASTY, lines, prose, write_nasty
from tests.pipelines import joined_ray
from tests.tiny import tiny_context

LIMITS = Ingestion(min_document_chars=20, max_quarantine_fraction=0.9, shards=4)


@pytest.fixture(scope="module", autouse=True)
def ray():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in joined_ray().items():
            patch.setenv(name, value)
        yield
        stop_ray()


def ingest(tmp_path, corpus: Corpus, limits: Ingestion = LIMITS) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(documents, quarantine) of a corpus, through the whole job."""
    tmp_path.mkdir(exist_ok=True)
    with open(tmp_path / "said", "w") as stream:
        changes = {
            "corpus": "c",
            "source": corpus,
            "inputs": tmp_path / "artifacts",
            "runtime": Runtime(workers=2),
        }
        STAGE.function(tiny_context(tmp_path, **changes, say=Messages(stream)), limits)
    documents = open_artifact(DOCUMENTS, tmp_path / "scratch" / "documents").read_all()
    quarantine = open_artifact(QUARANTINE, tmp_path / "scratch" / "quarantine").read_all()
    return pl.DataFrame(documents), pl.DataFrame(quarantine)


def facts(texts: list[tuple[str, int]], parts: int = 1) -> pl.DataFrame:
    """Facts of inputs given as (hash, characters), each of `parts` rows."""
    rows = [
        {
            "shard": "a",
            "row": number * parts + part,
            "input": number,
            "doc_id": f"{name}{part}",
            "whole_id": name if part == parts - 1 else "",
            "text_key": f"{name}{part}",
            "whole_key": name if part == parts - 1 else "",
            "num_chars": size,
            "num_bytes": size,
            "split": "",
            "reason": "",
            "detail": "",
        }
        for number, (name, size) in enumerate(texts)
        for part in range(parts)
    ]
    return pl.DataFrame(rows)


def test_every_nasty_input_has_its_reason(tmp_path):
    write_nasty(tmp_path / "in put")
    documents, quarantine = ingest(tmp_path, Corpus(source=str(tmp_path / "in put")))
    found: dict[str, dict[int, str]] = {}
    for source, position, reason in quarantine.select("source", "position", "reason").iter_rows():
        found.setdefault(source.replace("\\n", "\n"), {})[position] = reason
    assert found == {name: reasons for name, (_, reasons, _) in NASTY.items() if reasons}
    made = documents.with_columns(name=pl.col("source").str.replace(r"#\d+$", "").str.replace(r"\\n", "\n"))
    counts = dict(made.group_by("name").len().iter_rows())
    assert counts == {name: count for name, (_, _, count) in NASTY.items() if count}
    assert all(text.isascii() and text.isprintable() for text in quarantine["excerpt"])
    assert {"train", "validation", "test"} == set(documents["split"])
    assert {"MIT", "CC0", ""} == set(documents["license"])
    texts = dict(made.select("name", "text").iter_rows())
    assert texts["special token.txt"].startswith("<|endoftext|> and")
    assert texts["zstandard.txt.zst"] == prose(26) + prose(27)
    assert "\x00" in texts["nul.txt"]
    assert "\r\n" in texts["crlf.txt"]


def test_a_long_document_is_cut_into_parts_of_one_split(tmp_path):
    long = "".join(prose(number, 997) for number in range(300))
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "long.txt").write_text(long)
    for number in range(300, 305):
        (tmp_path / "texts" / f"{number}.txt").write_text(prose(number, 5000))
    documents, quarantine = ingest(
        tmp_path,
        Corpus(source=str(tmp_path / "texts")),
        LIMITS.model_copy(update={"max_document_chars": 20_000}),
    )
    parts = documents.filter(pl.col("part_of") != "")
    assert "".join(parts["text"]) == long
    assert parts["part_of"].n_unique() == parts["split"].n_unique() == 1
    assert parts["num_chars"].max() <= 20_000
    assert all(text.endswith("\n") for text in parts["text"])
    assert len(documents) == len(parts) + 5
    assert quarantine.is_empty()


def test_a_file_that_breaks_after_some_parts_is_rejected_whole(tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "long.txt").write_bytes(b"word " * 2_000_000 + b"\xff")
    for number in range(3):
        (tmp_path / "texts" / f"{number}.txt").write_text(prose(number))
    documents, quarantine = ingest(
        tmp_path,
        Corpus(source=str(tmp_path / "texts")),
        LIMITS.model_copy(update={"max_document_chars": 20_000}),
    )
    assert len(documents) == 3
    assert quarantine.select("source", "reason", "detail").rows() == [
        ("long.txt", "invalid_utf8", "byte 10000000: invalid start byte")
    ]


def test_directories_are_repositories(tmp_path):
    for repository in ("b", "a", "b-c"):
        (tmp_path / "code" / repository / "sub").mkdir(parents=True)
        for name in ("z.py", "sub/a.py", "notes.txt"):
            (tmp_path / "code" / repository / name).write_text(f"{repository} {name}\n" * 30)
    (tmp_path / "code" / "a" / "broken.py").write_bytes(b"\xff")
    corpus = Corpus(source=str(tmp_path / "code"), group="directory", include=("*.py",), license="MIT")
    documents, quarantine = ingest(tmp_path, corpus)
    assert documents["source"].to_list() == ["a", "b", "b-c"]
    assert documents["license"].to_list() == ["MIT"] * 3
    assert [line for line in documents["text"][1].splitlines() if line.startswith("#")] == [
        "# file: b/sub/a.py",
        "# file: b/z.py",
    ]
    assert quarantine.select("source", "reason").rows() == [("a/broken.py", "invalid_utf8")]


def test_the_sources_own_split_is_taken(tmp_path):
    for number, split in enumerate(("train", "validation", "test")):
        (tmp_path / "texts" / split).mkdir(parents=True)
        for file in range(2):
            (tmp_path / "texts" / split / f"{file}.txt").write_text(prose(2 * number + file))
    splits = {"validation": "validation/*", "test": "test/*"}
    documents, _ = ingest(tmp_path, Corpus(source=str(tmp_path / "texts"), splits=splits))
    assert all(source.startswith(split) for source, split in documents.select("source", "split").iter_rows())
    with pytest.raises(Failure, match="no document is in test") as failure:
        ingest(
            tmp_path / "again", Corpus(source=str(tmp_path / "texts"), splits={**splits, "test": "tset/*"})
        )
    assert failure.value.code == Exit.USAGE


def test_records_are_chosen_by_their_fields(tmp_path):
    records = [
        {"body": prose(number), "meta": {"config": "arxiv" if number % 2 else "wiki"}} for number in range(8)
    ]
    (tmp_path / "records.json.gz").write_bytes(gzip.compress("\n".join(map(json.dumps, records)).encode()))
    where = {"meta.config": "arxiv"}
    corpus = Corpus(source=str(tmp_path / "records.json.gz"), format="jsonl", text_column="body", where=where)
    documents, quarantine = ingest(
        tmp_path, corpus, LIMITS.model_copy(update={"max_quarantine_fraction": 0.0})
    )
    assert documents["text"].to_list() == [prose(number) for number in (1, 3, 5, 7)]
    assert quarantine.select("position", "reason").rows() == [(number, "filtered") for number in (1, 3, 5, 7)]
    assert quarantine["detail"][0] == "meta.config is 'wiki', not 'arxiv'"
    rows = pa.table(
        {"body": [record["body"] for record in records], "meta": [record["meta"] for record in records]}
    )
    pq.write_table(rows, tmp_path / "records.parquet")
    again, _ = ingest(
        tmp_path, corpus.model_copy(update={"source": str(tmp_path / "records.parquet"), "format": "auto"})
    )
    assert again["text"].to_list() == documents["text"].to_list()


def test_a_filter_that_leaves_nothing_is_named_with_its_counts(tmp_path):
    records = [{"text": prose(number), "year": 2018 + number % 2} for number in range(8)]
    (tmp_path / "records.jsonl").write_bytes(lines(*records))
    source = str(tmp_path / "records.jsonl")
    counts = r"of 8 inputs \{'filtered': 8\}, 0 documents are left, 3 are needed: "
    with pytest.raises(
        Failure, match=counts + r"year is 2018, not 2017 \(4 times\); year is 2019, not 2017 \(4 times\)"
    ) as failure:
        ingest(tmp_path, Corpus(source=source, where={"year": 2017}))
    assert failure.value.what == "corpora.<name>.where filters too much"
    assert failure.value.code == Exit.USAGE
    documents, quarantine = ingest(tmp_path / "again", Corpus(source=source, where={"year": "2019"}))
    assert (len(documents), set(quarantine["reason"])) == (4, {"filtered"})


def test_too_few_documents_are_named_with_what_was_left_out(tmp_path):
    (tmp_path / "records.jsonl").write_bytes(
        lines({"text": prose(1)}, {"text": prose(1)}, {"text": prose(2)})
    )
    with pytest.raises(Failure, match=r"2 documents, and train.*left out: \{'duplicate': 1\}") as failure:
        ingest(tmp_path, Corpus(source=str(tmp_path / "records.jsonl")))
    assert failure.value.code == Exit.USAGE


def test_the_same_text_is_one_document_whatever_its_line_ends_and_edges(tmp_path):
    (tmp_path / "texts").mkdir()
    ends = ("\n", "\r\n", "\r", "\n")
    for number in range(4):
        text = prose(number).replace(" ", "\n")
        for copy, (end, before, after) in enumerate(
            zip(ends, ("", "\ufeff", " \n\t", "\u00a0"), ("", "\r\n\r\n", "", "x"), strict=True)
        ):
            (tmp_path / "texts" / f"{copy}-{number}.txt").write_bytes(
                (before + text.replace("\n", end) + after).encode()
            )
    documents, quarantine = ingest(tmp_path, Corpus(source=str(tmp_path / "texts")))
    assert sorted(documents["source"]) == [
        f"{copy}-{number}.txt" for copy in (0, 3) for number in range(4)
    ], "an x more is another text"
    assert documents["text"][0] == prose(0).replace(" ", "\n"), "the first is kept as it stands"
    assert quarantine["reason"].to_list() == ["duplicate"] * 8
    assert set(quarantine["detail"]) == {
        "the same text as an earlier one, up to line ends and white space at its edges"
    }


def test_links_and_what_lies_beside_the_data_are_counted_and_said(tmp_path):
    write_nasty(tmp_path / "elsewhere")
    (tmp_path / "texts").mkdir()
    for number in range(4):
        (tmp_path / "texts" / f"{number}.txt").write_text(prose(100 + number))
        (tmp_path / "texts" / f"link-{number}.txt").symlink_to(f"{number}.txt")
    (tmp_path / "texts" / "folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "texts" / "gone.txt").symlink_to("nowhere")
    (tmp_path / "texts" / "LICENSE").write_text(prose(200))
    documents, quarantine = ingest(tmp_path, Corpus(source=str(tmp_path / "texts")))
    nasty = sum(len(reasons) + count for _, reasons, count in NASTY.values())
    assert len(documents) + len(quarantine) == nasty + 4 + 4 + 2
    own = quarantine.filter(~pl.col("source").str.starts_with("folder/"))
    assert dict(own.select("source", "reason").iter_rows()) == {
        **{f"link-{number}.txt": "duplicate" for number in range(4)},
        "gone.txt": "unreadable",
        "LICENSE": "not_data",
    }
    assert "Not read, because they lie beside the data" in (said := (tmp_path / "said").read_text())
    assert "`LICENSE`" in said
    assert "files `.txt`" in said
    assert "1 files `.parquet`" in said


def test_a_limit_counts_what_it_leaves_out(tmp_path):
    (tmp_path / "texts").mkdir()
    for number in range(7):
        (tmp_path / "texts" / f"{number}.txt").write_text(prose(number))
    documents, quarantine = ingest(tmp_path, Corpus(source=str(tmp_path / "texts"), max_characters=1))
    assert len(documents) == 3
    assert quarantine["reason"].to_list() == ["beyond_limit"] * 4


def test_too_much_quarantine_stops_before_anything_is_paid_for(tmp_path):
    (tmp_path / "texts").mkdir()
    for number in range(4):
        (tmp_path / "texts" / f"{number}.txt").write_text(prose(number))
        (tmp_path / "texts" / f"{number}.bad").write_text("short")
    with pytest.raises(Failure, match=r"4 of 8 inputs: \{'too_short': 4\}, first: 0.bad") as failure:
        ingest(
            tmp_path,
            Corpus(source=str(tmp_path / "texts")),
            LIMITS.model_copy(update={"max_quarantine_fraction": 0.4}),
        )
    assert failure.value.code == Exit.QUARANTINE


def test_copies_and_repeated_parts_are_left_out_once():
    table = facts([("x", 5), ("y", 5), ("x", 5), ("z", 5)], parts=2).with_columns(
        pl.when(pl.col("row") == 7).then(pl.lit("y0")).otherwise(name).alias(name)
        for name in ("doc_id", "text_key")
    )
    kept, rejected = judge(table)
    assert kept["row"].to_list() == [0, 1, 2, 3, 6]
    assert kept["part_of"].to_list() == ["x", "x", "y", "y", "z"]
    assert rejected.select("row", "reason").rows() == [(4, "duplicate"), (5, "duplicate"), (7, "duplicate")]


def test_a_key_of_text_is_the_same_in_any_pieces():
    text = " \r\n\ufeff a\r\n\r\rb \r\n\tc\n \r"
    keys = set()
    for first in range(len(text) + 1):
        for second in range(first, len(text) + 1):
            key = TextKey(text[:first])
            key.add(text[first:second])
            key.add(text[second:])
            keys.add(key.digest())
    assert keys == {TextKey("a\n\n\nb \n\tc").digest()}
    assert (
        len(
            {
                TextKey(other).digest()
                for other in ("", "a", "a b", "a  b", "a\nb", "a\n\nb", "\u00e9", "e\u0301")
            }
        )
        == 8
    )
    assert TextKey(" \n").digest() == TextKey("").digest()


def test_splits_depend_on_text_alone_and_are_never_empty():
    corpus = Corpus(source="x", validation=0.1, test=0.3)
    texts = [(f"{number:02d}", 100) for number in range(20)]
    kept, _ = judge(facts(texts))
    backwards, _ = judge(facts(texts[::-1]))
    splits = assign_splits(kept, corpus)
    assert assign_splits(backwards, corpus) == splits
    assert [list(splits.values()).count(split) for split in ("train", "validation", "test")] == [12, 2, 6]
    assert set(assign_splits(kept.head(3), corpus).values()) == {"train", "validation", "test"}
    with pytest.raises(Failure, match="too small to split"):
        assign_splits(kept.head(2), corpus)


def test_a_character_limit_takes_documents_in_hash_order():
    kept, _ = judge(facts([(name, 100) for name in "fbdace"]))
    inside, surplus = within(kept, 350)
    assert sorted(inside["whole_id"]) == ["a", "b", "c", "d"]
    assert surplus["reason"].to_list() == ["beyond_limit"] * 2
    assert len(within(kept, None)[1]) == 0


def test_shards_hold_every_document_once_in_order():
    kept, _ = judge(facts([(f"{number:02d}", size) for number, size in enumerate((5, 5, 30, 1, 1, 1, 9, 9))]))
    groups = plan_shards(kept, 10)
    assert [group["num_bytes"].to_list() for group in groups] == [[5, 5], [30], [1, 1, 1], [9], [9]]
    assert pl.concat(groups).equals(kept)
    assert shard_bytes(10**12, LIMITS) > MAX_SHARD_BYTES, "never more than 4,096 shards"
    assert shard_bytes(10**9, LIMITS) == MAX_SHARD_BYTES


def test_the_standard_library_is_a_corpus_of_long_documents(tmp_path):
    documents, quarantine = ingest(tmp_path, Corpus(source="python-stdlib"))
    assert len(documents) > 50
    assert documents["num_chars"].sum() > 5_000_000
    assert "unreadable" not in quarantine["reason"].to_list()
    assert not any("/test/" in source or source.startswith("/") for source in documents["source"])


def test_reason_codes_are_all_explained_in_the_documentation(request):
    text = (request.config.rootpath / "docs" / "quarantine.md").read_text()
    assert all(f"`{reason}`" in text for reason in REASONS)
