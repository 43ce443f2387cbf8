"""A sealed directory: whatever is done to its files is noticed before they are used."""

import json

import numpy as np
import pytest

from benchmarks import _mutations as damage
from data_contracts.failure import Exit, Failure
from data_contracts.seal import SEAL, check_seal, seal
from stages.identity.digest import path_digest
from stages.runner import stage
from tests.tiny import tiny_context

FILES = {
    "config.json": b'{"a": 1}',
    "model.safetensors": bytes(range(256)) * 4,
    "deeper/losses.jsonl": b"{}\n",
}


@pytest.fixture
def directory(tmp_path):
    for name, data in FILES.items():
        (tmp_path / "lm" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lm" / name).write_bytes(data)
    seal(tmp_path / "lm")
    return tmp_path / "lm"


def says_the_same(one: bytes, other: bytes) -> bool:
    """As where a space became a tab."""
    try:
        return json.loads(one) == json.loads(other)
    except ValueError:
        return False


def test_what_is_whole_is_taken_and_so_is_what_has_no_seal(directory):
    check_seal(directory)
    (directory / SEAL).unlink()
    (directory / "config.json").write_text("edited")
    check_seal(directory)


def test_every_fault_is_noticed(directory):
    generator = np.random.default_rng(0)
    there = {name: (directory / name).read_bytes() for name in (*FILES, SEAL)}
    for number in range(300):
        name = str(generator.choice(sorted(there)))
        data = damage.of_bytes(generator, there[name]) if generator.integers(4) else None
        if data == there[name] or (data is None and name == SEAL):
            continue
        (directory / name).unlink() if data is None else (directory / name).write_bytes(data)
        if name == SEAL and says_the_same(data, there[name]):
            check_seal(directory)
            continue
        with pytest.raises(Failure) as failure:
            pytest.fail(f"fault {number} in {name} was not noticed: {check_seal(directory)}")
        assert failure.value.code == Exit.CONTRACT
        assert str(directory) in str(failure.value)
        (directory / name).write_bytes(there[name])
    check_seal(directory)


def test_a_file_too_many_is_named(directory):
    (directory / "model-00002.safetensors").touch()
    with pytest.raises(Failure, match=r"model-00002\.safetensors is not as it was written"):
        check_seal(directory)


def test_stages_read_nothing_that_is_damaged(directory):
    context = tiny_context(directory.parent)
    assert path_digest(directory)
    assert context.input("lm") == directory
    (directory / "config.json").write_bytes(b"{}")
    with pytest.raises(Failure, match="not as it was written"):
        path_digest(directory)
    stage._checked.cache_clear()  # what was checked is not read again in one process
    with pytest.raises(Failure, match="not as it was written"):
        context.input("lm")


def test_what_has_digests_of_its_own_is_not_sealed(tmp_path):
    (tmp_path / "manifest.json").write_text("{}")
    seal(tmp_path)
    assert not (tmp_path / SEAL).exists()
