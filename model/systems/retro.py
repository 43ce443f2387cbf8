"""RETRO, and controls with its parameters and other neighbours."""

from __future__ import annotations

from model.baselines.random_retrieval import RandomRetrieval
from model.baselines.recency import Recency
from model.baselines.retro import Retro
from model.config import Shape
from model.language_model import LanguageModel
from model.system import System


def retro(shape: Shape) -> LanguageModel:
    """RETRO with BM25 neighbours (section 5.1), found by (c_q, c_t) in training and by c_q at test.

    Table 2: perplexity 2.94, 2.17, 11.44, 14.60; 236M parameters; time 1.35. Table 4, with the neighbours of a DPR-style retriever at
    test: 2.97, 2.28, 11.7, 14.86.
    """
    return Retro(shape)


def retro_q(shape: Shape) -> LanguageModel:
    """RETRO with neighbours found by c_q in training too, so that training and test agree. Not in the paper."""
    return Retro(shape)


def random(shape: Shape) -> LanguageModel:
    """RETRO's parameters with random neighbours, in training and at test: a control that the paper does not have."""
    return RandomRetrieval(shape)


def recency(shape: Shape) -> LanguageModel:
    """RETRO's parameters with the chunks just outside the window as neighbours: a control that the paper does not have."""
    return Recency(shape)


SYSTEMS = (
    System("retro", retro, "bm25", "bm25"),
    System("retro_q", retro_q, "bm25_q", "bm25"),
    System("random", random, retriever="random"),
    System("recency", recency, retriever="recency"),
)
