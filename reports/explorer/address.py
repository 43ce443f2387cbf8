"""What a page shows: which reading, compared with which, and what of it. Every part is in its address."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from reports.site.address import State, listing, one_of, text_of, whole

SORTS = ("source", "chunks", "loss", "gain")
COLOURS = {"": "gain", "loss": "loss"}
ORDERS = {"": "as the system ranks them", "bm25": "BM25, best first", "s_t": "s_t, best first"}


@dataclass(frozen=True)
class Look(State):
    """How documents are listed, and what is shown of them.

    Attributes:
        show, against: readings (`RUN` or `RUN:SETTING`), empty for those that `Library` shows first.
        colour: of a document's strip, a key of `COLOURS`; by: order of the neighbours, a key of `ORDERS`.
        c: the chosen neighbour's chunk, or the marked chunk of a document; full: "1" for whole texts of all
            neighbours.
    """

    show: str = ""
    against: str = ""
    colour: str = ""
    by: str = ""
    c: int | None = None
    full: str = ""

    NOT_LISTED: ClassVar[dict[str, str]] = {"colour": "", "by": "", "full": ""}

    @classmethod
    def of(cls, params: Mapping[str, str]) -> Look:
        """From a query string; parameters that no look has are passed over.

        Raises:
            Failure: (exit code 2) if a value is not one of those that are known; of readings only a `Library`
                knows that.
        """
        return cls(
            **listing(params, SORTS),
            show=text_of(params, "show"),
            against=text_of(params, "against"),
            colour=one_of(params, "colour", COLOURS),
            by=one_of(params, "by", ORDERS),
            c=whole(params["c"], "c") if params.get("c") else None,
            full=one_of(params, "full", ("1",)),
        )
