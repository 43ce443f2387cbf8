"""A text of one's own: what is refused. What is read is looked at on real weights (tests/model)."""

import shutil

import pytest

from data_contracts.failure import Exit, Failure
from model.pretrained import CODE
from stages.evaluation.texts import TextReader


def test_a_model_that_is_not_there_is_refused_with_those_that_are():
    with pytest.raises(Failure, match="rpt_sem, transformer_xl") as raised:
        TextReader(CODE, "retro")
    assert raised.value.code == Exit.USAGE


def test_a_system_that_reads_what_a_stage_has_mined_is_refused(tmp_path):
    place = shutil.copytree(CODE / "models" / "rpt_sem", tmp_path / "models" / "retro")
    config = (place / "config.json").read_text()
    (place / "config.json").write_text(config.replace('"rpt_sem"', '"retro"'))
    with pytest.raises(Failure, match="bm25") as raised:
        TextReader(tmp_path, "retro")
    assert raised.value.code == Exit.USAGE


def test_texts_of_any_length_are_read_but_not_an_empty_one():
    reader = TextReader(CODE, "transformer_xl")
    with pytest.raises(Failure, match="it is empty"):
        reader.read("")
    for text in ("a", "é" * 3, "def f(x):\n    return x\n" * 40):
        reading = reader.read(text)
        assert "".join(reading.chunks) == f"<|endoftext|>{text}<|endoftext|>"
        assert reading.bytes == len(text.encode())
        assert reading.perplexity() > 1
