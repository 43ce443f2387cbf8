"""RPT with both supervisions and the ablations of the paper, and what a recipe may say of how its retriever
is trained.
"""

from __future__ import annotations

from dataclasses import replace

from model.config import ModelConfig
from model.language_model import LanguageModel
from model.neighbour_gating import OpenGate
from model.neighbours import gold_alone, gold_then_own
from model.ranking_loss import as_sum, per_query
from model.rpt import (
    OUR_TRAINING,
    RPT,
    RetrieverTraining,
    lexical_relevance,
    semantic_relevance,
    shuffled_relevance,
)
from model.scheduled_sampling import always_gold, always_own, draw_by_batch, draw_by_chunk, draw_by_sequence

NORMALISE = {"query": per_query, "sum": as_sum}
SAMPLING = {"chunk": draw_by_chunk, "sequence": draw_by_sequence, "batch": draw_by_batch}
GOLD = {"own": gold_then_own, "mask": gold_alone}


def retriever_training(normalise: str, sampling: str, missing_gold: str) -> RetrieverTraining:
    """What these words of a recipe mean."""
    return RetrieverTraining(NORMALISE[normalise], SAMPLING[sampling], GOLD[missing_gold])


def rpt_lex(config: ModelConfig, training: RetrieverTraining = OUR_TRAINING) -> LanguageModel:
    """RPT-Lex, trained to rank as BM25 does (section 5.1)."""
    return RPT(config, lexical_relevance, training)


def rpt_sem(config: ModelConfig, training: RetrieverTraining = OUR_TRAINING) -> LanguageModel:
    """RPT-Sem, trained by a reference LM (section 3)."""
    return RPT(config, semantic_relevance, training)


def rpt_sem_gold_only(config: ModelConfig, training: RetrieverTraining = OUR_TRAINING) -> LanguageModel:
    """RPT-Sem with only teacher forcing."""
    return RPT(config, semantic_relevance, replace(training, sampling=always_gold))


def rpt_sem_own_only(config: ModelConfig, training: RetrieverTraining = OUR_TRAINING) -> LanguageModel:
    """RPT-Sem without teacher forcing."""
    return RPT(config, semantic_relevance, replace(training, sampling=always_own))


def rpt_sem_ungated(config: ModelConfig, training: RetrieverTraining = OUR_TRAINING) -> LanguageModel:
    """RPT-Sem without neighbour gating."""
    return RPT(config, semantic_relevance, training, OpenGate())


def rpt_sem_features(config: ModelConfig, training: RetrieverTraining = OUR_TRAINING) -> LanguageModel:
    """RPT-Sem whose retriever weighs features of pairs of chunks."""
    return RPT(config.with_pair_features(), semantic_relevance, training)


def rpt_sem_features_shuffled(
    config: ModelConfig, training: RetrieverTraining = OUR_TRAINING
) -> LanguageModel:
    """The same with the labels of each query in another order."""
    return RPT(config.with_pair_features(), shuffled_relevance, training)


def rpt_sem_shuffled(config: ModelConfig, training: RetrieverTraining = OUR_TRAINING) -> LanguageModel:
    """RPT-Sem with the labels of each query in another order: what it is behind RPT-Sem, labels taught."""
    return RPT(config, shuffled_relevance, training)
