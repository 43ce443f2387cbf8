"""The text of each token of a chunk, for a person who looks at them one by one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from tokenizers import Tokenizer

CUT = "\ufffd"  # stands for the bytes of a character that is not whole


def token_texts(tokenizer: Tokenizer, token_ids: Sequence[int]) -> list[str]:
    """What each token adds to the decoded text; together they are that text.

    A character that takes several tokens belongs to the one that completes it, and the others are empty.
    """
    ids = list(map(int, token_ids))
    ends = [
        len(tokenizer.decode(ids[:count], skip_special_tokens=False).rstrip(CUT)) for count in range(len(ids))
    ]
    whole = tokenizer.decode(ids, skip_special_tokens=False)
    ends.append(len(whole))
    return [whole[begin:end] for begin, end in itertools.pairwise(ends)]
