"""Text that a trained run goes on with, and which earlier chunks of it each new chunk read."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from data_contracts.contract import open_artifact
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS, list_rows
from flows.workspace import ROOT, child_environment
from stages.tokens.token_texts import CUT
from stages.tokens.tokenizer import END_OF_TEXT, load_tokenizer

if TYPE_CHECKING:
    from model.generation import Continuation
    from stages.evaluation.sampling import Sampling
    from stages.parameters import Configuration

SHOWN = 5  # documents that are named where none is meant


def go_on(
    configuration: Configuration,
    name: str,
    prompt: str | tuple[str, int],
    sampling: Sampling,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Let run `name` go on with a text, or with a document of its corpus up to and with a chunk; ready for
    JSON. `say` is given the new text as it comes.

    Returns:
        run, system, prompt_tokens, text (the new one), tokens (how many) and read: for each whole chunk that
        a new token read through, its number, that of the chunks it read, and their texts.

    Raises:
        Failure: (exit code 2) for a run or document that is not known, or a run that reads a whole corpus;
            (3) if the run was not trained.
    """
    os.environ.update({name: value for name, value in child_environment().items() if name.startswith("JAX_")})
    # JAX, which this imports, asks for its cache of compilations then and never again.
    from stages.evaluation.generation import continuation_of, generated, run_of, trained

    artifacts, run = ROOT / "artifacts", run_of(configuration, name)
    trained(run, name, artifacts)  # before what it would need to begin
    corpus = run.corpus
    tokenizer = load_tokenizer(artifacts / corpus / "tokenizer")
    end = int(tokenizer.token_to_id(END_OF_TEXT) or 0)  # `load_tokenizer` refuses one without it
    if isinstance(prompt, tuple):
        ids = _document(artifacts / corpus, *prompt)
    else:
        ids = [end, *tokenizer.encode(prompt, add_special_tokens=False).ids]
    continuation = continuation_of(configuration, name, artifacts, len(ids) + sampling.tokens)
    new: list[int] = []
    said = 0
    for token in generated(continuation, ids, end, sampling):
        new.append(token)
        text = _text(tokenizer, new).rstrip(CUT)
        say(text[said:])
        said = len(text)
    text = _text(tokenizer, new)
    say(text[said:])
    return {
        "run": name,
        "system": run.system,
        "prompt_tokens": len(ids),
        "tokens": len(new),
        "text": text,
        "read": _read(tokenizer, continuation, len(ids)),
    }


def place_of(name: str) -> tuple[str, int]:
    """`DOC:CHUNK` as the beginning of a doc_id and the number of a chunk.

    Raises:
        Failure: (exit code 2) for another form.
    """
    document, _, chunk = name.rpartition(":")
    if not document or not chunk.isdecimal():
        raise Failure(f"{name!r} names no chunk", "write DOC:CHUNK", "for instance 3f9a:40", Exit.USAGE)
    return document, int(chunk)


def _text(tokenizer: Tokenizer, ids: list[int]) -> str:
    return tokenizer.decode(ids, skip_special_tokens=False)


def _read(tokenizer: Tokenizer, continuation: Continuation, begin: int) -> list[dict[str, Any]]:
    """What the chunks before each new token's own have retrieved, which is what the new tokens read."""
    size, tokens, chosen = continuation.chunk_tokens, continuation.tokens, continuation.chosen()
    first, last = max(0, begin // size - 1), (len(tokens) - 1) // size
    return [
        {
            "chunk": chunk,
            "neighbours": [
                {"chunk": j, "text": _text(tokenizer, tokens[j * size : (j + 2) * size])}
                for j in chosen[chunk].tolist()
                if j >= 0
            ],
        }
        for chunk in range(first, min(last, len(chosen)))
    ]


def _document(home: Path, name: str, chunk: int) -> list[int]:
    """The tokens of the document whose doc_id begins with `name`, up to and with a chunk.

    Raises:
        Failure: (exit code 2) if that is none or several, or it has no such chunk.
    """
    artifact = open_artifact(CHUNKS, home / "chunks")
    found: dict[str, list] = {}
    for shard in artifact.shards:
        table = artifact.read(shard, ["doc_id", "token_ids"])
        for doc_id, ids in zip(
            table.column("doc_id").to_pylist(), list_rows(table.column("token_ids")), strict=True
        ):
            if doc_id.startswith(name):
                found.setdefault(doc_id, []).append(ids)
    if len(found) != 1:
        some = ", ".join(sorted(found)[:SHOWN])
        cause = f"{len(found)} documents begin so: {some}" if found else "no doc_id begins so"
        remedy = "`./rpt labels stats --documents 100` lists documents; give more digits of one"
        raise Failure(f"document {name!r}", cause, remedy, Exit.USAGE)
    ((doc_id, chunks),) = found.items()
    if not 0 <= chunk < len(chunks):
        cause = f"document {doc_id} has chunks 0 to {len(chunks) - 1}"
        raise Failure(f"chunk {chunk}", cause, "choose one of them", Exit.USAGE)
    return [int(token) for ids in chunks[: chunk + 1] for token in ids]
