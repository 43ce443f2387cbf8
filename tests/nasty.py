"""Inputs that must not break anything, each with what becomes of it: {position: reason}, and how many
documents it gives.
"""

import gzip
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def prose(number: int, characters: int = 400) -> str:
    """Text that no other number gives."""
    generator = np.random.default_rng(number)
    words = [
        "".join(generator.choice(list("abcdefghijklmnop"), size=length))
        for length in generator.integers(2, 9, characters // 4)
    ]
    return " ".join(words)[:characters] + "\n"


def zst(raw: bytes) -> bytes:
    """`raw` in one Zstandard frame."""
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(raw)
    return sink.getvalue().to_pybytes()


def parquet(columns: dict) -> bytes:
    """A Parquet file."""
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def lines(*items: object) -> bytes:
    """JSONL."""
    return "\n".join(item if isinstance(item, str) else json.dumps(item) for item in items).encode()


SURROGATE = "\ud800" * 300
ODD_LINES = lines(
    {"text": prose(30)},
    {"text": None},
    {"text": 7},
    {"text": ["x"]},
    {"body": "x"},
    ["x"],
    '"bare"',
    "not json",
    "",
    {"text": ""},
    {"text": SURROGATE},
    {"text": "nul \x00" + prose(31)},
    '{"text": "first", "text": ' + json.dumps(prose(32)) + "}",
    {"text": prose(30)},
    "[" * 100_000,
    {"text": prose(33), "license": "MIT", "doc_id": "x" * 10_000},
)
ODD_REASONS = {
    2: "not_text",
    3: "not_text",
    4: "not_text",
    5: "not_text",
    6: "not_text",
    7: "not_text",
    8: "unreadable",
    10: "empty",
    11: "not_unicode",
    14: "duplicate",
    15: "unreadable",
}

# name -> (content, reasons by position, documents)
NASTY: dict[str, tuple[bytes, dict[int, str], int]] = {
    "empty.txt": (b"", {0: "empty"}, 0),
    "ten bytes.txt": (b"ten bytes\n", {0: "too_short"}, 0),
    "white space.txt": (" \t\n\u00a0\u2003".encode() * 400, {0: "empty"}, 0),
    "invalid utf8.txt": (prose(1).encode() + b"\xff\xfe\xfa" + prose(2).encode(), {0: "invalid_utf8"}, 0),
    "cut character.txt": (prose(3).encode() + "é".encode()[:1], {0: "invalid_utf8"}, 0),
    "latin1.txt": (("déjà vu, encore une fois " * 40).encode("latin-1"), {0: "invalid_utf8"}, 0),
    "utf16.txt": (prose(4).encode("utf-16"), {0: "invalid_utf8"}, 0),
    "byte order mark.txt": (b"\xef\xbb\xbf" + prose(5).encode(), {}, 1),
    "nul.txt": (prose(6).encode() + b"\x00" * 64 + prose(7).encode(), {}, 1),
    "controls.txt": ("\x01\x1b\x85\u2028\u2029\u200b\ufffd\u202e".encode() * 20 + prose(8).encode(), {}, 1),
    "crlf.txt": (prose(9).replace(" ", "\r\n").encode(), {}, 1),
    "carriage returns.txt": (prose(10).replace(" ", "\r").encode(), {}, 1),
    "mixed ends.txt": (prose(11).encode() + b"\r\n\r\n\n\r" + prose(12).encode(), {}, 1),
    "no end of line.txt": (prose(13).encode().rstrip(), {}, 1),
    "one word a line.txt": (prose(14).replace(" ", "\n").encode(), {}, 1),
    "200,000 letters.txt": (b"abcdefghij" * 20_000, {}, 1),
    "3,000,000 letters.txt": (b"abcdefghij" * 300_000, {0: "unbreakable"}, 0),
    "3,000,000 blanks.txt": (prose(29).encode() + b" " * 3_000_000 + b"x", {0: "unbreakable"}, 0),
    "combining marks.txt": (("e" + "\u0301" * 50_000 + " ").encode() * 4, {}, 1),
    "blank lines.txt": (prose(15).encode() + b"\n" * 300_000 + prose(16).encode(), {}, 1),
    "scripts.txt": (
        ("مرحبا שלום 你好 こんにちは 안녕 नमस्ते สวัสดี 👩‍👩‍👧 \U0001d518 \u202eabc\u202c\n" * 40).encode(),
        {},
        1,
    ),
    "special token.txt": (("<|endoftext|> and <|padding|> are text here\n" * 20).encode(), {}, 1),
    "markup.txt": (
        ("<script>alert(1)</script> \x1b[31m =cmd|' /C calc'!A0 ../../etc\n" * 10).encode(),
        {},
        1,
    ),
    "copy 1.txt": (prose(17).encode(), {}, 1),
    "copy 2.txt": (prose(17).encode(), {0: "duplicate"}, 0),
    "copy with bom.txt": (b"\xef\xbb\xbf" + prose(17).encode(), {0: "duplicate"}, 0),
    "имя-文書-مستند.txt": (prose(18).encode(), {}, 1),
    "emoji 🐍.txt": (prose(19).encode(), {}, 1),
    "line\nfeed.txt": (prose(20).encode(), {}, 1),
    ".hidden.txt": (prose(21).encode(), {0: "not_data"}, 0),
    "README.md": (prose(51).encode(), {0: "not_data"}, 0),
    "quote's & (brackets) [x] #1 %20.txt": (prose(22).encode(), {}, 1),
    "no_extension": (prose(23).encode(), {0: "not_data"}, 0),
    "UPPER.TXT": (prose(24).encode(), {}, 1),
    "zipped.txt.gz": (gzip.compress(prose(25).encode(), mtime=0), {}, 1),
    "zstandard.txt.zst": (zst(prose(26).encode()) + zst(prose(27).encode()), {}, 1),
    "cut.txt.zst": (zst(prose(28, 40_000).encode())[:-30], {0: "unreadable"}, 0),
    "odd.jsonl": (ODD_LINES, ODD_REASONS, 4),
    "zipped.jsonl.gz": (gzip.compress(lines({"text": prose(40)}, {"text": prose(41)}), mtime=0), {}, 2),
    "zstandard.jsonl.zst": (zst(lines({"text": prose(42)}, {"text": prose(43)})), {}, 2),
    "cut.jsonl.gz": (gzip.compress(lines({"text": prose(44)}), mtime=0)[:-12], {0: "unreadable"}, 0),
    "no gzip.jsonl.gz": (lines({"text": prose(45)}), {0: "unreadable"}, 0),
    "invalid utf8.jsonl": (b'{"text": "\xff"}\n' + lines({"text": prose(46)}), {1: "invalid_utf8"}, 1),
    "nulls.parquet": (
        parquet({"text": [prose(47), None, prose(48)], "license": ["CC0", None, None]}),
        {2: "not_text"},
        2,
    ),
    "zipped.json.gz": (gzip.compress(lines({"text": prose(52)}, {"text": 7}), mtime=0), {2: "not_text"}, 1),
    "array.json": (
        json.dumps([{"text": prose(53)}, ["x"], {"text": prose(54)}], indent=1).encode(),
        {2: "not_text"},
        2,
    ),
    "no rows.parquet": (parquet({"text": pa.array([], pa.string())}), {}, 0),
    "cut.parquet": (parquet({"text": [prose(49)]})[:-20], {0: "unreadable"}, 0),
    "no parquet.parquet": (prose(50).encode(), {0: "unreadable"}, 0),
}


def write_nasty(folder: Path) -> None:
    """Write every nasty input into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (content, _, _) in NASTY.items():
        (folder / name).write_bytes(content)
