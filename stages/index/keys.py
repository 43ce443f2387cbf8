"""Keys: what the frozen encoder says of every whole chunk of a corpus, shard by shard."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.contract import fact
from data_contracts.passages import KEYS
from data_contracts.tokens import CHUNKS
from stages.index.encoders import load_encoder
from stages.parameters import Geometry, PassageEncoder
from stages.runner.stage import ShardStage


def whole_chunks(chunks: pa.Table, size: int) -> tuple[pa.Table, np.ndarray]:
    """The rows of CHUNKS that hold `size` tokens, and their tokens [C, M]."""
    whole = chunks.filter(pc.equal(pc.list_value_length(chunks.column("token_ids")), size))
    return whole, whole.column("token_ids").combine_chunks().flatten().to_numpy().reshape(-1, size)


def keys(chunks: pa.Table, geometry: Geometry, passage_encoder: PassageEncoder, tokenizer: Path) -> pa.Table:
    """A key for every whole chunk; the last one of a document may be short, and has none."""
    encoder = load_encoder(passage_encoder, tokenizer, geometry.chunk_tokens)
    whole, tokens_CM = whole_chunks(chunks, geometry.chunk_tokens)
    keys_CD = encoder.encode(tokens_CM)
    offsets = np.arange(len(keys_CD) + 1, dtype=np.int32) * encoder.width
    columns = {name: whole.column(name) for name in ("doc_id", "split", "chunk")}
    columns["key"] = pa.ListArray.from_arrays(offsets, np.ascontiguousarray(keys_CD, np.float32).ravel())
    return KEYS.table(columns, encoder=encoder.identity, width=encoder.width)


def key_array(keys: pa.Table) -> np.ndarray:
    """[C, D] the keys of rows of KEYS."""
    return (
        keys.column("key").combine_chunks().flatten().to_numpy().reshape(keys.num_rows, fact(keys, "width"))
    )


STAGE = ShardStage(
    "keys", keys, ("geometry", "passage_encoder"), (CHUNKS,), KEYS, "keys", sides=("tokenizer",), cpus=0
)
