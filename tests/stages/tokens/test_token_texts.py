"""The texts of tokens add up to the text of their chunk, also where a character takes several tokens."""

import pytest
from tokenizers import Tokenizer

from stages.tokens.token_texts import token_texts
from stages.tokens.tokenizer import train_tokenizer

TEXTS = [
    "the cat sat on the mat, the cat ran",
    "naïve 漢字 👩‍👩‍👧 🐍 — é",
    " leading, trailing \n\n",
    "literal \ufffd and \ufffd\ufffd",
    "a",
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(iter(TEXTS[:1] * 20), 280)


@pytest.mark.parametrize("text", TEXTS)
def test_they_add_up_to_the_text(tokenizer, text):
    ids = tokenizer.encode(text).ids
    texts = token_texts(tokenizer, ids)
    assert len(texts) == len(ids)
    assert "".join(texts) == text


def test_a_character_belongs_to_the_token_that_completes_it(tokenizer):
    ids = tokenizer.encode("a漢b").ids
    assert len(ids) == 5
    assert token_texts(tokenizer, ids) == ["a", "", "", "漢", "b"]


def test_a_chunk_that_begins_and_ends_within_a_character(tokenizer):
    ids = tokenizer.encode("漢a漢").ids[1:-1]
    texts = token_texts(tokenizer, ids)
    assert "".join(texts) == tokenizer.decode(ids, skip_special_tokens=False)
    assert [text.strip("\ufffd") for text in texts].count("a") == 1
    assert texts[-1].endswith("\ufffd")


def test_words_are_their_tokens(tokenizer):
    encoded = tokenizer.encode("the cat")
    assert token_texts(tokenizer, encoded.ids) == ["the", " cat"]


def test_special_tokens_are_shown(tokenizer):
    assert token_texts(tokenizer, [0, *tokenizer.encode("a").ids]) == ["<|endoftext|>", "a"]
