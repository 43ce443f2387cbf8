"""Text in pieces that encode to the same tokens as the whole: a tokenizer needs 140 to 230 bytes of memory
for each byte it is given.

The pre-tokenizer of GPT-2 (byte-level, also GPT-NeoX's) splits text by the regular expression

    's|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+

and the model encodes each match on its own. A cut lies between a character that is not white space and ASCII
white space (space, tab, line end). There

- a match always ends: no alternative goes on from another character to white space, so contractions, words,
  numbers and punctuation never cross a cut;
- the left side matches as before: its last character is not white space, so every run of white space on the
  left still has the same follower, which is all that the look-ahead `(?!\\S)` sees; and the end of text ends
  a word just as white space does;
- the right side matches as before: the expression looks ahead, never behind, and a run of white space starts
  at its cut, so the run stays whole, with the character that follows it;
- NFC changes nothing across it: ASCII white space is a starter that composes with nothing before it, and no
  character of another kind becomes white space or the other way round;
- an added token that holds no cut inside never lies across one, and the search for added tokens goes from
  left to right without a memory of what came before. GPT-NeoX's runs of spaces are of this kind, because a
  run lies wholly on the right of its cut.

White space is `str.isspace` here, which holds for all that `\\s` matches and for U+001C to U+001F, where a
cut is then merely not made.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

from tokenizers import Tokenizer

from data_contracts.failure import Exit, Failure

PIECE_CHARS = 2**15
MAX_PIECE_BYTES = 5 * 2**19  # ingestion lets 2 MiB without white space pass; encoded in about half a GiB

_CUT = re.compile(r"\S(?=[\t-\r ])")


def pieces(text: str, size: int) -> Iterator[str]:
    """`text` cut into pieces of at least `size` characters, each ending at the first cut after that; one
    piece if `text` is shorter.

    Raises:
        Failure: (exit code 2) if a piece without a cut is longer than `MAX_PIECE_BYTES` in UTF-8.
    """
    begin = 0
    while cut := _CUT.search(text, begin + size - 1):
        yield _checked(text[begin : cut.end()], "it has no white space after another character to cut it at")
        begin = cut.end()
    yield _checked(text[begin:], "it has no white space after another character to cut it at")


def whole(text: str) -> Iterator[str]:
    """`text` as its only piece; raises like `pieces`."""
    yield _checked(text, "this tokenizer splits text in a way of its own, so it must see documents whole")


def cutter(tokenizer: Tokenizer) -> Callable[[str], Iterator[str]]:
    """How texts may be cut for `tokenizer`: into `pieces` of `PIECE_CHARS` if its own description says that
    it splits as GPT-2's or GPT-NeoX's does, else not at all."""
    description = json.loads(tokenizer.to_str())
    splitting = description["pre_tokenizer"] or {}
    as_gpt2 = (
        splitting.get("type") == "ByteLevel" and splitting["use_regex"] and not splitting["add_prefix_space"]
    )
    as_neox = description["normalizer"] in (None, {"type": "NFC"})
    if as_gpt2 and as_neox and all(map(_holds_no_cut, description["added_tokens"])):
        return lambda text: pieces(text, PIECE_CHARS)
    return whole


def _holds_no_cut(added: dict) -> bool:
    takes_neighbours = added["lstrip"] or added["rstrip"] or added["single_word"]
    return not takes_neighbours and not _CUT.search(added["content"])


def _checked(piece: str, reason: str) -> str:
    if len(piece) * 4 > MAX_PIECE_BYTES and (size := len(piece.encode())) > MAX_PIECE_BYTES:
        raise Failure(
            f"text that begins with {piece[:40]!a} cannot be tokenized",
            f"{reason}, and its {size:,} bytes are above the limit of {MAX_PIECE_BYTES:,} at once",
            f"lower ingestion.max_document_chars to {MAX_PIECE_BYTES // 4} or choose a byte-level BPE such as"
            " `train` for text with spaces",
            Exit.USAGE,
        )
    return piece
