"""The YAML header of a label card, as the Hugging Face Hub reads it: licence, size, files and columns."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from ruamel.yaml import YAML

from data_contracts.candidates import LABELS
from data_contracts.tokens import CHUNKS
from reports.html.markup import clipped, visible
from reports.labels.report import LabelReport

TEXT, TITLE = 200, "Retrieval labels of "
CHUNK_SCHEMA = pa.schema([CHUNKS.schema.field(name) for name in ("doc_id", "chunk", "text")])
_LICENSES = """afl-3.0 agpl-3.0 apache-2.0 artistic-2.0 bsd bsd-2-clause bsd-3-clause bsl-1.0 cc
cc-by-2.0 cc-by-3.0 cc-by-4.0 cc-by-nc-4.0 cc-by-nc-nd-4.0 cc-by-nc-sa-4.0 cc-by-nd-4.0
cc-by-sa-3.0 cc-by-sa-4.0 cc0-1.0 ecl-2.0 epl-1.0 epl-2.0 eupl-1.1 gfdl gpl gpl-2.0 gpl-3.0
isc lgpl lgpl-2.1 lgpl-3.0 mit mpl-2.0 ms-pl ncsa odbl odc-by ofl-1.1 osl-3.0 pddl
postgresql unlicense wtfpl zlib"""
KNOWN_LICENSES = frozenset(_LICENSES.split())  # identifiers of the Hub


def license_of(licenses: Sequence[str]) -> dict[str, str | list[str]]:
    """`license` of the header, and `license_name` where the Hub does not know it, from the distinct ones that
    documents state.
    """
    if not any(licenses):
        return {"license": "unknown"}
    names = sorted({name.lower() for name in licenses})
    if KNOWN_LICENSES.issuperset(names):
        return {"license": names[0] if len(names) == 1 else names}
    return {
        "license": "other",
        "license_name": visible(clipped(licenses[0], TEXT)) if len(licenses) == 1 else "several",
    }


def size_category(rows: int) -> str:
    """The Hub's name for so many rows."""
    names = (
        "n<1K",
        "1K<n<10K",
        "10K<n<100K",
        "100K<n<1M",
        "1M<n<10M",
        "10M<n<100M",
        "100M<n<1B",
        "1B<n<10B",
        "10B<n<100B",
        "100B<n<1T",
    )
    return names[min(max(len(str(rows)) - 3, 0), len(names) - 1)]


def _feature(field: pa.Field) -> dict[str, Any]:
    kind = field.type
    if pa.types.is_fixed_size_list(kind):
        return {"name": field.name, "list": kind_name(kind.value_type), "length": kind.list_size}
    return {"name": field.name, "dtype": kind_name(kind)}


def kind_name(kind: pa.DataType) -> str:
    """Arrow's own name for float32 is `float`."""
    if pa.types.is_fixed_size_list(kind):
        return f"{kind.list_size} {kind_name(kind.value_type)}"
    return "float32" if pa.types.is_float32(kind) else str(kind)


def _files(folder: str, splits: Sequence[str]) -> list[dict[str, str]]:
    return [{"split": split, "path": f"{folder}/{split}-*.parquet"} for split in splits]


def header(report: LabelReport, texts: bool) -> str:
    """The YAML between the two lines of dashes; any YAML parser gives back the texts that went in. With
    `texts` the texts of chunks are there beside the labels.
    """
    schemas = {"labels": LABELS.schema, **({"chunks": CHUNK_SCHEMA} if texts else {})}
    values = {
        "pretty_name": f"{TITLE}{visible(clipped(report.corpus, TEXT))}",
        **license_of(report.licenses),
        "task_categories": ["text-retrieval"],
        "tags": ["retrieval-pretrained-transformer", "language-modeling", "retrieval", "supervision"],
        "size_categories": [size_category(sum(found.pairs for found in report.splits.values()))],
        "configs": [
            {
                "config_name": name,
                "default": name == "labels",
                "data_files": _files(name, list(report.splits)),
            }
            for name in schemas
        ],
        "dataset_info": [
            {"config_name": name, "features": [_feature(field) for field in schema]}
            for name, schema in schemas.items()
        ],
    }
    yaml, written = YAML(typ="safe", pure=True), io.StringIO()
    yaml.width = 10_000
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.dump(values, written)
    return written.getvalue()
