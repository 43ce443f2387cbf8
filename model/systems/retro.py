"""RETRO, and controls with its parameters and other neighbours."""

from __future__ import annotations

from model.baselines.random_retrieval import RandomRetrieval
from model.baselines.recency import Recency
from model.baselines.retro import Retro
from model.config import ModelConfig
from model.language_model import LanguageModel
from model.system import System


def retro(config: ModelConfig) -> LanguageModel:
    """RETRO with BM25 neighbours (section 5.1), found by (c_q, c_t) in training and by c_q at test.

    Table 2: perplexity 2.94, 2.17, 11.44, 14.60; 236M parameters; time 1.35. Table 4, with the neighbours of a DPR-style retriever at
    test: 2.97, 2.28, 11.7, 14.86.
    """
    return Retro(config)


def retro_q(config: ModelConfig) -> LanguageModel:
    """RETRO with neighbours found by c_q in training too, so that training and test agree. Not in the paper."""
    return Retro(config)


def random(config: ModelConfig) -> LanguageModel:
    """RETRO's parameters with random neighbours, in training and at test: a control that the paper does not have."""
    return RandomRetrieval(config)


def recency(config: ModelConfig) -> LanguageModel:
    """RETRO's parameters with the chunks just outside the window as neighbours: a control that the paper does not have."""
    return Recency(config)


SYSTEMS = (
    System("retro", retro, "bm25", "bm25"),
    System("retro_q", retro_q, "bm25_q", "bm25"),
    System("random", random, retriever="random"),
    System("recency", recency, retriever="recency"),
)
