"""The text of a chunk, cut at its tokens."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Tokenizer


def token_texts(tokenizer: Tokenizer, token_ids: Sequence[int]) -> list[str]:
    """A text a token, which together are what the tokens decode to. A character that several tokens share is the last one's."""
    whole = tokenizer.decode(token_ids, skip_special_tokens=False)
    ends = [0]
    for count in range(1, len(token_ids)):
        begun = tokenizer.decode(token_ids[:count], skip_special_tokens=False)
        ends.append(max(ends[-1], _agreeing(begun, whole)))
    return [whole[begin:end] for begin, end in zip(ends, [*ends[1:], len(whole)], strict=True)]


def _agreeing(one: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    return next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
