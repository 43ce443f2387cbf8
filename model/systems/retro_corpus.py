"""RETRO as published, which reads a whole corpus, and its control."""

from __future__ import annotations

from model.baselines.retro_corpus import RetroCorpus
from model.config import ModelConfig
from model.language_model import LanguageModel
from model.system import System


def retro_corpus(config: ModelConfig) -> LanguageModel:
    """RETRO with the passages of other documents whose keys are nearest. At test the database is the training split. Not in the paper."""
    return RetroCorpus(config)


def retro_corpus_random(config: ModelConfig) -> LanguageModel:
    """Its parameters and computation with passages of the same database drawn at random, in training and at test: the control."""
    return RetroCorpus(config)


SYSTEMS = (
    System("retro_corpus", retro_corpus, "corpus", "corpus"),
    System("retro_corpus_random", retro_corpus_random, "corpus", "corpus_random"),
)
