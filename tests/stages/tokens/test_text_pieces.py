"""Pieces of a text encode to the tokens of the whole text, and only for tokenizers that say that they allow
it.
"""

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers

from data_contracts.failure import Exit, Failure
from stages.tokens.text_pieces import MAX_PIECE_BYTES, cutter, pieces
from stages.tokens.tokenizer import END_OF_TEXT, load_tokenizer, train_tokenizer

TRAINING = [
    (
        "It's what they'd say: we've 12 apples, 345 pears\n    and   the rest; don't\t\task.\r\n café naïve"
        " 中文字 שלום\n"
    ),
    "... (''')\x1c\x1c .\x1c\n \n\n  \xa0\xa0 e\u0301 a\u0323\u0307 <|endoftext|> <|padding|>\n",
] * 30
SIZES = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 16, 20, 25, 32, 40, 64, 100, 200)

WORDS = st.sampled_from(
    [
        "apple",
        "the",
        "a",
        "It",
        "don't",
        "we've",
        "'s",
        "'ll",
        "x'",
        "12",
        "345",
        "७",
        "²",
        "naïve",
        "中文字",
        "שלום",
        "مرحبا",
    ]
)
PUNCTUATION = st.sampled_from(
    [
        ".",
        ",",
        "...",
        "'",
        "''",
        "(",
        "-",
        "_",
        "<|",
        "|>",
        END_OF_TEXT,
        "<|padding|>",
        "🐍",
        "👩‍👩‍👧",
        "🇩🇪",
        "\x00",
        "\u200b",
    ]
)
BLANK = st.sampled_from(
    [
        " ",
        " ",
        " ",
        "\n",
        "\n",
        "\t",
        "\r\n",
        "\r",
        "\v",
        "\f",
        ".\x1c",
        "\x1c",
        "\x1f",
        "\x85",
        "\xa0",
        "\u1680",
        "\u2003",
        "\u2028",
        "\u3000",
    ]
)
RUN = st.builds(lambda blank, count: blank * count, BLANK, st.integers(2, 60))
MARKS = st.sampled_from(
    [
        "\u0301",
        "e\u0301",
        "a\u0323\u0307",
        "\u0338",
        "\u1100\u1161",
        "\u1161",
        "\u2000",
        "\u212b",
        "\u0344",
        "\ufb1d",
        "\u3099",
    ]
)
TEXTS = st.lists(st.one_of(WORDS, PUNCTUATION, BLANK, RUN, MARKS, st.text(max_size=5)), max_size=60).map(
    "".join
)


def as_the_project_trains() -> Tokenizer:
    return train_tokenizer(iter(TRAINING), 400)


def like_gpt_neox(*added: AddedToken) -> Tokenizer:
    """NFC, the byte-level pre-tokenizer as older files spell it, and runs of 24 to 2 spaces as
    added tokens.
    """
    tokenizer = as_the_project_trains()
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_special_tokens(["<|padding|>"])
    tokenizer.add_tokens(
        [AddedToken(" " * count, normalized=True, special=False) for count in range(24, 1, -1)]
    )
    tokenizer.add_tokens(list(added))
    description = json.loads(tokenizer.to_str())
    del description["pre_tokenizer"]["use_regex"]
    return Tokenizer.from_str(json.dumps(description))


def splitting_by(
    pre_tokenizer: pre_tokenizers.PreTokenizer, normalizer: normalizers.Normalizer | None = None
) -> Tokenizer:
    tokenizer = as_the_project_trains()
    tokenizer.pre_tokenizer = pre_tokenizer
    if normalizer:
        tokenizer.normalizer = normalizer
    return tokenizer


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """Both kinds, loaded as a stage loads them."""
    loaded = []
    for make in (as_the_project_trains, like_gpt_neox):
        directory = tmp_path_factory.mktemp("tokenizer")
        make().save(str(directory / "tokenizer.json"))
        loaded.append(load_tokenizer(directory))
    return loaded


def ids(encoder: Tokenizer, texts: list[str]) -> list[int]:
    encodings = encoder.encode_batch_fast(texts, add_special_tokens=False)
    return list(itertools.chain.from_iterable(encoding.ids for encoding in encodings))


def test_white_space_of_the_expression_is_white_space_of_python_before_and_after_nfc():
    characters = "".join(chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000)
    black = "".join(character for character in characters if not character.isspace())
    white = "".join(character for character in characters if character.isspace())
    assert len(pre_tokenizers.Split(Regex(r"\s"), "isolated").pre_tokenize_str(black)) == 1
    assert not any(map(str.isspace, normalizers.NFC().normalize_str(black)))
    assert normalizers.NFC().normalize_str(white).isspace()


@settings(max_examples=1000, deadline=None)
@given(text=TEXTS)
def test_pieces_encode_to_the_tokens_of_the_whole(encoders, text):
    whole = [ids(encoder, [text]) for encoder in encoders]
    for size in SIZES:
        parts = list(pieces(text, size))
        assert "".join(parts) == text
        assert all(len(part) >= size for part in parts[:-1])
        for encoder, expected in zip(encoders, whole, strict=True):
            assert ids(encoder, parts) == expected, size


def test_both_kinds_are_cut_and_the_words_are_found_again(encoders):
    text = "It's  what they'd say\n\n" * 10_000
    for encoder in encoders:
        parts = list(cutter(encoder)(text))
        assert len(parts) == 8
        assert ids(encoder, parts) == ids(encoder, [text])


@pytest.mark.parametrize(
    "tokenizer",
    [
        splitting_by(pre_tokenizers.ByteLevel(add_prefix_space=True)),
        splitting_by(pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)),
        splitting_by(pre_tokenizers.Whitespace()),
        splitting_by(
            pre_tokenizers.Sequence(
                [pre_tokenizers.Digits(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
            )
        ),
        splitting_by(pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.Replace(" ", "_")),
        splitting_by(pre_tokenizers.ByteLevel(add_prefix_space=False), normalizers.Strip()),
        like_gpt_neox(AddedToken("New York")),
        like_gpt_neox(AddedToken("<mask>", rstrip=True)),
        Tokenizer(models.BPE()),
    ],
    ids=[
        "prefix space",
        "no regex",
        "another",
        "sequence",
        "replace",
        "strip",
        "added words",
        "greedy added token",
        "none",
    ],
)
def test_another_tokenizer_sees_documents_whole(tokenizer):
    text = "It's what New York <mask> says\n" * 3000
    assert list(cutter(tokenizer)(text)) == [text]


def test_text_too_long_without_a_cut_is_refused(encoders):
    blank_free = "é" * (MAX_PIECE_BYTES // 2)
    assert list(pieces(blank_free, 100)) == [blank_free]
    with pytest.raises(Failure, match=r"2,621,441 bytes.*limit of 2,621,440.*max_document_chars") as refused:
        list(pieces(blank_free + "x", 100))
    assert refused.value.code == Exit.USAGE
    with pytest.raises(Failure, match="byte-level BPE"):
        list(cutter(Tokenizer(models.BPE()))("word " * MAX_PIECE_BYTES))


def test_training_on_pieces_gives_the_same_tokenizer():
    texts = ["".join(TRAINING), "another  text\n\nit's   here " * 40]
    for size in (1, 7, 100):
        parts = [part for text in texts for part in pieces(text, size)]
        assert train_tokenizer(iter(parts), 400).to_str() == train_tokenizer(iter(texts), 400).to_str()
