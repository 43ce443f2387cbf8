"""The commands `rpt index ...`: what an index of a whole corpus holds and finds, and how much of a gain is
copied from it.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter, validators

from data_contracts.failure import Exit, Failure
from flows.terminal.output import Json, out
from flows.workspace import ROOT

if TYPE_CHECKING:
    from stages.index.store import PassageIndex
    from stages.parameters import Configuration

index = App(
    name="index",
    help=(
        "Look at the index of a whole corpus. `./rpt run index` makes it, for the corpora that"
        " `indexed_corpora` of params.yaml names."
    ),
)
Corpus = Annotated[str | None, Parameter(help="a corpus of params.yaml; none means the only indexed one")]
EDITIONS = "editions"
POSITIVE = validators.Number(gt=0)


@index.command
def stats(corpus: Corpus = None, /, *, json_: Json = False) -> int:
    """What an index holds: passages, encoder, kind of search, its recall against exact search, bytes, and
    what it was made of.

    Examples: `./rpt index stats`; `./rpt index stats demo --json`
    """
    from stages.index.edition import open_edition
    from stages.parameters import load

    name = _indexed(load(ROOT / "params.yaml"), corpus)
    opened = _opened(name)
    edition, size = (
        open_edition(opened, ROOT / EDITIONS / name),
        sum(path.stat().st_size for path in opened.directory.iterdir()),
    )
    about = {
        key: opened.about[key]
        for key in ("passages", "width", "kind", "metric", "probes", "recall", "encoder", "made_of")
    }
    figures = {
        "corpus": name,
        "digest": opened.digest,
        "documents": len(opened.documents),
        "bytes": size,
        **about,
    }
    figures["edition"] = {
        "version": edition.version,
        "passages": len(edition),
        "documents": len(edition.documents),
    }
    figures["edition"] |= {"segments": len(edition.parts) - 1, "removed": len(edition.removed)}
    if json_:
        out(json.dumps(figures))
        return Exit.DONE
    recall = "" if figures["recall"] is None else f", recall@10 {figures['recall']:.1%}"
    encoder = " ".join(f"{key} {value}" for key, value in figures["encoder"].items())
    out(
        f"{name}: {figures['passages']:,} passages of {figures['documents']:,} documents, {size / 1e6:.1f} MB"
    )
    if len(edition.parts) > 1 or edition.removed:
        out(
            f"as edited: {len(edition):,} passages of {len(edition.documents):,} documents, version"
            f" {edition.version[:12]}"
        )
    out(f"keys of {figures['width']} values ({encoder}), {figures['kind']} search{recall}")
    return Exit.DONE


@index.command
def search(
    text: Annotated[str, Parameter(help="what to look for; only as much of its end as a chunk holds")],
    corpus: Corpus = None,
    /,
    *,
    count: Annotated[int, Parameter(name=["--count", "-k"], validator=POSITIVE, help="passages to show")] = 5,
    json_: Json = False,
) -> int:
    """The passages whose keys are nearest to that of a text, nearest first, with squared distance, document
    and chunk.

    Examples: `./rpt index search "a compact set is closed"`; `./rpt index search "def main" demo -k 3 --json`
    """
    from flows.terminal.label_text import line
    from stages.parameters import load

    configuration = load(ROOT / "params.yaml")
    passages = _found(configuration, _indexed(configuration, corpus), text, count)
    if json_:
        out(json.dumps({"passages": passages}))
        return Exit.DONE
    for row in passages:
        out(
            f"{row['rank']:>3}  {row['distance']:>10.4f}  {row['doc_id']}:{row['chunk']} "
            f" {line(row['text'])[:200]}"
        )
    return Exit.DONE


@index.command
def add(
    *files: Annotated[Path, Parameter(help="text files in UTF-8, each a document")],
    corpus: Annotated[
        str | None, Parameter(help="a corpus of params.yaml; none means the only indexed one")
    ] = None,
) -> int:
    """Add documents to what `./rpt index search` finds, without making the index again. The pipeline's own
    index stays as it is.

    Examples: `./rpt index add notes.txt`; `./rpt index add a.txt b.txt --corpus demo`
    """
    from data_contracts.contract import open_artifact
    from data_contracts.tokens import CHUNKS
    from flows.workspace import workspace_lock
    from stages.index.edition import add as put
    from stages.index.edition import open_edition
    from stages.index.encoders import load_encoder
    from stages.ingestion.text_key import TextKey
    from stages.parameters import load
    from stages.tokens.tokenization import encode
    from stages.tokens.tokenizer import load_tokenizer

    if not files:
        raise Failure("rpt index add", "no file was named", "name text files", Exit.USAGE)
    configuration = load(ROOT / "params.yaml")
    name, size = _indexed(configuration, corpus), configuration.geometry.chunk_tokens
    texts = {TextKey(text).digest(): text for text in map(_text, files)}
    tokenizer = ROOT / "artifacts" / name / "tokenizer"
    with workspace_lock("rpt index add"):
        opened = _opened(name)
        opened.made_of("chunks", open_artifact(CHUNKS, ROOT / "artifacts" / name / "chunks").digest)
        edition = open_edition(opened, ROOT / EDITIONS / name)
        tokens = dict(zip(texts, encode(texts.values(), load_tokenizer(tokenizer)), strict=True))
        added = put(edition, tokens, load_encoder(configuration.passage_encoder, tokenizer, size), size)
        _say_edition(name)
    out(
        f"{len(added)} added{': ' if added else ''}{', '.join(added)}; {len(texts) - len(added)} were there"
        " already"
    )
    return Exit.DONE


@index.command
def remove(
    *documents: Annotated[str, Parameter(help="doc_ids")],
    corpus: Annotated[
        str | None, Parameter(help="a corpus of params.yaml; none means the only indexed one")
    ] = None,
) -> int:
    """Leave documents out of what `./rpt index search` finds. `./rpt index add` brings them back.

    Examples: `./rpt index remove 3f9a0c1d2e4b5a69`
    """
    from flows.workspace import workspace_lock
    from stages.index.edition import open_edition
    from stages.index.edition import remove as leave_out
    from stages.parameters import load

    name = _indexed(load(ROOT / "params.yaml"), corpus)
    with workspace_lock("rpt index remove"):
        leave_out(open_edition(_opened(name), ROOT / EDITIONS / name), documents)
        _say_edition(name)
    return Exit.DONE


@index.command
def compact(corpus: Corpus = None, /) -> int:
    """Put all that was added into one segment, without what was removed.

    Examples: `./rpt index compact`
    """
    from flows.workspace import workspace_lock
    from stages.index.edition import compact as put_together
    from stages.index.edition import open_edition
    from stages.parameters import load

    name = _indexed(load(ROOT / "params.yaml"), corpus)
    with workspace_lock("rpt index compact"):
        put_together(open_edition(_opened(name), ROOT / EDITIONS / name))
        _say_edition(name)
    return Exit.DONE


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Failure(
            f"{file} cannot be added", str(error), "name a text file in UTF-8", Exit.USAGE
        ) from error


def _opened(name: str) -> PassageIndex:
    from stages.index.store import open_index

    return open_index(ROOT / "artifacts" / name / "index")


def _say_edition(name: str) -> None:
    from stages.index.edition import open_edition

    edition = open_edition(_opened(name), ROOT / EDITIONS / name)
    out(
        f"{name}: {len(edition):,} passages of {len(edition.documents):,} documents, version"
        f" {edition.version[:12]}"
    )


@index.command
def leakage(
    run: Annotated[str, Parameter(help="an evaluated run whose system reads a whole corpus")],
    /,
    *,
    json_: Json = False,
) -> int:
    """How much of what the corpus brings is copied: bits a byte and gains of chunks by their longest common
    run with their passages.

    The gains are over no passages, over passages by chance, and over every other evaluated run of the corpus;
    intervals are paired.

    Examples: `./rpt index leakage demo-retro_corpus`; `./rpt index leakage demo-retro_corpus --json`
    """
    from flows.commands.leakage import leakage_rows
    from reports.html.leakage_table import leakage_table
    from reports.html.plain_table import as_markdown
    from stages.parameters import load

    configuration = load(ROOT / "params.yaml")
    rows = leakage_rows(configuration, run, ROOT / "artifacts")
    out(
        json.dumps({"run": run, "rows": [asdict(row) for row in rows]})
        if json_
        else as_markdown(leakage_table(rows, configuration.geometry.chunk_tokens))
    )
    return Exit.DONE


def _indexed(configuration: Configuration, corpus: str | None) -> str:
    corpora = configuration.indexed_corpora
    if corpus is None and len(corpora) == 1:
        return corpora[0]
    if corpus not in corpora:
        what = f"corpus {corpus!r}" if corpus else "rpt index"
        cause = f"indexed_corpora names {', '.join(corpora) or 'none'}"
        remedy = "name one of them" if corpora else "./rpt run index -o 'indexed_corpora=[CORPUS]'"
        raise Failure(what, cause, remedy, Exit.USAGE)
    return corpus


def _found(configuration: Configuration, corpus: str, text: str, count: int) -> list[dict[str, Any]]:
    """The nearest passages as plain data.

    Raises:
        Failure: (exit code 2) for a text without a token, or more passages than there are; (3) if the index
            is of another encoder or corpus.
    """
    import numpy as np

    from data_contracts.contract import open_artifact
    from data_contracts.tokens import CHUNKS
    from stages.index.edition import open_edition
    from stages.index.encoders import load_encoder
    from stages.tokens.tokenizer import load_tokenizer

    home, size = ROOT / "artifacts" / corpus, configuration.geometry.chunk_tokens
    opened, encoder = _opened(corpus), load_encoder(configuration.passage_encoder, home / "tokenizer", size)
    opened.fits(encoder.identity)
    opened.made_of("chunks", open_artifact(CHUNKS, home / "chunks").digest)
    tokenizer = load_tokenizer(home / "tokenizer")
    ids = tokenizer.encode(text).ids[-size:]
    if not ids:
        raise Failure(f"text {text!r}", "it has no token", "give some words", Exit.USAGE)
    hits = open_edition(opened, ROOT / EDITIONS / corpus).search(encoder.encode(np.array([ids]))[0], count)
    return [
        {
            "rank": rank,
            "distance": hit.distance,
            "doc_id": hit.doc_id,
            "chunk": hit.chunk,
            "text": tokenizer.decode(hit.tokens_R.tolist()),
        }
        for rank, hit in enumerate(hits)
    ]
