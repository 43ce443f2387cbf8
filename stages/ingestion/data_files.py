"""Which files of a source are data, by their names: kinds of records, and what commonly lies beside data and
is none.
"""

from __future__ import annotations

import re

COMPRESSIONS = ("gz", "zst")
RECORDS = {"parquet": "parquet", "pq": "parquet", "jsonl": "jsonl", "ndjson": "jsonl", "jsonlines": "jsonl"}
KINDS = {**RECORDS, "json": "jsonl"}
TABLES = {"csv", "tsv", "arrow", "feather", "orc", "avro", "xlsx"}
TEXTS = {"txt", "text"}
_DESCRIPTIONS = (
    r"(readme|licen[cs]e)([-_.][a-z0-9]{1,8}){0,2}"
    r"|(copying|notice|authors|changelog|citation|contributing)(\.[a-z]{1,4})?"
)
_OF_DATA_SETS = (
    r"(dataset_infos?|dataset_dict|state|croissant|datapackage)\.json|_success|_metadata|_common_metadata"
)
_CHECKSUMS = r"(md5|sha1|sha256|sha512)-?sums?(\.txt)?|.*\.(md5|sha1|sha256|sha512|crc|asc|sig)"
_OF_SYSTEMS = r"thumbs\.db|desktop\.ini"
_NO_DATA = re.compile(f"{_DESCRIPTIONS}|{_OF_DATA_SETS}|{_CHECKSUMS}|{_OF_SYSTEMS}")


def suffixes(name: str) -> tuple[str, str]:
    """(suffix without a dot and without that of a compression, compression), in lower case; either may be
    empty.
    """
    parts = name.lower().split("/")[-1].split(".")[1:]
    compression = parts.pop() if parts and parts[-1] in COMPRESSIONS else ""
    return parts[-1] if parts else "", compression


def beside_data(sizes: dict[str, int]) -> dict[str, str]:
    """Name -> why it is left out, for files (name -> bytes) that lie beside data; empty if nothing else would
    be left.

    Where files of records lie, a file with a suffix that is neither of records nor of plain text is none of
    the data.
    """
    found = {
        name: "it describes the data" for name in sizes if _NO_DATA.fullmatch(name.lower().split("/")[-1])
    }
    rest = {name: size for name, size in sizes.items() if name not in found}
    if _are_records(rest):
        data = KINDS.keys() | TEXTS
        found |= {name: "it lies beside files of records" for name in rest if suffixes(name)[0] not in data}
    return found if len(found) < len(sizes) else {}


def _are_records(sizes: dict[str, int]) -> bool:
    """Whether some of the files hold records for certain. A plain `.json` may be a setting of texts, so it
    must be most of the bytes.
    """
    kinds = {name: suffixes(name) for name in sizes}
    if any(suffix in RECORDS or (suffix == "json" and compression) for suffix, compression in kinds.values()):
        return True
    return 2 * sum(size for name, size in sizes.items() if kinds[name][0] == "json") > sum(sizes.values())
