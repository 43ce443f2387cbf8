"""Questions of a corpus: a sentence with one salient span masked, and the span as answer.

The passage that holds the sentence would make a trivial candidate (arXiv 2002.08909, section 3.4): each
question knows which passages those are, and a passage that says the same sentence again is told by its text.
Every span of a sentence is a question of its own; the paper draws one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from tokenizers import Tokenizer

from stages.realm.layout import Layout, plain, rows_of
from stages.realm.passages import Document
from stages.realm.spans import salient_spans, sentences

MOST_MASKS = 10


class Questions(NamedTuple):
    """Q questions: their rows with masks, where the A masks are, what they hide, and 1 where there is one;
    numbers of the first and last passage that hold the sentence, last before first where none does; and in
    words the sentence, the answer, its kind and its document.
    """

    rows_QT: np.ndarray
    places_QA: np.ndarray
    answers_QA: np.ndarray
    weights_QA: np.ndarray
    own_Q2: np.ndarray
    sentences: list[str]
    answers: list[str]
    kinds: list[str]
    doc_ids: list[str]


class Made(NamedTuple):
    """Questions to train with and questions to evaluate with, of passages that are held out; and how many
    were left out and why: too long for a row, too many tokens masked, or partly held out."""

    train: Questions
    held_out: Questions
    left_out: dict[str, int]


class _Asked(NamedTuple):
    sentence: str
    before: str
    answer: str
    after: str
    kind: str
    doc_id: str
    own: tuple[int, int]


def make_questions(documents: list[Document], tokenizer: Tokenizer, layout: Layout) -> Made:
    """Every question of some documents, in the order of their text."""
    asked = [one for document in documents for one in _asked_of(document)]
    whole = [one for one in asked if one.own != PARTLY]
    parts = [
        [found.ids for found in tokenizer.encode_batch([one[part] for one in whole])] for part in (1, 2, 3)
    ]
    masked = [len(answer) <= MOST_MASKS for answer in parts[1]]
    fits = [sum(map(len, tokens)) <= layout.query - 2 for tokens in zip(*parts, strict=True)]
    kept = [number for number in range(len(whole)) if masked[number] and fits[number]]
    left_out = {
        "partly held out": len(asked) - len(whole),
        "masks": masked.count(False),
        "length": sum(masked) - len(kept),
    }
    train, held_out = (
        _questions(
            [whole[number] for number in numbers],
            [[part[number] for number in numbers] for part in parts],
            layout,
        )
        for numbers in (
            [n for n in kept if whole[n].own != HELD_OUT],
            [n for n in kept if whole[n].own == HELD_OUT],
        )
    )
    return Made(train, held_out, left_out)


HELD_OUT, PARTLY = (0, -1), (-1, -2)


def _asked_of(document: Document) -> list[_Asked]:
    found, ends = [], np.cumsum([len(text) for text in document.texts])
    text = "".join(document.texts)
    for begin, end in sentences(text):
        numbers = document.numbers[
            np.searchsorted(ends, begin, "right") : np.searchsorted(
                ends, begin + len(text[begin:end].rstrip())
            )
            + 1
        ]
        own = (
            (int(numbers[0]), int(numbers[-1]))
            if (numbers >= 0).all()
            else HELD_OUT
            if (numbers < 0).all()
            else PARTLY
        )
        sentence = plain(text[begin:end])
        for span in salient_spans(sentence):
            first = span.begin - (sentence[span.begin - 1] == " ")
            words = sentence[:first], sentence[first : span.end], sentence[span.end :]
            found.append(_Asked(sentence, *words, span.kind, document.doc_id, own))
    return found


def _questions(asked: list[_Asked], parts: list[list[list[int]]], layout: Layout) -> Questions:
    masked = [
        before + [layout.mask] * len(answer) + after for before, answer, after in zip(*parts, strict=True)
    ]
    rows, _ = rows_of(masked, layout.query, layout)
    places, answers = (np.zeros((len(asked), MOST_MASKS), np.int32) for _ in range(2))
    weights = np.zeros((len(asked), MOST_MASKS), np.float32)
    for number, (before, answer) in enumerate(zip(parts[0], parts[1], strict=True)):
        places[number, : len(answer)] = 1 + len(before) + np.arange(len(answer))
        answers[number, : len(answer)], weights[number, : len(answer)] = answer, 1.0
    own = np.array([one.own for one in asked], np.int64).reshape(-1, 2)
    words = ([getattr(one, name) for one in asked] for name in ("sentence", "answer", "kind", "doc_id"))
    return Questions(rows, places, answers, weights, own, *words)
