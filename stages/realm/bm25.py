"""BM25 over passages, the retriever that REALM's is compared with: rank-bm25's `BM25Okapi` over the tokens of
rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from rank_bm25 import BM25Okapi

from stages.realm.index import too_few
from stages.realm.layout import Layout


def bm25_ids(
    passages_XT: np.ndarray,
    queries_QT: np.ndarray,
    count: int,
    layout: Layout,
    trivial: Callable[[int, int], bool],
) -> np.ndarray:
    """[Q, count] the best passages of each query that are not trivial, ties to the earlier; masks are no
    words.

    Raises:
        Failure: (exit code 2) if a query has fewer than `count`.
    """
    okapi = BM25Okapi([_words(row, layout) for row in passages_XT])
    found = []
    for query, row in enumerate(queries_QT):
        ranked = np.argsort(-okapi.get_scores(_words(row, layout)), kind="stable").tolist()
        found.append([passage for passage in ranked if not trivial(query, passage)][:count])
        if len(found[-1]) < count:
            raise too_few(query, count, len(passages_XT))
    return np.array(found)


def _words(row: np.ndarray, layout: Layout) -> list[int]:
    return row[row < layout.pad].tolist()
