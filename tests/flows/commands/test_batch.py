"""What `rpt batch` shows: texts cut where chunks end but never inside a character, and nothing that acts on a
terminal.
"""

import numpy as np
import pytest

from data_contracts.contract import commit, write_shard
from data_contracts.failure import Exit, Failure
from data_contracts.sequences import SEQUENCES
from flows.commands import batch as module
from flows.commands.batch import _texts
from flows.commands.batch_text import print_batch
from flows.workspace import ROOT
from stages.parameters import Geometry, load
from stages.tokens.tokenizer import END_OF_TEXT, train_tokenizer
from stages.training.data import TrainingData
from stages.training.order import Segments
from tests.hostile import HOSTILE, acting, check_each, read_back

GEOMETRY = Geometry(chunk_tokens=4, sequence_chunks=8, stride_chunks=2)


@pytest.mark.parametrize("text", ["naïve 漢字 👍🏽 שלום", "漢" * 12, "abc"])
def test_every_character_is_in_one_chunk_and_whole(tmp_path, text):
    tokenizer = train_tokenizer(iter([]), 257)  # a token a byte
    ids = [0, *tokenizer.encode(text).ids][:33]
    table = SEQUENCES.table(
        {"doc_id": ["d"], "first_chunk": [0], "token_ids": [np.array(ids, np.uint32)]}, sequence_tokens=32
    )
    write_shard(SEQUENCES, table, tmp_path / "part-00000.parquet")
    commit(SEQUENCES, tmp_path)
    parts = _texts(
        tokenizer,
        TrainingData(tmp_path, None, GEOMETRY).batch(Segments(np.array([0]), np.ones(1, bool))),
        0,
        4,
    )
    assert "".join(parts) == tokenizer.decode(ids, skip_special_tokens=False)
    assert "".join(parts).removeprefix(END_OF_TEXT).rstrip("\ufffd") == text.encode()[:32].decode(
        errors="ignore"
    )
    assert len(parts) == -(-(len(ids) - 1) // 4) + 1
    assert not any("\ufffd" in part for part in parts[:-1])


def test_nothing_of_a_batch_acts_on_a_terminal(capsys):
    def check(text):
        learned = {"labelled": True, "candidates": [{"chunk": 0, "score": 3.2, "t": 0.05}], "gold": [0]}
        sequence = {"sequence": 0, "doc_id": text, "first_chunk": 8, "tokens": 4, "last_target": text}
        chunks = [{"chunk": 0, "text": text}, {"chunk": 1, "text": text, **learned}]
        print_batch(
            {"run": "r", "system": "rpt_sem", "step": 3, "sequences": [{**sequence, "chunks": chunks}]}
        )
        output = capsys.readouterr().out
        assert not acting(output)
        first = (
            output.split("chunk 0\n│ ")[1].split("\nchunk 1\n")[0].removesuffix("\n").replace("\n│ ", "\n")
        )
        assert read_back(first) == text
        assert "0: +0.0500" in output
        assert "gold neighbours  0" in output

    check_each(HOSTILE, check)


def test_before_anything_was_made_it_is_said_what_makes_it(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "ROOT", tmp_path)
    with pytest.raises(Failure, match=r"demo/tokenizer is not there.*run training@demo-rpt_sem") as failure:
        module.look(load(ROOT / "params.yaml"), "demo-rpt_sem", 1, None)
    assert failure.value.code == Exit.USAGE
