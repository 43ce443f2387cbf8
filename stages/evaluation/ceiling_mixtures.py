"""What a model's losses become when it is mixed with counts over a document's past: weights fitted on some
documents, used on others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_contracts.ceilings import BEYOND, OF_TRAINING
from data_contracts.eligibility import last_eligible
from model.baselines.knn_lm import Nearest, knn_probabilities, nearest_states, with_recent
from model.baselines.mixture import fitted_weights, mixed_losses
from model.baselines.ngram_cache import LONGEST, Cached, ngram_cache
from stages.parameters import Geometry

KNN, NGRAM = "knn_lm", "ngram_cache"
TEMPERATURES = tuple(4.0**power for power in range(-1, 7))
MODEL = "model"
MADE_OF = {
    OF_TRAINING: (MODEL, OF_TRAINING),
    NGRAM + BEYOND: (MODEL, NGRAM + BEYOND),
    NGRAM: (MODEL, NGRAM),
    "ngram_train_cache" + BEYOND: (OF_TRAINING, NGRAM + BEYOND),
    "ngram_train_cache": (OF_TRAINING, NGRAM),
    KNN + BEYOND: (MODEL, KNN + BEYOND),
    KNN: (MODEL, KNN),
}
"""Mixture -> what is mixed, and with what."""


class Second(NamedTuple):
    """A second distribution over the tokens 1, 2, ... of a document: the probability of each, and the group
    that decides its weight: the length of the longest context that was counted, and one for all states; -1
    where there is nothing to count.
    """

    probabilities_N: np.ndarray
    group_N: np.ndarray


class Document(NamedTuple):
    """A document as the model reads it: tokens, nats of all but the first, what n-grams of the training text
    say of them, and the states that predict them if they were kept."""

    tokens_T: np.ndarray
    losses_N: np.ndarray
    trained: Second
    states_ND: np.ndarray | None


class Mixtures(NamedTuple):
    """What was chosen: the weight of each group by the name of the mixture, and the temperature of those with
    states.
    """

    weights: dict[str, np.ndarray]
    temperatures: dict[str, float]


def beyond_the_window(tokens: int, geometry: Geometry) -> np.ndarray:
    """For each token of a document, how many tokens from its start lie in what could be retrieved for it: the
    chunks that are eligible for the chunk before its own, and those that continue them."""
    last_T = last_eligible(np.arange(tokens) // geometry.chunk_tokens - 1, geometry.stride_chunks)
    return np.where(last_T >= 0, (last_T + 2) * geometry.chunk_tokens, 0)


def of_training_text(text_T: np.ndarray, documents: Sequence[np.ndarray], vocabulary: int) -> list[Second]:
    """What n-grams of a text say of each document, counted once for all of them."""
    tokens_T = np.concatenate([text_T, *documents])
    cached = ngram_cache(tokens_T, np.full(len(tokens_T) - len(text_T), len(text_T)), vocabulary)
    ends = np.cumsum([len(tokens) for tokens in documents])[:-1]
    return [
        _second(Cached(*parts)) for parts in zip(*(np.split(values, ends) for values in cached), strict=True)
    ]


class Mixer:
    """Mixes a model of this vocabulary; `index` is "exact" or "hnsw"."""

    def __init__(self, geometry: Geometry, vocabulary: int, index: str) -> None:
        self.geometry, self.vocabulary, self.index = geometry, vocabulary, index

    def fit(self, documents: Sequence[Document]) -> Mixtures:
        """The weights and temperatures of most likelihood on these documents, whose states must have been
        kept.
        """
        nearest = [self._nearest(document) for document in documents]
        temperatures = {
            name: _best_temperature(documents, [found[name] for found in nearest])
            for name in (KNN + BEYOND, KNN)
        }
        seconds = [
            self._counted(document) | _similar(document, found, temperatures)
            for document, found in zip(documents, nearest, strict=True)
        ]
        losses = {MODEL: np.concatenate([document.losses_N for document in documents])}
        weights = {}
        for name, (base, second) in MADE_OF.items():
            joined = _joined([found[second] for found in seconds])
            weights[name] = _weights(losses[base], joined)
            losses[name] = mixed_losses(losses[base], *joined, weights[name])
        return Mixtures(weights, temperatures)

    def losses(self, document: Document, mixtures: Mixtures) -> dict[str, np.ndarray]:
        """Mixture -> nats of the tokens 1, 2, ... of a document; those with states only if its states were
        kept.
        """
        seconds = self._counted(document)
        if document.states_ND is not None:
            seconds |= _similar(document, self._nearest(document), mixtures.temperatures)
        losses = {MODEL: document.losses_N}
        for name, (base, second) in MADE_OF.items():
            if second in seconds:
                losses[name] = mixed_losses(losses[base], *seconds[second], mixtures.weights[name])
        del losses[MODEL]
        return losses

    def _counted(self, document: Document) -> dict[str, Second]:
        tokens = len(document.tokens_T)
        limits = {NGRAM + BEYOND: beyond_the_window(tokens, self.geometry), NGRAM: np.arange(tokens)}
        counted = {
            name: _second(ngram_cache(document.tokens_T, limits_T, self.vocabulary))
            for name, limits_T in limits.items()
        }
        return {OF_TRAINING: document.trained, **counted}

    def _nearest(self, document: Document) -> dict[str, Nearest]:
        assert document.states_ND is not None
        # State n predicts token n + 1, so it is stored once that token may be seen.
        limits_N = np.maximum(beyond_the_window(len(document.tokens_T), self.geometry)[1:] - 1, 0)
        beyond = nearest_states(document.states_ND, limits_N, self.index)
        return {KNN + BEYOND: beyond, KNN: with_recent(beyond, document.states_ND, limits_N)}


def _second(cached: Cached) -> Second:
    """Of all tokens of a document but the first, which nothing predicts."""
    return Second(cached.probabilities_N[1:], cached.lengths_N[1:])


def _similar(
    document: Document, nearest: dict[str, Nearest], temperatures: dict[str, float]
) -> dict[str, Second]:
    return {name: _of_nearest(document, found, temperatures[name]) for name, found in nearest.items()}


def _of_nearest(document: Document, nearest: Nearest, temperature: float) -> Second:
    values_N = document.tokens_T[1:]
    return Second(
        knn_probabilities(nearest, values_N, values_N, temperature),
        np.where(nearest.places_NK[:, 0] >= 0, 0, -1),
    )


def _best_temperature(documents: Sequence[Document], nearest: Sequence[Nearest]) -> float:
    losses_N = np.concatenate([document.losses_N for document in documents])

    def nats(temperature: float) -> float:
        second = _joined(
            [
                _of_nearest(document, found, temperature)
                for document, found in zip(documents, nearest, strict=True)
            ]
        )
        return float(mixed_losses(losses_N, *second, _weights(losses_N, second)).sum())

    return min(TEMPERATURES, key=nats)


def _weights(losses_N: np.ndarray, second: Second) -> np.ndarray:
    return fitted_weights(np.exp(-losses_N.astype(np.float64)), *second, LONGEST + 1)


def _joined(seconds: Sequence[Second]) -> Second:
    return Second(*(np.concatenate(parts) for parts in zip(*seconds, strict=True)))
