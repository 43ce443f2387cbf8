"""Text in the tokens of a reference LM: each text by itself, and a refusal of what does not come back."""

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from data_contracts.failure import Exit, Failure
from stages.tokens.scorer_tokens import load_scorer_tokenizer, scorer_tokens
from stages.tokens.tokenizer import train_tokenizer


def written(place, tokenizer: Tokenizer):
    place.mkdir()
    tokenizer.save(str(place / "tokenizer.json"))
    return load_scorer_tokenizer(place)


def test_each_text_has_the_tokens_it_has_alone(tmp_path):
    tokenizer = written(tmp_path / "a", train_tokenizer(iter(["one two three one two three"] * 9), 280))
    texts = ["one two", " three one", "", "é漢", "<|endoftext|>"]
    rows = scorer_tokens(tokenizer, texts)
    assert [row.tolist() for row in rows] == [
        tokenizer.encode(text, add_special_tokens=False).ids for text in texts
    ]
    assert len(rows[0]) == 2
    assert len(rows[2]) == 0
    assert 0 not in rows[4], "text that spells a special token stays text"


def test_a_tokenizer_without_a_mark_of_the_end_will_do(tmp_path):
    tokenizer = Tokenizer(models.BPE(vocab={"a": 0, "b": 1}, merges=[]))
    assert [row.tolist() for row in scorer_tokens(written(tmp_path / "a", tokenizer), ["a", "b"])] == [
        [0],
        [1],
    ]


def test_composed_and_decomposed_characters_are_the_same_text(tmp_path):
    tokenizer = train_tokenizer(iter(["some text"]), 280)
    tokenizer.normalizer = normalizers.NFC()
    assert (
        scorer_tokens(written(tmp_path / "a", tokenizer), ["e\u0301"])[0].tolist()
        == tokenizer.encode("é").ids
    )


def unknown(words: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0, **words}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def lower() -> Tokenizer:
    tokenizer = train_tokenizer(iter(["some text"]), 280)
    tokenizer.normalizer = normalizers.Lowercase()
    return tokenizer


@pytest.mark.parametrize(
    ("tokenizer", "text", "shown"),
    [
        (unknown({"known": 1}), "known other", "UNK"),
        (lower(), "a Word", "a word"),
        (Tokenizer(models.BPE(vocab={"a": 0}, merges=[])), "aba", "'a a'"),
    ],
)
def test_text_that_does_not_come_back_is_refused(tmp_path, tokenizer, text, shown):
    with pytest.raises(Failure, match="cannot read the corpus") as failure:
        scorer_tokens(written(tmp_path / "a", tokenizer), ["", text])
    assert failure.value.code == Exit.CONTRACT
    assert shown in failure.value.cause


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(Failure, match=r"tokenizer\.json"):
        load_scorer_tokenizer(tmp_path)
