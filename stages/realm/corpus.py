"""A corpus as REALM sees it, made again by each of its stages from the same chunks: passages, questions, and
the sizes of the model.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

from tokenizers import Tokenizer

from data_contracts.contract import open_artifact
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS
from model.baselines.bert_config import BertConfig
from model.baselines.realm import RealmConfig
from stages.parameters import Geometry, RealmStart
from stages.realm.layout import Layout
from stages.realm.passages import Document, Passages, passages_of, read_documents
from stages.realm.questions import Made, make_questions
from stages.tokens.tokenizer import load_tokenizer

CONFIG = "config.json"


class RealmCorpus(NamedTuple):
    """Documents, what may be retrieved of them, questions about them, and how texts become rows."""

    documents: list[Document]
    passages: Passages
    questions: Made
    tokenizer: Tokenizer
    layout: Layout


def read_corpus(home: Path, geometry: Geometry, sizes: RealmStart) -> RealmCorpus:
    """The corpus whose chunks and tokenizer lie in `home`.

    Raises:
        Failure: (exit code 2) if it has no more passages than candidates, or no question to train or to
            evaluate with.
    """
    tokenizer = load_tokenizer(home / "tokenizer")
    layout = Layout.of(tokenizer, sizes.query_tokens, geometry.chunk_tokens * sizes.passage_chunks)
    chunks = open_artifact(CHUNKS, home / "chunks")
    documents = read_documents(chunks, tokenizer, sizes.passage_chunks, sizes.passages, sizes.held_out)
    passages = passages_of(documents, tokenizer, sizes.passage_chunks, layout)
    if len(passages.plain) <= sizes.candidates:
        cause = (
            f"its train split has {len(passages.plain)} passages that are not held out,"
            f" realm_start.candidates is {sizes.candidates}"
        )
        raise Failure(
            "too few passages for REALM", cause, "give more text, or lower realm_start.candidates", Exit.USAGE
        )
    questions = make_questions(documents, tokenizer, layout)
    for part, name in ((questions.train, "train"), (questions.held_out, "evaluate")):
        if not part.answers:
            cause = (
                f"in {len(passages.plain)} passages no sentence has a date, a number with a unit or a name"
                f" ({questions.left_out} left out)"
            )
            raise Failure(
                f"no question to {name} with",
                cause,
                "give more text, in English, or raise realm_start.query_tokens",
                Exit.USAGE,
            )
    return RealmCorpus(documents, passages, questions, tokenizer, layout)


def config_of(sizes: RealmStart, layout: Layout) -> RealmConfig:
    """The model's sizes.

    Raises:
        Failure: (exit code 2) if they do not fit together.
    """
    try:
        bert = BertConfig(
            layout.vocabulary,
            sizes.width,
            sizes.layers,
            sizes.heads,
            4 * sizes.width,
            max_position_embeddings=layout.read,
            pad_token_id=layout.pad,
            hidden_dropout_prob=sizes.dropout,
            attention_probs_dropout_prob=sizes.dropout,
        )
    except ValueError as error:
        raise Failure(
            "the sizes of REALM", str(error), "change `realm_start` in params.yaml", Exit.USAGE
        ) from error
    return RealmConfig(bert, sizes.vector)


def write_config(directory: Path, config: RealmConfig, sizes: RealmStart) -> None:
    """What a later stage needs to make the same corpus and model again."""
    described = {"bert": asdict(config.bert), "vector": config.vector, "corpus": sizes.model_dump()}
    (directory / CONFIG).write_text(json.dumps(described, indent=1) + "\n")


def read_sizes(directory: Path) -> tuple[RealmConfig, RealmStart]:
    """What `write_config` wrote."""
    described = json.loads((directory / CONFIG).read_text())
    return RealmConfig(BertConfig(**described["bert"]), described["vector"]), RealmStart(
        **described["corpus"]
    )
