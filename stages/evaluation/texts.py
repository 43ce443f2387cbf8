"""A text of one's own as a trained model reads it: what each token costs, with the chunks that the model
retrieves from earlier in the text and without them.
"""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from data_contracts.evaluations import OWN, WITHOUT
from data_contracts.failure import Exit, Failure
from stages.evaluation.documents import DocumentReader, Request, losses_by_chunk
from stages.evaluation.half_precision import load_in_float32
from stages.evaluation.settings import settings_of
from stages.tokens.token_bytes import DocumentBytes
from stages.tokens.tokenization import encode
from stages.tokens.tokenizer import load_tokenizer
from stages.training.systems import described_system


@dataclass(frozen=True)
class Retrieved:
    """What was retrieved for one chunk of a text.

    Attributes:
        chunk: number of the chunk that asks, from 0.
        neighbours: numbers of the earlier chunks that were read for it, best first.
        gain: nats by which the next chunk, all its tokens together, is predicted better with its neighbours
            than if none is read anywhere in the text; negative if it is predicted worse.
    """

    chunk: int
    neighbours: tuple[int, ...]
    gain: float


@dataclass(frozen=True)
class TextReading:
    """A text that was read.

    Attributes:
        chunks: the text of each chunk; the first begins with `<|endoftext|>`, and the last ends with it.
        losses: setting -> nats of every token but the first. The settings are `own`, with the neighbours that
            the model retrieves, and, of a model that retrieves, `none`, without any.
        retrieved: a record for each chunk that retrieved something.
        bytes: of the text in UTF-8.
    """

    chunks: list[str]
    losses: dict[str, np.ndarray]
    retrieved: list[Retrieved]
    bytes: int

    def perplexity(self, setting: str = OWN) -> float:
        """Over all tokens but the first. It depends on the tokenizer: compare it within one only."""
        return math.exp(self.losses[setting].mean(dtype=np.float64))

    def bits_per_byte(self, setting: str = OWN) -> float:
        """The loss in bits for each byte of the text, which is comparable between tokenizers."""
        return float(self.losses[setting].sum(dtype=np.float64)) / math.log(2) / self.bytes


class TextReader:
    """Reads texts with a trained model of a corpus, one after the other; compiled once.

    Args:
        corpus: a folder as `artifacts/CORPUS/` or `model.pretrained.CODE`: it has `tokenizer/` and `models/`.
        run: the name of a model in `models/`.

    Raises:
        Failure: (exit code 2) if there is no such model, or it does not find its neighbours by itself, as
            RETRO, which reads what a stage has mined.
    """

    def __init__(self, corpus: Path, run: str) -> None:
        described = json.loads(_config(corpus, run).read_text())
        system = described_system(described)
        if system.retriever not in ("none", "own"):
            cause = f"{system.name} reads neighbours that are found before it runs ({system.retriever})"
            raise Failure(f"model {run!r}", cause, "read texts with RPT-Sem or Transformer-XL", Exit.USAGE)
        self.tokenizer = load_tokenizer(corpus / "tokenizer")
        model = load_in_float32(corpus / "models" / run)
        self._size, settings = model.config.chunk_tokens, settings_of(system, (OWN, WITHOUT))
        scratch = Path(tempfile.gettempdir())
        self._reader = DocumentReader(model, settings, model.config.neighbours, 0, "exact", scratch)
        self._bytes = DocumentBytes(self.tokenizer)

    def read(self, text: str) -> TextReading:
        """Read a text as a held-out document is read: whole, between two `<|endoftext|>`.

        Raises:
            Failure: (exit code 2) if the text is empty.
        """
        if not text:
            raise Failure("the text cannot be read", "it is empty", "give at least one character", Exit.USAGE)
        tokens_T = next(encode([text], self.tokenizer))
        (reading,) = self._reader.read([Request("text", tokens_T)])
        rows = {
            setting: losses_by_chunk(losses_T, self._bytes(tokens_T), self._size)["loss"]
            for setting, losses_T in reading.losses.items()
        }
        neighbours_CN = reading.neighbours[OWN][: len(rows[OWN]) - 1]
        found = [
            # row 0 is the loss of chunk 0, so that of what follows chunk i stands in row i + 1
            Retrieved(chunk, tuple(ids[ids >= 0].tolist()), rows[WITHOUT][chunk + 1] - rows[OWN][chunk + 1])
            for chunk, ids in enumerate(neighbours_CN)
            if (ids >= 0).any()
        ]
        pieces = [tokens_T[begin : begin + self._size] for begin in range(0, len(tokens_T), self._size)]
        chunks = self.tokenizer.decode_batch([ids.tolist() for ids in pieces], skip_special_tokens=False)
        return TextReading(chunks, reading.losses, found, len(text.encode()))


def _config(corpus: Path, run: str) -> Path:
    path = corpus / "models" / run / "config.json"
    if not path.exists():
        known = sorted(place.parent.name for place in corpus.glob("models/*/config.json"))
        cause = f"{corpus / 'models'} has {', '.join(known) or 'no model'}"
        raise Failure(f"there is no model {run!r}", cause, "name one of them, or train it", Exit.USAGE)
    return path
