"""The text of chunks: every byte once, whole characters, and a refusal of tokenizers that cannot say."""

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from data_contracts.failure import Exit, Failure
from stages.tokens.chunk_texts import bytes_of_tokens, texts_of_chunks
from stages.tokens.tokenizer import train_tokenizer

TEXT = "Zwölf Boxkämpfer, 漢字 и кириллица 🙂🙂 naïve \t\n x" * 3


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(iter(["plain words, and more plain words"]), 280)


def chunks_of(ids: list[int], size: int) -> list[np.ndarray]:
    return [np.array(ids[begin : begin + size], np.uint32) for begin in range(0, len(ids), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 1000])
def test_texts_are_the_document_whole_and_a_character_is_where_its_first_byte_is(tokenizer, size):
    chunks = chunks_of(tokenizer.encode(TEXT).ids, size)
    bytes_of = bytes_of_tokens(tokenizer)
    texts = texts_of_chunks(bytes_of, chunks)
    assert "".join(texts) == TEXT
    end = 0
    for chunk, text in zip(chunks, texts, strict=True):
        begin, end = end, end + sum(len(bytes_of[token]) for token in chunk)
        place = 0
        expected = ""
        for character in TEXT:
            expected += character if begin <= place < end else ""
            place += len(character.encode())
        assert text == expected


def test_marks_of_begin_and_end_are_no_text_and_text_that_spells_them_is(tokenizer):
    bytes_of = bytes_of_tokens(tokenizer)
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    tokenizer.encode_special_tokens = True
    ids = [0, *tokenizer.encode("a <|endoftext|> b").ids, 0]
    assert "".join(texts_of_chunks(bytes_of, chunks_of(ids, 4))) == "a <|endoftext|> b"


def test_added_tokens_stand_for_what_they_are_written_as(tokenizer):
    tokenizer = Tokenizer.from_str(tokenizer.to_str())
    tokenizer.add_tokens(["    ", "é"])
    assert texts_of_chunks(bytes_of_tokens(tokenizer), chunks_of(tokenizer.encode("x    éé y").ids, 2)) == [
        "x    ",
        "éé",
        " y",
    ]


def without_bytes() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(vocab={"<|endoftext|>": 0, "a": 1, "b": 2}, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = (
        pre_tokenizers.ByteLevel(add_prefix_space=False),
        decoders.ByteLevel(),
    )
    return tokenizer


def changed(change) -> Tokenizer:
    tokenizer = train_tokenizer(iter(["a b"]), 270)
    change(tokenizer)
    return tokenizer


@pytest.mark.parametrize(
    ("tokenizer", "cause"),
    [
        (without_bytes(), "241 of the bytes of UTF-8 have no token"),
        (
            Tokenizer(models.WordLevel({"<|endoftext|>": 0, "[UNK]": 1}, unk_token="[UNK]")),
            "no byte-level BPE",
        ),
        (changed(lambda it: setattr(it, "decoder", decoders.Metaspace())), "no byte-level BPE"),
        (changed(lambda it: setattr(it, "normalizer", normalizers.Lowercase())), "changes text"),
        (
            changed(lambda it: setattr(it, "pre_tokenizer", pre_tokenizers.ByteLevel(add_prefix_space=True))),
            "space before every text",
        ),
    ],
)
def test_a_tokenizer_that_cannot_give_bytes_back_is_refused(tokenizer, cause):
    with pytest.raises(Failure, match=cause) as failure:
        bytes_of_tokens(tokenizer)
    assert failure.value.code == Exit.CONTRACT


def test_tokens_of_another_tokenizer_are_refused(tokenizer):
    with pytest.raises(Failure, match="no text of this tokenizer") as failure:
        texts_of_chunks(bytes_of_tokens(tokenizer), [np.array([5000])])
    assert failure.value.code == Exit.CONTRACT
