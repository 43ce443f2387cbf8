"""Documents added to an index and taken from it: what is found is what an index of exactly those documents
finds.
"""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from data_contracts.contract import open_artifact
from data_contracts.failure import Exit, Failure
from data_contracts.passages import KEYS
from data_contracts.tokens import CHUNKS
from stages.index import edition as editions
from stages.index.build import make_index
from stages.index.edition import add, compact, open_edition, remove
from stages.index.encoders import load_encoder
from stages.index.keys import keys
from stages.index.store import open_index
from stages.parameters import Index, PassageEncoder
from tests.conftest import ROOT
from tests.stages.artifacts import write_artifact, write_tokenizer
from tests.tiny import tiny_context

ENCODER = PassageEncoder(width=32)


def text(name: str) -> np.ndarray:
    return np.random.default_rng(ord(name)).integers(1, 200, 8 * 6 + 3).astype(np.uint32)


def index_of(place, names: str, make_chunks, geometry):
    """An index of some documents, made by the stages."""
    write_tokenizer(place)
    chunks = make_chunks({name: ("train", text(name)) for name in names})
    write_artifact(CHUNKS, place / "chunks", chunks)
    write_artifact(KEYS, place / "keys", keys(chunks, geometry, ENCODER, place / "tokenizer"))
    make_index(tiny_context(place), geometry, Index())
    assert open_artifact(KEYS, place / "keys").rows == 6 * len(names)
    return open_index(place / "scratch" / "index")


@pytest.fixture
def base(tmp_path, make_chunks, geometry):
    return index_of(tmp_path / "base", "abc", make_chunks, geometry)


@pytest.fixture
def encoder(tmp_path):
    write_tokenizer(tmp_path / "encoder")
    return load_encoder(ENCODER, tmp_path / "encoder" / "tokenizer", 8)


def found(edition, encoder, count=9) -> list[tuple]:
    """What some queries find, without regard to the order of documents."""
    queries = encoder.encode(np.stack([text(name)[:8] for name in "abcxyz"]))
    return [
        sorted(
            (hit.distance, hit.doc_id, hit.chunk, tuple(hit.tokens_R.tolist()))
            for hit in edition.search(q, count)
        )
        for q in queries
    ]


def test_an_edited_index_finds_what_one_made_anew_finds(base, encoder, tmp_path, make_chunks, geometry):
    place = tmp_path / "edits"
    assert add(open_edition(base, place), {"x": text("x"), "a": text("a")}, encoder, 8) == ["x"]
    assert add(open_edition(base, place), {"y": text("y"), "z": text("z")}, encoder, 8) == ["y", "z"]
    remove(open_edition(base, place), ["b", "y"])
    edited, anew = open_edition(base, place), index_of(tmp_path / "anew", "acxz", make_chunks, geometry)
    expected = found(open_edition(anew, tmp_path / "none"), encoder)
    assert found(edited, encoder) == expected
    assert (len(edited), edited.documents) == (24, {"a", "c", "x", "z"})
    compact(edited)
    compacted = open_edition(base, place)
    assert (len(compacted.parts), compacted.removed) == (2, {"b"})
    assert found(compacted, encoder) == expected
    assert sorted(path.name for path in place.iterdir() if path.is_dir()) == [
        compacted.parts[1].directory.name
    ]
    assert add(compacted, {"b": text("b")}, encoder, 8) == ["b"], "what was removed can be brought back"
    assert len(open_edition(base, place).parts) == 2
    compact(open_edition(base, place))
    assert open_edition(base, place).version != compacted.base.digest


def test_the_removed_are_passed_over_however_many_are_nearest(base, encoder, tmp_path):
    """All of a document that was removed lies nearer to its own text than anything else does."""
    remove(open_edition(base, tmp_path / "edits"), ["a", "b"])
    hits = open_edition(base, tmp_path / "edits").search(encoder.encode(text("a")[None, :8])[0], 6, margin=1)
    assert [hit.doc_id for hit in hits] == ["c"] * 6
    with pytest.raises(Failure, match="the index holds 6"):
        open_edition(base, tmp_path / "edits").search(np.zeros(32, np.float32), 7)


KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from stages.index import edition as editions
from stages.index.encoders import load_encoder
from stages.index.store import open_index
from stages.parameters import PassageEncoder

setattr(editions, sys.argv[3], lambda *_: os.kill(os.getpid(), signal.SIGKILL))
base, place = open_index(Path(sys.argv[1])), Path(sys.argv[2])
encoder = load_encoder(PassageEncoder(width=32), place, 8)
editions.add(editions.open_edition(base, place), {"x": np.arange(1, 60, dtype=np.uint32)}, encoder, 8)
"""


@pytest.mark.parametrize("where", ["_write", "_keys"])
def test_an_addition_that_is_killed_changes_nothing_and_can_be_made_again(where, base, encoder, tmp_path):
    place = tmp_path / "edits"
    add(open_edition(base, place), {"y": text("y")}, encoder, 8)
    before = open_edition(base, place)
    known = before.version, found(before, encoder)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, base.directory, place, where],
        cwd=ROOT,
        env=os.environ,
        check=False,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL
    after = open_edition(base, place)
    assert (after.version, found(after, encoder)) == known
    assert add(after, {"x": text("x")}, encoder, 8) == ["x"]
    assert open_edition(base, place).documents == {*"abcxy"}


def test_what_does_not_fit_is_refused_and_nothing_is_written(
    base, encoder, tmp_path, make_chunks, geometry, monkeypatch
):
    place = tmp_path / "edits"
    with pytest.raises(Failure, match="x has fewer than 8 tokens"):
        add(open_edition(base, place), {"x": text("x")[:5], "y": text("y")}, encoder, 8)
    with pytest.raises(Failure, match="the index does not hold it"):
        remove(open_edition(base, place), ["nobody"])
    other = load_encoder(PassageEncoder(width=32, seed=1), tmp_path, 8)
    with pytest.raises(Failure, match="of another encoder"):
        add(open_edition(base, place), {"x": text("x")}, other, 8)
    with pytest.raises(Failure, match="not finite"):
        add(
            open_edition(base, place),
            {"x": text("x")},
            encoder._replace(encode=lambda c: np.full((len(c), 32), np.nan)),
            8,
        )
    assert not (place / editions.EDITION).exists()
    add(open_edition(base, place), {"x": text("x")}, encoder, 8)
    anew = index_of(tmp_path / "anew", "abd", make_chunks, geometry)
    with pytest.raises(Failure, match="is of another index") as failure:
        open_edition(anew, place)
    assert failure.value.code == Exit.CONTRACT
