"""The opened label sets, one or two to compare, and the documents that were read from them last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import lru_cache
from typing import Protocol

import numpy as np
import polars as pl

from reports.browser.document import Document, read_document
from reports.browser.vocabulary import label_site
from reports.html.markup import Html
from reports.labels.label_set import LabelSet
from reports.site.address import Missing, View, key_of
from reports.site.read_cache import ReadCache


class ReferenceLM(Protocol):
    """Scores what a person looks at."""

    @property
    def reads_text(self) -> bool:
        """Whether its tokens are others than those of the corpus."""
        ...

    def pieces(self, chunks: Sequence[np.ndarray], chunk: int) -> list[str]:
        """The text of one of a document's chunks, a piece a token of this reference LM."""
        ...

    def gains(self, chunks: Sequence[np.ndarray], query: int, candidates: Sequence[int]) -> np.ndarray:
        """Nats by which each candidate makes each target token more likely, float32 [n, m]."""
        ...


class LabelLibrary:
    """Label sets of one corpus.

    Args:
        sets: one, or two to compare; documents are those of the first.
        names: what to call them.
        scorers: the reference LM of each, None where there is none.
        made: gives the panel of who made them, asked for each page: a run notes it after its labels.
    """

    def __init__(
        self,
        sets: Sequence[LabelSet],
        names: Sequence[str],
        scorers: Sequence[ReferenceLM | None],
        made: Callable[[], Html] | None = None,
    ):
        self.sets, self.names, self.scorers = tuple(sets), tuple(names), tuple(scorers)
        self.made = made
        self.site = label_site(names)
        keys = pl.Series("key", [key_of(doc_id) for doc_id in sets[0].documents["doc_id"]])
        self.documents = (
            sets[0]
            .documents.with_columns(keys, rate=pl.col("positive") / pl.col("pairs"))
            .with_row_index("number")
        )
        self._rows = {key: number for number, key in enumerate(keys)}
        self._kept = ReadCache[Document]()
        self._listed: Callable[[str, str, str], pl.Series] = lru_cache(maxsize=32)(self._list)

    def listed(self, view: View) -> pl.Series:
        """Rows of the documents that `view` lists, in its order."""
        return self._listed(view.find, view.split, view.sort)

    def _list(self, find: str, split: str, sort: str) -> pl.Series:
        chosen = self.documents.filter(in_source(find)) if find else self.documents
        chosen = chosen.filter(pl.col("split") == split) if split else chosen
        if sort:
            name = sort.removeprefix("-")
            column = "rate" if name == "positive" else name
            chosen = chosen.select("number", column).sort(
                column, descending=sort.startswith("-"), maintain_order=True
            )
        return chosen["number"]

    def _row(self, key: str) -> int:
        """The row of a document by its key in addresses."""
        if key not in self._rows:
            cause = f"{self.names[0]} has labels for {len(self.documents):,} documents and none with this id"
            raise Missing(f"document {key[:80]!r}", cause, "look for it in the list of documents")
        return self._rows[key]

    def beside(self, key: str, view: View) -> tuple[str | None, str | None]:
        """The keys of the documents before and after this one in the list that `view` shows, or in the corpus
        if it is not in that.
        """
        rows, keys = self.listed(view), self.documents["key"]
        at = rows.index_of(self._rows[key])
        if at is None:
            rows, at = self.documents["number"], self._rows[key]
        return keys[rows[at - 1]] if at else None, keys[rows[at + 1]] if at + 1 < len(rows) else None

    def document(self, key: str) -> Document:
        """A document, read if it is not one of the last few.

        Raises:
            Missing: if there is none.
            Failure: (exit code 3) if it cannot be read, or if another set cuts it into other chunks.
        """
        return self._asked_for(key).result()

    def expect(self, key: str | None) -> None:
        """Read a document in the background, which is likely to be looked at next."""
        if key is not None:
            self._asked_for(key)

    def _asked_for(self, key: str) -> Future[Document]:
        doc_id = self.documents["doc_id"][self._row(key)]
        return self._kept.asked_for(key, lambda: read_document(self.sets, self.names, doc_id))


def in_source(text: str) -> pl.Expr:
    """Whether a document has `text` in its source or its id, letter case aside."""
    wanted = text.lower()
    return pl.any_horizontal(
        pl.col(name).str.to_lowercase().str.contains(wanted, literal=True) for name in ("source", "doc_id")
    )
