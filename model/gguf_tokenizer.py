"""The tokenizer of a GGUF file: a byte-level BPE, by the name of the way in which it cuts text into pieces.

A file names that way and does not describe it, so only names that are known here are taken: another way gives
other tokens, and labels all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

# Of Llama 3 and of Qwen2, as their published tokenizer.json have them: they differ in how many digits go
# together.
LETTERS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
OTHERS = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
WHOLE = ("llama-bpe",)
"""Where a piece that is a token is taken as it is, even if no merges lead there."""
CONTROL, USER_DEFINED = 3, 4  # a token's type in `tokenizer.ggml.token_type`: found in text before it is cut


def _byte_level(use_regex: bool) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def _split(pattern: str) -> pre_tokenizers.PreTokenizer:
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(pattern), behavior="isolated"), _byte_level(use_regex=False)]
    )


PRE_TOKENIZERS: dict[str, Callable[[], pre_tokenizers.PreTokenizer]] = {
    "gpt-2": lambda: _byte_level(use_regex=True),
    "smollm": lambda: pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), _byte_level(use_regex=True)]
    ),
    "llama-bpe": lambda: _split(rf"{LETTERS}|\p{{N}}{{1,3}}|{OTHERS}"),
    "qwen2": lambda: _split(rf"{LETTERS}|\p{{N}}|{OTHERS}"),
}


def tokenizer_of(facts: dict[str, Any]) -> Tokenizer:
    """The byte-level BPE that the key-value pairs of a file describe.

    Raises:
        ValueError: for another kind of tokenizer, or a way to cut text before it that is not known here.
    """
    kind, before = facts.get("tokenizer.ggml.model"), facts.get("tokenizer.ggml.pre", "gpt-2")
    if kind != "gpt2" or str(before) not in PRE_TOKENIZERS:
        raise ValueError(
            f"the GGUF file has a tokenizer {kind!r} with pre-tokenizer {before!r}; read are gpt2 with"
            f" {', '.join(PRE_TOKENIZERS)}"
        )
    tokens, merges = (_strings(facts, f"tokenizer.ggml.{name}") for name in ("tokens", "merges"))
    if len(set(tokens)) < len(tokens):
        raise ValueError("the GGUF file has a tokenizer with two equal tokens")
    vocabulary = {token: place for place, token in enumerate(tokens)}
    pairs = [(first, second) for first, _, second in (merge.partition(" ") for merge in merges)]
    if odd := next((pair for pair in pairs if not {*pair, "".join(pair)} <= vocabulary.keys()), None):
        raise ValueError(
            f"the GGUF file has a tokenizer that merges {odd[0]!a} and {odd[1]!a}, which are no tokens or"
            " make none"
        )
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs, ignore_merges=before in WHOLE))
    tokenizer.pre_tokenizer, tokenizer.decoder = PRE_TOKENIZERS[before](), decoders.ByteLevel()
    types = facts.get("tokenizer.ggml.token_type", [])
    _add(tokenizer, tokens, types if isinstance(types, list) else [])
    return tokenizer


def _strings(facts: dict[str, Any], name: str) -> list[str]:
    """A list of strings of the file.

    Raises:
        ValueError: if there is none.
    """
    found = facts.get(name)
    if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
        raise ValueError(f"the GGUF file has no list of strings {name}")
    return found


def _add(tokenizer: Tokenizer, tokens: list[str], types: list[int]) -> None:
    """Lets tokens that no merges make be found in text."""
    kinds = list(zip(tokens, types, strict=False))
    tokenizer.add_special_tokens([token for token, kind in kinds if kind == CONTROL])
    tokenizer.add_tokens(
        [AddedToken(token, normalized=False) for token, kind in kinds if kind == USER_DEFINED]
    )
