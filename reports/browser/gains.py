"""What the chosen candidate does to each token of the target, scored when somebody asks and kept
for a while.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from data_contracts.failure import Exit, Failure
from reports.browser.document import Candidate, Document
from reports.browser.library import LabelLibrary, ReferenceLM
from reports.site import drawing

# requests that wait for their turn; a person who turns pages quickly looks at the last of them only
WAITING = 4
TOGETHER = 7  # candidates scored at once: with the local context a batch of the engine
KEPT = 256


@dataclass(frozen=True)
class Painted:
    """What a page shows of gains: a class of colour and a figure for each token, and in words what they add
    up to.
    """

    steps: Sequence[str]
    gains: Sequence[str]
    words: str


class Gains:
    """Gains by the reference LM of each label set; one batch is scored at a time."""

    def __init__(self, library: LabelLibrary):
        self._library = library
        self._kept: OrderedDict[tuple, dict[int, np.ndarray]] = OrderedDict()
        self._turn = threading.Condition()
        self._asked, self._scoring = 0, False

    def known(self, number: int) -> bool:
        """Whether there is a reference LM for a label set."""
        return self._library.scorers[number] is not None

    def pieces(self, document: Document, chunk: int, number: int) -> list[str] | None:
        """The text of a chunk by token, or None if that cannot be told."""
        scorer = self._library.scorers[number]
        if scorer is None:
            return None
        pieces = scorer.pieces([ids.to_numpy() for ids in document.token_ids], chunk)
        # Text for another tokenizer has whole characters, where that of a chunk may have cut ones.
        return pieces if scorer.reads_text or "".join(pieces) == document.texts[chunk] else None

    def of(self, document: Document, query: int, candidate: int, number: int = 0) -> np.ndarray:
        """Gain of each token of the target, nats, float32 [m].

        Raises:
            Failure: (exit code 2) if there is no such candidate or no reference LM, or if too many asked
                later; what the reference LM raises.
        """
        scorer = self._library.scorers[number]
        if scorer is None:
            remedy = "put the directory reference_lm that made the labels beside them"
            raise Failure(
                "gains of tokens", "there is no reference LM beside these labels", remedy, Exit.USAGE
            )
        order = sorted(one.chunk for one in document.candidates(query) if one.scores[number] is not None)
        if candidate not in order:
            cause = f"chunk {candidate} is no candidate of query {query} of this document"
            raise Failure("gains of tokens", cause, "choose one of its candidates", Exit.USAGE)
        first = order.index(candidate) // TOGETHER * TOGETHER
        batch = order[first : first + TOGETHER]
        name = (number, document.facts.doc_id, query, first)
        gains = self._kept.get(name)
        if gains is None:
            with self._in_turn():
                gains = self._kept.get(name) or self._score(scorer, document, query, batch)
                self._kept[name] = gains
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        return gains[candidate]

    def _score(
        self, scorer: ReferenceLM, document: Document, query: int, batch: list[int]
    ) -> dict[int, np.ndarray]:
        rows = scorer.gains([ids.to_numpy() for ids in document.token_ids], query, batch)
        return dict(zip(batch, rows, strict=True))

    @contextmanager
    def _in_turn(self) -> Iterator[None]:
        """One at a time; of those that wait, only the last `WAITING` stay, so that a slow reference LM never
        holds up the server.
        """
        with self._turn:
            self._asked = asked = self._asked + 1
            self._turn.notify_all()
            self._turn.wait_for(lambda: not self._scoring or self._asked - asked >= WAITING)
            if self._asked - asked >= WAITING:
                raise Failure("gains of tokens", "others were asked for since", "reload the page", Exit.USAGE)
            self._scoring = True
        try:
            yield
        finally:
            with self._turn:
                self._scoring = False
                self._turn.notify_all()

    def painted(self, document: Document, query: int, chosen: Candidate, number: int) -> Painted:
        """The gains of the target's tokens by one of the reference LMs; raises like `of`."""
        gains = self.of(document, query, chosen.chunk, number)
        total, label = float(gains.sum()), chosen.scores[number]
        words = f"The tokens' gains add up to {drawing.score(total)} nats"
        if label is not None and abs(total - label) > 0.05 + 0.02 * abs(label):
            words += (
                f", but the label says {drawing.score(label)}: this reference LM is not the one that made it."
            )
        else:
            words += ", as the label says."
        return Painted(
            steps=[drawing.step(float(gain), drawing.TOKEN_STEPS) for gain in gains],
            gains=[drawing.score(float(gain)) for gain in gains],
            words=words,
        )
