"""Ingestion: source files -> documents and quarantine. Every input record ends in exactly one of the two."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from data_contracts.contract import commit, write_shard
from data_contracts.documents import DOCUMENTS, QUARANTINE
from data_contracts.failure import Exit, Failure
from stages.parameters import Corpus, Ingestion
from stages.sources import Record, records, source_files
from stages.stage import Context, Job

MIN_SHARD_BYTES, MAX_SHARD_BYTES = 64 * 2**10, 128 * 2**20
EXCERPT_CHARS = 80


@dataclass(frozen=True)
class Document:
    """One accepted document."""

    doc_id: str
    record: Record
    text: str


def judge(record: Record, seen: set[str], limits: Ingestion) -> Document | Record:
    """The document of a record, or the record with the reason why it is none."""
    text = record.text
    if text is None:
        return record
    if not text.strip():
        return _reject(record, "empty", f"{len(text)} characters, all white space")
    if len(text) < limits.min_document_chars:
        return _reject(record, "too_short", f"{len(text)} characters, ingestion.min_document_chars is {limits.min_document_chars}")
    try:
        doc_id = hashlib.sha256(text.encode()).hexdigest()[:16]
    except UnicodeEncodeError as error:
        return _reject(record, "not_unicode", f"character {error.start}: {error.reason}")
    if doc_id in seen:
        return _reject(record, "duplicate", f"the same text as {doc_id}")
    seen.add(doc_id)
    return Document(doc_id, record, text)


def _reject(record: Record, reason: str, detail: str) -> Record:
    return Record(record.source, record.position, reason=reason, detail=detail, excerpt=(record.text or "")[:EXCERPT_CHARS])


def escaped(text: str) -> str:
    """Text safe to show anywhere: everything but printable ASCII as backslash escapes, at most 80 characters of the original."""
    return text[:EXCERPT_CHARS].encode("unicode_escape", "backslashreplace").decode("ascii")


def sort_out(inputs: Iterable[Record], limits: Ingestion) -> tuple[list[Document], list[Record]]:
    """Documents in hash order, and rejections in input order."""
    documents, rejected, seen = list[Document](), list[Record](), set[str]()
    for record in inputs:
        verdict = judge(record, seen, limits)
        documents.append(verdict) if isinstance(verdict, Document) else rejected.append(verdict)
    return sorted(documents, key=lambda document: document.doc_id), rejected


def assign_splits(documents: list[Document], corpus: Corpus) -> dict[str, str]:
    """doc_id -> split: test, then validation, take documents in hash order until their share of the characters is met; at least one each.

    Raises:
        Failure: (exit code 2) with fewer than three documents.
    """
    if len(documents) < 3:
        cause = f"{len(documents)} documents, and train, validation and test need at least one each"
        raise Failure("the corpus is too small to split", cause, "add documents or lower ingestion.min_document_chars", Exit.USAGE)
    total = sum(len(document.text) for document in documents)
    splits, position = dict[str, str](), 0
    for split, share, left_over in (("test", corpus.test, 2), ("validation", corpus.validation, 1)):
        taken = 0
        while position < len(documents) - left_over and (taken == 0 or taken < share * total):
            splits[documents[position].doc_id] = split
            taken += len(documents[position].text)
            position += 1
    return splits | {document.doc_id: "train" for document in documents[position:]}


def plan_shards(documents: list[Document], shards: int) -> Iterator[list[Document]]:
    """Groups of whole documents in order; decided by sizes alone, never by the number of workers."""
    total = sum(len(document.text.encode()) for document in documents)
    target = min(max(total // shards, MIN_SHARD_BYTES), MAX_SHARD_BYTES)
    group, size = list[Document](), 0
    for document in documents:
        group.append(document)
        size += len(document.text.encode())
        if size >= target:
            yield group
            group, size = [], 0
    if group:
        yield group


def within(documents: list[Document], max_characters: int | None) -> tuple[list[Document], list[Record]]:
    """Documents in hash order until `max_characters` is reached, but always three, so that it can be split; and what is left out."""
    total, count = 0, 0
    for document in documents:
        if max_characters is not None and total >= max_characters and count >= 3:
            break
        total += len(document.text)
        count += 1
    detail = f"max_characters is {max_characters}"
    return documents[:count], [_reject(document.record, "beyond_limit", detail) for document in documents[count:]]


def ingest(context: Context, ingestion: Ingestion) -> None:
    """Write documents and quarantine of one corpus.

    Raises:
        Failure: (exit code 4) if more than `ingestion.max_quarantine_fraction` of the inputs were rejected, (2) if too few are left.
    """
    files = source_files(context.source)
    documents, rejected = sort_out(records(context.source, files), ingestion)
    inputs = len(documents) + len(rejected)
    counts = {reason: sum(record.reason == reason for record in rejected) for reason in sorted({record.reason for record in rejected})}
    if len(rejected) > ingestion.max_quarantine_fraction * inputs:
        cause = f"{len(rejected)} of {inputs} inputs: {counts}, first: {rejected[0].source} ({rejected[0].detail})"
        remedy = "mend the corpus, or raise ingestion.max_quarantine_fraction"
        raise Failure("too many inputs were quarantined", cause, remedy, Exit.QUARANTINE)
    kept, surplus = within(documents, context.source.max_characters)
    splits = assign_splits(kept, context.source)
    groups = list(plan_shards(kept, ingestion.shards))
    for number, group in enumerate(groups):
        write_shard(DOCUMENTS, documents_table(context.corpus, group, splits), context.out("documents") / f"part-{number:05d}.parquet")
        context.say.progress(number + 1, len(groups), "shards")
    write_shard(QUARANTINE, quarantine_table(rejected + surplus), context.out("quarantine") / "part-00000.parquet")
    commit(DOCUMENTS, context.out("documents"))
    commit(QUARANTINE, context.out("quarantine"))
    context.say.note(
        f"**{context.corpus}**: {inputs} inputs = {len(kept)} documents ({sum(len(d.text) for d in kept):,} characters) + "
        f"{len(surplus)} beyond max_characters + {len(rejected)} quarantined {counts or ''}; "
        + ", ".join(f"{split} {sum(value == split for value in splits.values())}" for split in ("train", "validation", "test"))
    )


def documents_table(corpus: str, group: list[Document], splits: dict[str, str]):
    """One shard of documents."""
    return DOCUMENTS.table(
        {
            "doc_id": [d.doc_id for d in group],
            "corpus": [corpus] * len(group),
            "split": [splits[d.doc_id] for d in group],
            "source": [f"{d.record.source}#{d.record.position}" if d.record.position else d.record.source for d in group],
            "license": [d.record.license for d in group],
            "text": [d.text for d in group],
            "num_chars": [len(d.text) for d in group],
        }
    )


def quarantine_table(rejected: list[Record]):
    """All rejections; text is escaped, because nobody has looked at it."""
    return QUARANTINE.table(
        {
            "source": [escaped(r.source) if not r.source.isprintable() else r.source for r in rejected],
            "position": [r.position for r in rejected],
            "reason": [r.reason for r in rejected],
            "detail": [r.detail for r in rejected],
            "excerpt": [escaped(r.excerpt) for r in rejected],
        }
    )


STAGE = Job(
    "ingestion", ingest, ("ingestion",), {"documents": "artifacts/{corpus}/documents", "quarantine": "artifacts/{corpus}/quarantine"}
)
