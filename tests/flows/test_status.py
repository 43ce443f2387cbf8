"""What `rpt verify` says of artifacts that are whole, damaged, or have lost their manifest."""

import os

import numpy as np
import pytest

from data_contracts.contract import commit, write_shard
from data_contracts.seal import seal
from data_contracts.tokens import TOKENS
from flows.status import verify_all


@pytest.fixture
def root(tmp_path):
    for corpus in ("a", "b"):
        directory = tmp_path / corpus / "tokens"
        directory.mkdir(parents=True)
        for number in range(2):
            rows = [np.arange(5, dtype=np.uint32)]
            table = TOKENS.table(
                {"doc_id": [f"{number}"], "split": ["test"], "token_ids": rows}, tokenizer="x"
            )
            write_shard(TOKENS, table, directory / f"part-{number:05d}.parquet")
        commit(TOKENS, directory)
    return tmp_path


def test_whole_artifacts_are_without_problems(root):
    assert verify_all(root) == []


def test_every_damaged_shard_is_named_and_only_those(root):
    damaged = [root / "a/tokens/part-00000.parquet", root / "b/tokens/part-00001.parquet"]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-1])
    found = verify_all(root)
    assert len(found) == 2
    assert all(str(path) in problem for path, problem in zip(damaged, found, strict=True))


def lose(manifest):
    manifest.unlink()


def miscount(manifest):
    manifest.write_text(manifest.read_text().replace('"rows": 1', '"rows": 11', 1))


def misname(manifest):
    manifest.write_text(manifest.read_text().replace('"contract": "tokens"', '"contract": "uokens"'))


def empty(manifest):
    manifest.write_bytes(b"")


@pytest.mark.parametrize("damage", [lose, miscount, misname, empty])
def test_a_damaged_or_lost_manifest_is_a_problem(root, damage):
    manifest = root / "a" / "tokens" / "manifest.json"
    damage(manifest)
    (problem,) = verify_all(root)
    assert str(manifest) in problem


def test_a_damaged_tokenizer_or_model_is_a_problem(root):
    tokenizer = root / "a" / "tokenizer" / "tokenizer.json"
    tokenizer.parent.mkdir()
    tokenizer.write_text("{}")
    seal(tokenizer.parent)
    assert verify_all(root) == []
    before = tokenizer.stat()
    tokenizer.write_text("[]")
    os.utime(tokenizer, ns=(before.st_atime_ns, before.st_mtime_ns))  # as on a disk that rots
    (problem,) = verify_all(root)
    assert f"{tokenizer} is not as it was written" in problem
    assert tokenizer.stat().st_mtime_ns > before.st_mtime_ns, "DVC shall look at it again"
