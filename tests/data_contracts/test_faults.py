"""Two thousand random faults in committed artifacts: every one is refused as a broken contract,
none is read.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from data_contracts.candidates import LABELS
from data_contracts.contract import Contract, commit, open_artifact, write_shard
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import TOKENS

FAULTS_OF_A_CONTRACT = 1000
SHARDS = 5
PAGE = 64

Files = dict[str, bytes]


def tokens(shard: int, version: int) -> pa.Table:
    generator = np.random.default_rng([shard, version])
    rows = [generator.integers(0, 50_000, 3 + number, dtype=np.uint32) for number in range(20)]
    names = [f"{shard}-{number}" for number in range(20)]
    return TOKENS.table({"doc_id": names, "split": ["train"] * 20, "token_ids": rows}, tokenizer=f"{version}")


def labels(shard: int, version: int) -> pa.Table:
    generator = np.random.default_rng([shard, version])
    candidate, local = -generator.random((2, 20), dtype=np.float32)
    columns = {
        "doc_id": [f"{shard}"] * 20,
        "split": ["test"] * 20,
        "query_chunk": np.repeat(np.arange(8, 18), 2),
        "candidate_chunk": [1, 0] * 10,
        "rank": [0, 1] * 10,
        "bm25": [2.0, 1.0] * 10,
        "candidate_logprob": candidate,
        "local_logprob": local,
        "candidate_halves": [[value / 2, value / 2] for value in candidate],
        "local_halves": [[value / 2, value / 2] for value in local],
        "target_score": candidate - local,
    }
    return LABELS.table(columns, stride_chunks=2, sequence_chunks=16, scorer={"version": version})


MAKERS = {"tokens": (TOKENS, tokens), "labels": (LABELS, labels)}


def write(directory: Path, kind: str, version: int = 1, shards: int = SHARDS) -> Files:
    contract, make = MAKERS[kind]
    directory.mkdir()
    for number in range(shards):
        write_shard(contract, make(number, version), directory / f"part-{number:05d}.parquet")
    commit(contract, directory)
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def lay_down(directory: Path, there: Files, files: Files) -> Files:
    """Make a directory of the files `there` hold `files`; what is the same object in both stays as it is."""
    for name in there.keys() - files.keys():
        (directory / name).unlink()
    for name, data in files.items():
        if there.get(name) is not data:
            (directory / name).write_bytes(data)
    return files


def read_everything(contract: Contract, directory: Path) -> tuple[int, pa.Table]:
    opened = open_artifact(contract, directory)
    return opened.rows, opened.read_all()


def one(generator: np.random.Generator, files: Files, glob: str = "") -> str:
    return str(generator.choice(sorted(name for name in files if name.endswith(glob))))


def flip_a_bit(generator, now, before, foreign):
    name = one(generator, now)
    data = bytearray(now[name])
    data[generator.integers(len(data))] ^= 1 << generator.integers(8)
    return now | {name: bytes(data)}


def flip_a_bit_of_a_footer(generator, now, before, foreign):
    name = one(generator, now, ".parquet")
    data = bytearray(now[name])
    footer = int.from_bytes(data[-8:-4], "little") + 8
    data[-1 - generator.integers(footer)] ^= 1 << generator.integers(8)
    return now | {name: bytes(data)}


def change_a_digit_of_the_manifest(generator, now, before, foreign):
    data = bytearray(now["manifest.json"])
    position = generator.choice([place for place, byte in enumerate(data) if chr(byte).isdigit()])
    data[position] = generator.choice(list(set(b"0123456789") - {data[position]}))
    return now | {"manifest.json": bytes(data)}


def truncate(generator, now, before, foreign):
    name = one(generator, now)
    return now | {name: now[name][: generator.integers(len(now[name]))]}


def zero_a_page(generator, now, before, foreign):
    name = one(generator, now)
    begin = PAGE * generator.integers(1 + (len(now[name]) - 1) // PAGE)
    page = now[name][begin : begin + PAGE]
    return now | {name: now[name][:begin] + bytes(len(page)) + now[name][begin + PAGE :]}


def append(generator, now, before, foreign):
    name = one(generator, now)
    return now | {
        name: now[name] + generator.choice([generator.bytes(1 + generator.integers(64)), b"\n", b"\0" * PAGE])
    }


def lose(generator, now, before, foreign):
    name = one(generator, now)
    return {other: data for other, data in now.items() if other != name}


def swap_shards(generator, now, before, foreign):
    first, second = generator.choice(sorted(set(now) - {"manifest.json"}), 2, replace=False)
    return now | {first: now[second], second: now[first]}


def copy_over_another_shard(generator, now, before, foreign):
    first, second = generator.choice(sorted(set(now) - {"manifest.json"}), 2, replace=False)
    return now | {first: now[second]}


def copy_under_a_new_name(generator, now, before, foreign):
    return now | {
        f"part-{SHARDS + generator.integers(100):05d}.parquet": now[one(generator, now, ".parquet")]
    }


def stale_manifest(generator, now, before, foreign):
    return now | {"manifest.json": before["manifest.json"]}


def stale_shards(generator, now, before, foreign):
    return before | {"manifest.json": now["manifest.json"]}


def one_stale_shard(generator, now, before, foreign):
    name = one(generator, before, ".parquet")
    return now | {name: before[name]}


def shard_of_another_contract(generator, now, before, foreign):
    return now | {one(generator, now, ".parquet"): foreign[one(generator, foreign, ".parquet")]}


def manifest_of_another_contract(generator, now, before, foreign):
    return now | {"manifest.json": foreign["manifest.json"]}


FAULTS = [
    *[flip_a_bit, flip_a_bit_of_a_footer, change_a_digit_of_the_manifest, truncate, zero_a_page] * 4,
    *[append, lose, swap_shards, copy_over_another_shard, copy_under_a_new_name],
    *[stale_manifest, stale_shards, one_stale_shard, shard_of_another_contract, manifest_of_another_contract],
]


@pytest.mark.parametrize(("kind", "other"), [("tokens", "labels"), ("labels", "tokens")])
def test_no_random_fault_is_read_in_silence(tmp_path, kind, other):
    generator = np.random.default_rng(0)
    contract, _ = MAKERS[kind]
    directory = tmp_path / kind
    there = now = write(directory, kind)
    before, foreign = (
        write(tmp_path / "before", kind, version=0, shards=SHARDS - 1),
        write(tmp_path / "foreign", other),
    )
    expected = read_everything(contract, directory)
    for number in range(FAULTS_OF_A_CONTRACT):
        fault = FAULTS[generator.integers(len(FAULTS))]
        files = fault(generator, now, before, foreign)
        there = lay_down(directory, there, files)
        if files == now:
            assert read_everything(contract, directory) == expected
            continue
        with pytest.raises(Failure) as failure:
            pytest.fail(
                f"fault {number}, {fault.__name__}, was read: {read_everything(contract, directory)[0]} rows"
            )
        assert failure.value.code == Exit.CONTRACT, f"fault {number}, {fault.__name__}"
    lay_down(directory, there, now)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == now
    assert read_everything(contract, directory) == expected


@pytest.fixture
def artifact(tmp_path):
    write(tmp_path / "tokens", "tokens", shards=2)
    return tmp_path / "tokens"


def test_a_missing_and_a_swapped_shard_are_named(artifact):
    first, second = artifact / "part-00000.parquet", artifact / "part-00001.parquet"
    first.unlink()
    with pytest.raises(Failure, match=r"part-00000\.parquet.*cannot be read: No such file"):
        open_artifact(TOKENS, artifact).read(first.name)
    second.rename(first)
    with pytest.raises(Failure, match=r"part-00000\.parquet.*SHA-256"):
        open_artifact(TOKENS, artifact).read(first.name)


def test_a_shard_without_a_place_in_the_manifest_is_refused(artifact):
    with pytest.raises(Failure, match="does not name this shard"):
        open_artifact(TOKENS, artifact).read("part-00007.parquet")
    (artifact / "part-00001.parquet").rename(artifact / "part-00007.parquet")
    with pytest.raises(Failure, match=r"does not name: \['part-00007"):
        open_artifact(TOKENS, artifact)


@pytest.mark.parametrize("figure", ["rows", "bytes"])
def test_a_wrong_figure_in_the_manifest_is_found_without_the_shards(artifact, figure):
    manifest = artifact / "manifest.json"
    manifest.write_text(manifest.read_text().replace(f'"{figure}": ', f'"{figure}": 1', 1))
    with pytest.raises(Failure, match="its own SHA-256"):
        open_artifact(TOKENS, artifact)
