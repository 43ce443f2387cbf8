"""What a document remembers of its own past: the keys of its chunks in a Faiss index, searched causally (paper section 3.4)."""

from __future__ import annotations

import faiss
import numpy as np

from data_contracts.eligibility import last_eligible


def search_past(queries_CD: np.ndarray, keys_CD: np.ndarray, stride_chunks: int, count: int) -> np.ndarray:
    """[C, count] the eligible chunks of largest inner product with each chunk's query, best first, -1 where there are fewer.

    The index grows stride by stride: when a stride of queries is searched, it holds exactly the chunks eligible for it. The search is
    exact; all earlier chunks of the document can be found, however far back.
    """
    index = faiss.IndexFlatIP(keys_CD.shape[1])
    keys_CD, queries_CD = np.ascontiguousarray(keys_CD, np.float32), np.ascontiguousarray(queries_CD, np.float32)
    found = np.full((len(queries_CD), count), -1, np.int32)
    for begin in range(0, len(queries_CD), stride_chunks):
        eligible = int(last_eligible(begin, stride_chunks)) + 1
        if eligible <= 0:
            continue
        index.add(keys_CD[index.ntotal : eligible])
        _, ids = index.search(queries_CD[begin : begin + stride_chunks], min(count, index.ntotal))
        found[begin : begin + stride_chunks, : ids.shape[1]] = ids
    return found
