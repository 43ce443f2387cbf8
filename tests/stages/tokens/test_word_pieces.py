"""Chunks in the word pieces of a BERT."""

import numpy as np
import pytest
from tokenizers import Tokenizer

from data_contracts.failure import Exit, Failure
from stages.tokens.tokenizer import train_tokenizer
from stages.tokens.word_pieces import WordPieces
from tests.stages.tiny_bert import word_pieces

TEXT = "the cat sat on the mat; naïve café 日本 [MASK] and [SEP] are words here, 42 of them"


@pytest.fixture
def corpus(tmp_path):
    place = tmp_path / "tokenizer"
    place.mkdir()
    train_tokenizer(iter([TEXT * 3]), 300).save(str(place / "tokenizer.json"))
    return place


@pytest.fixture
def bert(tmp_path):
    place = tmp_path / "bert"
    place.mkdir()
    word_pieces([TEXT * 3]).save(str(place / "tokenizer.json"))
    return place


@pytest.fixture
def tokens(corpus) -> np.ndarray:
    from stages.tokens.tokenizer import load_tokenizer

    return np.array(load_tokenizer(corpus).encode(TEXT).ids, np.int32)


def test_the_text_of_a_chunk_is_cut_anew(corpus, bert, tokens):
    pieces, cut = WordPieces(corpus, bert, 200, 0, 1, 96)(tokens[None])
    known = Tokenizer.from_file(str(bert / "tokenizer.json"))
    ids = pieces[0][pieces[0] != 0].tolist()
    assert pieces.shape[1] in (32, 64, 96)
    assert not cut
    assert (ids[0], ids[-1]) == (2, 3)
    assert known.token_to_id("cat") in ids or known.token_to_id("the") in ids
    assert "the cat sat on the mat" in known.decode(ids).replace(" ##", "")
    assert 4 not in ids, "[MASK] in a text is no mask"
    assert ids.count(3) == 1, "[SEP] in a text is no end"


def test_where_a_document_ends_nothing_is_said_and_half_a_character_does_no_harm(corpus, bert, tokens):
    pieces = WordPieces(corpus, bert, 200, 0, 1, 96)
    whole, _ = pieces(tokens[None])
    with_end, _ = pieces(np.concatenate(([0], tokens))[None])
    np.testing.assert_array_equal(whole, with_end)
    for length in range(len(tokens)):
        halves, _ = pieces(tokens[None, :length])
        assert halves[0, 0] == 2


def test_what_is_too_long_is_cut_and_counted(corpus, bert, tokens):
    pieces, cut = WordPieces(corpus, bert, 200, 0, 1, 10)(np.stack((tokens, np.zeros_like(tokens))))
    assert pieces.shape == (2, 10)
    assert pieces[0, -1] == 3
    assert pieces[1].tolist() == [2, 3, *[0] * 8]
    assert cut == 1


def test_rows_may_have_one_length_and_blocks_change_nothing(corpus, bert, tokens, monkeypatch):
    chunks = np.stack([np.roll(tokens, shift) for shift in range(7)])
    whole, _ = WordPieces(corpus, bert, 200, 0, 64, 64)(chunks)
    assert whole.shape == (7, 64)
    monkeypatch.setattr("stages.tokens.word_pieces.BLOCK", 3)
    blocks, _ = WordPieces(corpus, bert, 200, 0, 64, 64)(chunks)
    np.testing.assert_array_equal(whole, blocks)
    alone, _ = WordPieces(corpus, bert, 200, 0, 64, 64)(tokens[None, :5])
    assert alone.shape == (1, 64)


def test_no_chunks_are_no_rows(corpus, bert):
    pieces, cut = WordPieces(corpus, bert, 200, 0, 1, 96)(np.empty((0, 8), np.int32))
    assert pieces.shape[0] == cut == 0


def test_tokenizers_that_do_not_fit_are_refused(corpus, bert):
    with pytest.raises(Failure, match="pieces, its model 20") as failure:
        WordPieces(corpus, bert, 20, 0, 1, 96)
    assert failure.value.code == Exit.USAGE
    with pytest.raises(Failure, match="does not put"):
        WordPieces(corpus, corpus, 300, 0, 1, 96)
    (bert / "tokenizer.json").write_text("{}")
    with pytest.raises(Failure, match="cannot be read"):
        WordPieces(corpus, bert, 200, 0, 1, 96)
