"""Where a person is. Every state of a page is in its address, so that a link shows the same thing again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import ClassVar, TypedDict
from urllib.parse import urlencode

from data_contracts.documents import SPLITS
from data_contracts.failure import Exit, Failure

SORTS = ("source", "chunks", "queries", "positive", "best_mean", "best_max")
ORDERS = {"": "s_t, best first", "bm25": "BM25, best first"}
SIGNS = {"": "any", "positive": "positive, it helps", "negative": "0 or negative"}
LISTS = {"": "queries", "pairs": "pairs"}
FOUND_ORDERS = {
    "": "as in the corpus",
    "best": "highest best s_t",
    "worst": "lowest best s_t",
    "first": "BM25's first hurts most",
}
LONGEST = 200  # characters of a text that is searched for
LARGEST = 10**9


class Missing(Failure):
    """A page, document or chunk that does not exist."""

    def __init__(self, what: str, cause: str, remedy: str):
        super().__init__(what, cause, remedy, Exit.USAGE)


def key_of(doc_id: str) -> str:
    """The document in an address: its id, or a digest of one that is not a plain one; no id of ours is."""
    return (
        doc_id
        if re.fullmatch(r"[0-9a-f]{1,64}", doc_id)
        else f"~{hashlib.sha256(doc_id.encode()).hexdigest()[:16]}"
    )


def link(path: str, **state: str | int | None) -> str:
    """`path` with what of `state` is neither empty nor None."""
    kept = {name: value for name, value in state.items() if value not in ("", None)}
    return f"{path}?{urlencode(kept)}" if kept else path


def whole(text: str, name: str, least: int = 0) -> int:
    """A whole number of an address.

    Raises:
        Failure: (exit code 2) if it is none, or out of range.
    """
    if not re.fullmatch(r"[0-9]{1,10}", text) or not least <= int(text) <= LARGEST:
        raise refused(name, text, f"a whole number from {least} to {LARGEST:,} is expected")
    return int(text)


def decimal(text: str, name: str) -> float | None:
    """A number of an address, or None for no text; raises like `whole`."""
    if not text:
        return None
    with suppress(ValueError):
        if abs(value := float(text)) <= LARGEST:  # nan is not
            return value
    raise refused(name, text, f"a number such as -2 or 1.5 is expected, of at most {LARGEST:,}")


def refused(name: str, text: str, cause: str) -> Failure:
    """The failure to raise for a part of an address."""
    return Failure(
        f"{name} is {text[:80]!r}",
        cause,
        "correct the address, or start from the list of documents",
        Exit.USAGE,
    )


def text_of(params: Mapping[str, str], name: str) -> str:
    """A text of a query string; raises like `whole` if it is too long."""
    value = params.get(name, "")
    if len(value) > LONGEST:
        raise refused(name, value, f"it has {len(value):,} characters; at most {LONGEST} are searched for")
    return value


def one_of(params: Mapping[str, str], name: str, known: Mapping[str, str] | tuple[str, ...]) -> str:
    """One of the words that are known, or nothing; raises like `whole`."""
    value = params.get(name, "")
    if value and value not in known:
        raise refused(name, value, f"one of {', '.join(filter(None, known))} is expected")
    return value


@dataclass(frozen=True)
class State:
    """How documents are listed, which every browser has. Fields are named as in addresses; `c` of a subclass
    is a chunk.

    Attributes:
        find: text in the source or the id; split: one split or all; sort: a column of the list, with `-` the
            highest first.
        page: of the list, from 1; at: the page of a document's strip of chunks, from 1.
    """

    find: str = ""
    split: str = ""
    sort: str = ""
    page: int = 1
    at: int = 1

    NOT_LISTED: ClassVar[dict[str, str]] = {}

    def link(self, path: str, **changes: str | int | None) -> str:
        """`path` in this state with some of it changed; what a change leaves behind (a page, a chosen chunk)
        is dropped.
        """
        kept = replace(self, **{"page": 1, "at": 1, "c": None, **changes})  # type: ignore[arg-type]
        default = type(self)()
        state = {field.name: getattr(kept, field.name) for field in fields(self)}
        return link(path, **{name: value for name, value in state.items() if value != getattr(default, name)})

    def listed(self, path: str = "/", **changes: str | int | None) -> str:
        """`path` in the state of the list alone."""
        return self.link(path, **{**self.NOT_LISTED, **changes})


class Listing(TypedDict):
    """Fields of `State`, for the list of documents."""

    find: str
    split: str
    sort: str
    page: int
    at: int


def listing(params: Mapping[str, str], sorts: tuple[str, ...]) -> Listing:
    """The fields of `State` from a query string; `sorts` are the columns of the list.

    Raises:
        Failure: (exit code 2) if a value is not one of those that are known.
    """
    return Listing(
        find=text_of(params, "find"),
        split=one_of(params, "split", SPLITS),
        sort=one_of(params, "sort", (*sorts, *(f"-{name}" for name in sorts))),
        page=whole(params.get("page") or "1", "page", 1),
        at=whole(params.get("at") or "1", "at", 1),
    )


@dataclass(frozen=True)
class View(State):
    """How documents are listed, and how a query is shown.

    Attributes:
        by: order of candidates, a key of `ORDERS`; c: the chosen candidate's chunk, or the marked chunk of a
            document; gains: "" has the script ask for the gains of tokens, "wait" has the page wait for them,
            "hide" shows none; full: "1" for whole texts of all candidates.
    """

    by: str = ""
    c: int | None = None
    gains: str = ""
    full: str = ""

    NOT_LISTED: ClassVar[dict[str, str]] = {"by": "", "gains": "", "full": ""}

    @classmethod
    def of(cls, params: Mapping[str, str]) -> View:
        """From a query string; parameters that no view has are passed over. Raises like `listing`."""
        return cls(
            **listing(params, SORTS),
            by=one_of(params, "by", ORDERS),
            c=whole(params["c"], "c") if params.get("c") else None,
            gains=one_of(params, "gains", ("hide", "wait", "show")).replace("show", ""),  # older links say it
            full=one_of(params, "full", ("1",)),
        )


@dataclass(frozen=True)
class Question:
    """What is searched for. Fields are named as in addresses.

    Attributes:
        q: text, letter case aside; source: text in the source or id; split; sign: of the best s_t, a key of
            `SIGNS`.
        moved: the best candidate has at least this BM25 rank, from 0.
        kind: a key of `LISTS`. Of pairs, `sign`, `moved` and what follows are about each pair, not about the
            best of its query.
        low, high: least and highest s_t, nats; near, far: least and most chunks from the candidate to the
            query, 0 for any.
        order: a key of `FOUND_ORDERS`, for questions without a text.
        shard, row: where to go on in the corpus.
    """

    q: str = ""
    source: str = ""
    split: str = ""
    sign: str = ""
    moved: int = 0
    kind: str = ""
    low: float | None = None
    high: float | None = None
    near: int = 0
    far: int = 0
    order: str = ""
    shard: int = 0
    row: int = 0

    @classmethod
    def of(cls, params: Mapping[str, str]) -> Question:
        """From a query string; raises like `listing`."""
        return cls(
            q=text_of(params, "q"),
            source=text_of(params, "source"),
            split=one_of(params, "split", SPLITS),
            sign=one_of(params, "sign", SIGNS),
            moved=whole(params.get("moved") or "0", "moved"),
            kind=one_of(params, "kind", LISTS),
            low=decimal(params.get("low", ""), "low"),
            high=decimal(params.get("high", ""), "high"),
            near=whole(params.get("near") or "0", "near"),
            far=whole(params.get("far") or "0", "far"),
            order=one_of(params, "order", FOUND_ORDERS),
            shard=whole(params.get("shard") or "0", "shard"),
            row=whole(params.get("row") or "0", "row"),
        )

    @property
    def of_queries(self) -> bool:
        """Whether only labelled queries can answer it."""
        bounds = (self.low, self.high)
        named = self.sign or self.moved or self.kind or self.near or self.far or self.order
        return bool(named) or any(bound is not None for bound in bounds)

    def state(self) -> dict[str, str]:
        """What of it an address has to say."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        default = Question()
        return {name: str(value) for name, value in values.items() if value != getattr(default, name)}

    def link(self) -> str:
        """The search page for this question."""
        return link("/search", **self.state())
