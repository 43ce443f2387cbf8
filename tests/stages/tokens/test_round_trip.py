"""Tokenizers that lose text or whose tokens are not bytes of it are refused; those with byte fallback count
right.
"""

import json

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from data_contracts.failure import Exit, Failure
from stages.tokens.round_trip import check_round_trip, unknown_id
from stages.tokens.token_bytes import DocumentBytes, token_bytes
from stages.tokens.tokenization import tokenize
from stages.tokens.tokenizer import END_OF_TEXT, train_tokenizer
from stages.tokens.tokenizer_file import read_tokenizer
from tests.stages.tokens.test_text_stages import documents

TEXTS = ["the cat  sat", "naïve façade, 漢字 and 🙂", "  two spaces first", "a\nb\tc", "x▁y"]


def with_byte_fallback(prepend: bool = True) -> Tokenizer:
    """As SentencePiece's BPE: pieces of text with a mark for a space, and a token for each byte."""
    bytes_ = [f"<0x{byte:02X}>" for byte in range(256)]
    pieces = ["▁", "t", "h", "e", "c", "a", "s", "th", "the", "▁the", "ï", "▁c"]
    names = ["<unk>", *bytes_, *pieces, END_OF_TEXT]
    merges = [("t", "h"), ("th", "e"), ("▁", "the"), ("▁", "c")]
    tokenizer = Tokenizer(
        models.BPE(
            {name: number for number, name in enumerate(names)},
            merges,
            unk_token="<unk>",
            byte_fallback=True,
            fuse_unk=True,
        )
    )
    marks = normalizers.Replace(" ", "▁")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), marks]) if prepend else marks
    strip = [decoders.Strip(" ", 1, 0)] if prepend else []
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *strip]
    )
    tokenizer.add_special_tokens([END_OF_TEXT])
    return tokenizer


def of_words() -> Tokenizer:
    tokenizer = Tokenizer(
        models.WordLevel({"[UNK]": 0, END_OF_TEXT: 1, "the": 2, "cat": 3, "sat": 4}, unk_token="[UNK]")
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.add_special_tokens([END_OF_TEXT])
    return tokenizer


@pytest.mark.parametrize("prepend", [True, False])
@pytest.mark.parametrize("text", TEXTS[:-1])
def test_bytes_with_byte_fallback_are_those_of_the_text(text: str, prepend: bool) -> None:
    tokenizer = with_byte_fallback(prepend)
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert token_bytes(tokenizer)[ids].sum() == len(text.encode()) + prepend
    check_round_trip(tokenizer, "mine", [text])


@pytest.mark.parametrize(
    "tokenizer",
    [with_byte_fallback(), with_byte_fallback(prepend=False), train_tokenizer(iter(TEXTS * 20), 300)],
)
@pytest.mark.parametrize("text", [*TEXTS[:-1], ""])
def test_the_bytes_of_a_document_are_exact(tokenizer: Tokenizer, text: str) -> None:
    end = tokenizer.token_to_id(END_OF_TEXT)
    ids = np.array([end, *tokenizer.encode(text, add_special_tokens=False).ids, end])
    assert DocumentBytes(tokenizer)(ids).sum() == len(text.encode())


def test_a_trained_one_and_its_like_pass() -> None:
    check_round_trip(train_tokenizer(iter(TEXTS * 20), 300), "mine", TEXTS)
    assert unknown_id(train_tokenizer(iter(TEXTS * 20), 300)) is None


def test_a_mark_that_is_text_too_is_lost_and_said() -> None:
    with pytest.raises(Failure, match="does not give the text back"):
        check_round_trip(with_byte_fallback(), "mine", TEXTS)


def test_lost_words_are_refused_with_their_share() -> None:
    with pytest.raises(Failure, match="50% of 6 tokens are unknown") as refused:
        check_round_trip(of_words(), "words.json", ["the dog ate", "the cat ran"])
    assert refused.value.code == Exit.USAGE
    assert "'words.json' does not give the text back" in refused.value.what


def test_tokens_of_which_nobody_knows_the_bytes_are_refused() -> None:
    tokenizer = with_byte_fallback()
    tokenizer.decoder = decoders.Metaspace()
    with pytest.raises(Failure, match="its decoder is Metaspace"):
        token_bytes(tokenizer)


def test_bytes_that_do_not_add_up_are_refused() -> None:
    tokenizer = with_byte_fallback(prepend=False)
    tokenizer.add_tokens(["▁the"])  # an added token is taken as written: with the mark in place of the space
    with pytest.raises(Failure):
        check_round_trip(tokenizer, "mine", ["see the cat and the cat"])


def test_a_document_beyond_the_sample_that_has_no_tokens_stops_tokenization(tmp_path) -> None:
    of_words().save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(Failure, match="1 of its 5 tokens are unknown"):
        list(tokenize(documents(texts=["the cat barked"]), tmp_path))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda file: file["model"].update(dropout=0.3), "would have other tokens each time"),
        (
            lambda file: file["added_tokens"].append(
                {**file["added_tokens"][0], "content": "<far>", "id": 5000}
            ),
            "of id 5000 gets the id",
        ),
    ],
)
def test_tokens_that_are_not_always_the_same_are_refused(tmp_path, change, said) -> None:
    file = json.loads(train_tokenizer(iter(TEXTS * 20), 300).to_str())
    (tmp_path / "tokenizer.json").write_text(json.dumps(file))
    read_tokenizer(tmp_path / "tokenizer.json")
    change(file)
    (tmp_path / "tokenizer.json").write_text(json.dumps(file))
    with pytest.raises(Failure, match=said):
        read_tokenizer(tmp_path / "tokenizer.json")
