"""Bytes of tokens against the bytes of the text they came from."""

import numpy as np
import pytest
from tokenizers import AddedToken

from stages.tokens.token_bytes import token_bytes
from stages.tokens.tokenizer import END_OF_TEXT, train_tokenizer

TEXTS = [
    "def f(x):\n\treturn x + 1  # naïve",
    "漢字 and 🙂🙂 and Ünïcödé",
    "",
    " \n\n  ",
    "<|endoftext|> spelt out",
    "\u0000\u007f\ufeff",
]


@pytest.fixture
def tokenizer():
    tokenizer = train_tokenizer(iter(TEXTS * 20), 300)
    tokenizer.encode_special_tokens = True
    return tokenizer


@pytest.mark.parametrize("text", TEXTS)
def test_bytes_of_the_tokens_add_up_to_those_of_the_text(tokenizer, text):
    ids = tokenizer.encode(text).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text
    assert token_bytes(tokenizer)[ids].sum() == len(text.encode())


def test_special_tokens_are_no_text_and_added_ones_are(tokenizer):
    tokenizer.add_tokens([AddedToken("é  é", normalized=False)])
    counts = token_bytes(tokenizer)
    assert counts[tokenizer.token_to_id(END_OF_TEXT)] == 0
    assert counts[tokenizer.token_to_id("é  é")] == 6
    assert len(counts) == tokenizer.get_vocab_size()
    assert counts.dtype == np.int32
