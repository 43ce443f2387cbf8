"""A shard reads back exactly, or not at all."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from data_contracts.contract import Contract, commit, open_artifact, read_rows, write_shard
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS, TOKENS


def tokens(count: int = 50, doc_id: str = "a") -> pa.Table:
    rows = [np.arange(3 + number, dtype=np.uint32) for number in range(count)]
    return TOKENS.table(
        {"doc_id": [f"{doc_id}{n}" for n in range(count)], "split": ["train"] * count, "token_ids": rows},
        tokenizer="x",
    )


@pytest.fixture
def artifact(tmp_path):
    for number in range(2):
        write_shard(TOKENS, tokens(doc_id=f"{number}-"), tmp_path / f"part-{number:05d}.parquet")
    commit(TOKENS, tmp_path)
    return tmp_path


def test_round_trip_keeps_rows_and_facts(artifact):
    opened = open_artifact(TOKENS, artifact)
    assert opened.rows == 100
    assert opened.read("part-00001.parquet").equals(tokens(doc_id="1-"))
    assert opened.read("part-00000.parquet").schema.metadata[b"rpt.tokenizer"] == b'"x"'


def test_equal_rows_are_equal_bytes(tmp_path):
    write_shard(TOKENS, tokens(), tmp_path / "a")
    write_shard(TOKENS, tokens(), tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_descriptions_and_checksums_are_in_the_file(artifact):
    path = artifact / "part-00000.parquet"
    assert pq.read_schema(path).field("token_ids").metadata[b"description"]
    assert pq.read_metadata(path).row_group(0).num_rows <= 20_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"contract": "chunks", "version": 1, "shards": {}}',
        '{"contract": "tokens", "version": 99, "shards": {}}',
    ],
)
def test_a_wrong_manifest_is_refused(artifact, text):
    (artifact / "manifest.json").write_text(text)
    with pytest.raises(Failure) as failure:
        open_artifact(TOKENS, artifact)
    assert failure.value.code == Exit.CONTRACT


def test_what_is_missing_is_not_called_damaged(tmp_path):
    with pytest.raises(Failure, match=r"there is no .*tokens.*one that failed has removed it") as failure:
        open_artifact(TOKENS, tmp_path / "tokens")
    assert failure.value.code == Exit.CONTRACT


def test_broken_promises_are_not_written(tmp_path):
    table = tokens(3)
    cases = [
        table.set_column(1, "split", pa.array(["train", "dev", "test"])),
        table.drop_columns(["split"]),
        table.set_column(0, "doc_id", pa.array(["a", "b", "a"])),
        table.set_column(0, "doc_id", pa.array(["a", None, "c"])),
        table.replace_schema_metadata({}),
    ]
    for case in cases:
        with pytest.raises(Failure, match="does not keep contract `tokens`"):
            write_shard(TOKENS, case, tmp_path / "part-00000.parquet")
    assert not list(tmp_path.iterdir())


def test_an_empty_shard_is_fine(tmp_path):
    write_shard(TOKENS, tokens(0), tmp_path / "part-00000.parquet")
    commit(TOKENS, tmp_path)
    assert open_artifact(TOKENS, tmp_path).read_all().num_rows == 0


def chunk_block(doc_id: str, first: int, count: int) -> pa.Table:
    columns = {
        "doc_id": [doc_id] * count,
        "split": ["train"] * count,
        "chunk": list(range(first, first + count)),
        "segment": [0] * count,
        "token_ids": [[1, 2]] * count,
        "text": ["x"] * count,
    }
    return BLOCKS.table(columns)


BLOCKS = Contract("blocks", 1, CHUNKS.schema, ("doc_id", "chunk"), lambda table: ())


def test_blocks_and_a_whole_table_hold_the_same_rows(tmp_path):
    blocks = [chunk_block("b", 0, 3), chunk_block("b", 3, 2), chunk_block("a", 0, 0), chunk_block("a", 0, 4)]
    assert write_shard(BLOCKS, iter(blocks), tmp_path / "part-00000.parquet") == 9
    commit(BLOCKS, tmp_path)
    assert open_artifact(BLOCKS, tmp_path).read("part-00000.parquet").equals(pa.concat_tables(blocks))
    rows = pa.concat_tables(read_rows(BLOCKS, tmp_path / "part-00000.parquet", 2, 7))
    assert rows.column("chunk").to_pylist() == [2, 3, 4, 0, 1]
    assert list(read_rows(BLOCKS, tmp_path / "part-00000.parquet", 9, 12)) == []


@pytest.mark.parametrize(
    "blocks",
    [
        [("a", 0, 3), ("a", 2, 2)],
        [("a", 3, 3), ("a", 0, 2)],
        [("a", 0, 1), ("b", 0, 1), ("a", 1, 1)],
    ],
)
def test_blocks_that_do_not_follow_each_other_are_refused(tmp_path, blocks):
    with pytest.raises(Failure, match="does not follow"):
        write_shard(BLOCKS, (chunk_block(*block) for block in blocks), tmp_path / "part-00000.parquet")
    assert not list(tmp_path.iterdir())


def test_blocks_state_the_same_facts(tmp_path):
    other = tokens(3, "b").replace_schema_metadata({"rpt.tokenizer": '"y"'})
    with pytest.raises(Failure, match="other facts"):
        write_shard(TOKENS, iter([tokens(3), other]), tmp_path / "part-00000.parquet")


def test_a_later_column_of_the_key_does_not_make_up_for_an_earlier_one():
    schema = pa.schema([pa.field(name, pa.int32(), nullable=False) for name in ("query", "rank", "part")])
    contract = Contract("made_up", 1, schema, ("query", "rank", "part"), lambda table: [])
    rising = [(0, 2, 5), (0, 3, 1), (1, 0, 0), (1, 0, 4)]
    contract.validate(
        pa.table(dict(zip(schema.names, zip(*rising, strict=True), strict=True)), schema=schema), "a table"
    )
    for falling in (
        [(1, 0, 0), (0, 1, 0)],
        [(1, 0, 0), (0, 0, 1)],
        [(0, 1, 0), (0, 0, 1)],
        [(0, 0, 0), (0, 0, 0)],
    ):
        table = pa.table(dict(zip(schema.names, zip(*falling, strict=True), strict=True)), schema=schema)
        with pytest.raises(Failure, match="not sorted and unique"):
            contract.validate(table, "a table")
