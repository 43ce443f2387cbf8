"""What REALM answers: a row for each held-out question and each way of finding what is read with it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.contract import Contract, field
from data_contracts.tokens import list_rows

METHODS = {
    "realm": "the passages that the embedder finds in a fresh index, and the null document",
    "start": "those that the embedder found before it was trained with the reader, and the null document",
    "bm25": "the passages that BM25 finds, and the null document",
    "random": "passages drawn by chance, and the null document",
    "null": "the null document alone",
}
"""How what is read with a question is found; embedder and reader are the same in all."""
KINDS = ("date", "number", "name")


def _check_answers(table: pa.Table) -> Iterator[str]:
    for column, known in (("method", METHODS), ("kind", KINDS)):
        if unknown := set(pc.unique(table.column(column)).to_pylist()) - set(known):
            yield f"unknown values of `{column}`: {sorted(unknown)}, known are {sorted(known)}"
    logprob = table.column("logprob").to_numpy()
    if not np.isfinite(logprob).all() or (logprob > 1e-3).any():
        yield "log-probabilities must be finite and not positive"
    if pc.any(pc.less(table.column("tokens"), 1)).as_py():
        yield "an answer without a token"
    passages, prior = (list_rows(table.column(name)) for name in ("passages", "prior"))
    if any(
        len(one) + 1 != len(other) or abs(other.sum() - 1) > 1e-3
        for one, other in zip(passages, prior, strict=True)
    ):
        yield "`prior` must have a value for the null document and each of `passages`, and sum to 1"


REALM_ANSWERS = Contract(
    "realm_answers",
    1,
    pa.schema(
        [
            field(
                "question", pa.int32(), "number of the question among those asked, in the order of the text"
            ),
            field("method", pa.string(), "how the passages were found, see METHODS"),
            field("doc_id", pa.string(), "document of the question"),
            field("kind", pa.string(), "of the span: date, number or name"),
            field("sentence", pa.string(), "the sentence, with its span"),
            field("answer", pa.string(), "the span"),
            field("predicted", pa.string(), "the best token at each mask, joined"),
            field("exact", pa.bool_(), "every one of these tokens is the answer's"),
            field("logprob", pa.float32(), "log p(y | x), summed over the tokens of the answer", "nats"),
            field("tokens", pa.int32(), "tokens of the answer, which is how many masks there are", "tokens"),
            field("passages", pa.list_(pa.int32()), "numbers of the passages read, the best first"),
            field("prior", pa.list_(pa.float32()), "p(z | x) of the null document and of each of `passages`"),
            field("answer_in", pa.bool_(), "the answer stands in one of `passages`"),
        ]
    ),
    ("question", "method"),
    _check_answers,
    facts=("updates",),
)
