"""A tokenizer.json that others wrote: read, or refused by what is wrong with it.

The library trusts ids: two tokens of one id, or an id of billions, end the process without a word that could
be caught.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from data_contracts.failure import Exit, Failure

MOST_ID = 2**24  # far above any vocabulary; a table of embeddings has a row for each id up to the highest
TAKE = "take the tokenizer.json that came with the weights"


def read_tokenizer(path: Path, remedy: str = TAKE, code: Exit = Exit.USAGE) -> Tokenizer:
    """The tokenizer of a file.

    Raises:
        Failure: (exit code `code`) if it is no tokenizer, its ids are none or not those that it gives, or it
            tokenizes by chance.
    """
    try:
        text = path.read_text(encoding="utf-8")
        described = json.loads(text)
        _check_ids(described)
        if chance := described["model"].get("dropout"):
            raise ValueError(f"dropout is {chance}: a text would have other tokens each time; make it null")
        tokenizer = Tokenizer.from_str(text)
        for one in described.get("added_tokens") or []:
            if (found := tokenizer.token_to_id(one["content"])) != one["id"]:
                raise ValueError(f"the token {one['content'][:40]!a} of id {one['id']} gets the id {found}")
        return tokenizer
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the library raises bare exceptions, and panics, which are none
        raise Failure(
            f"the tokenizer {path} cannot be read", f"{type(error).__name__}: {error}"[:300], remedy, code
        ) from error


def _check_ids(described: Any) -> None:
    """Raises ValueError for ids that are not whole numbers below `MOST_ID`, each of one token."""
    vocabulary = described["model"]["vocab"]
    named = (
        list(vocabulary.items())
        if isinstance(vocabulary, dict)
        else [(row[0], number) for number, row in enumerate(vocabulary)]
    )
    named += [(one["content"], one["id"]) for one in described.get("added_tokens") or []]
    holders: dict[int, str] = {}
    for token, number in named:
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < MOST_ID:
            raise ValueError(
                f"the token {token[:40]!a} has the id {str(number)[:40]}, ids are whole numbers below"
                f" {MOST_ID}"
            )
        if holders.setdefault(number, token) != token:
            raise ValueError(f"the tokens {holders[number][:40]!a} and {token[:40]!a} have one id, {number}")
