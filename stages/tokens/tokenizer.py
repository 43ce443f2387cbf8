"""The tokenizer of a corpus: a byte-level BPE trained on its train split, or an existing one by
file or name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from data_contracts.contract import Artifact, open_artifact
from data_contracts.documents import DOCUMENTS
from data_contracts.failure import Exit, Failure
from stages.parameters import Tokenization
from stages.runner.stage import Context, Job
from stages.tokens.round_trip import check_round_trip
from stages.tokens.text_pieces import PIECE_CHARS, pieces
from stages.tokens.tokenizer_file import read_tokenizer

END_OF_TEXT = "<|endoftext|>"
# characters of a document and in all that are encoded and decoded to see what comes back
SAMPLED, MOST_SAMPLED = 4_096, 2**21


def train_tokenizer(texts: Iterator[str], vocabulary_size: int) -> Tokenizer:
    """A byte-level BPE (any text round-trips) with `<|endoftext|>` as token 0, which begins and ends
    documents as in GPT-NeoX.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


@lru_cache(maxsize=2)
def load_tokenizer(directory: Path) -> Tokenizer:
    """The tokenizer of an artifact, set so that text which spells a special token stays text.

    Raises:
        Failure: (exit code 3) if it cannot be read, (2) if it has no `<|endoftext|>`.
    """
    tokenizer = read_tokenizer(directory / "tokenizer.json", "re-run the stage that writes it", Exit.CONTRACT)
    tokenizer.encode_special_tokens = True
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if tokenizer.token_to_id(END_OF_TEXT) is None:
        raise Failure(
            f"tokenizer {directory}",
            f"it has no {END_OF_TEXT} token to begin and end documents",
            "choose a GPT-2/NeoX-style one",
            Exit.USAGE,
        )
    return tokenizer


def vocabulary_size(tokenizer: Tokenizer) -> int:
    """Rows that a table of embeddings needs: one more than the highest id, which may be more than there are
    tokens.
    """
    return max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1


@dataclass
class TrainText:
    """The train split in pieces, in the order of the artifact, at most `limit` characters of it; `limited`
    says afterwards if that was not all."""

    documents: Artifact
    limit: int
    limited: bool = False

    def __iter__(self) -> Iterator[str]:
        left = self.limit
        for text in self._texts():
            yield from pieces(text[:left], PIECE_CHARS)
            self.limited = len(text) > left
            if self.limited:
                return
            left -= len(text)

    def _texts(self) -> Iterator[str]:
        for shard in self.documents.shards:
            table = self.documents.read(shard, ["split", "text"])
            for split, text in zip(table.column("split").to_pylist(), table.column("text"), strict=True):
                if split == "train":
                    yield text.as_py()


def beginnings(documents: Artifact) -> Iterator[str]:
    """The first `SAMPLED` characters of every document, until there are `MOST_SAMPLED`."""
    seen = 0
    for shard in documents.shards:
        for text in documents.read(shard, ["text"]).column("text"):
            if seen >= MOST_SAMPLED:
                return
            piece = text.as_py()[:SAMPLED]
            seen += len(piece)
            yield piece


def check_choice(choice: str) -> None:
    """Refuses a path at which there is no file, before it is taken for a name of the hub.

    Raises:
        Failure: (exit code 2) if that is so.
    """
    path = choice.startswith(("/", ".", "~")) or choice.endswith(".json")
    if path and not Path(choice).is_file():
        cause = "there is no such file (relative paths count from the project's root)"
        raise Failure(
            f"tokenization.tokenizer is {choice!r}",
            cause,
            "give a tokenizer.json file, a name of the hub, or `train`",
            Exit.USAGE,
        )


def existing_tokenizer(choice: str, revision: str | None) -> Tokenizer:
    """The tokenizer of a tokenizer.json file, or of a name of the hub.

    Raises:
        Failure: (exit code 2) if the file is none or missing, (5) if the hub does not give it.
    """
    check_choice(choice)
    if Path(choice).is_file():
        return read_tokenizer(Path(choice), "give another tokenizer.json")
    try:
        return Tokenizer.from_pretrained(choice, revision=revision or "main")
    except Exception as error:  # the library has no narrower one
        remedy = "give a tokenizer.json file, or a name that the hub knows while there is a network"
        raise Failure(
            f"tokenizer {choice!r} could not be loaded", str(error)[:300], remedy, Exit.ENVIRONMENT
        ) from error


def make_tokenizer(context: Context, tokenization: Tokenization) -> None:
    """Write `tokenizer/tokenizer.json`.

    Raises:
        Failure: (exit code 5) if one that was asked for cannot be loaded, (2) if it does not give the text
            back or has no `<|endoftext|>`.
    """
    choice, note = tokenization.tokenizer, ""
    if choice == "train":
        text = TrainText(open_artifact(DOCUMENTS, context.input("documents")), tokenization.train_characters)
        tokenizer = train_tokenizer(iter(text), tokenization.vocabulary_size)
        if text.limited:
            note = (
                f", trained on the first {text.limit:,} characters of the train split"
                " (tokenization.train_characters)"
            )
    else:
        tokenizer = existing_tokenizer(choice, tokenization.revision)
    tokenizer.save(str(context.out("tokenizer") / "tokenizer.json"))
    loaded = load_tokenizer(context.out("tokenizer"))
    if choice != "train":
        check_round_trip(
            loaded, choice, list(beginnings(open_artifact(DOCUMENTS, context.input("documents"))))
        )
    context.say.progress(1, 1, "tokenizer")
    count, rows = tokenizer.get_vocab_size(), vocabulary_size(tokenizer)
    if rows > count:
        note += f", with ids up to {rows - 1:,}: {rows - count:,} ids stand for nothing and only cost room"
    context.say.note(f"**{context.corpus}**: tokenizer of {count:,} tokens{note}")


STAGE = Job("tokenizer", make_tokenizer, ("tokenization",), {"tokenizer": "artifacts/{corpus}/tokenizer"})
