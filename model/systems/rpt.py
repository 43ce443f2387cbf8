"""RPT with both supervisions and the ablations of the paper, and what a recipe may say of how its retriever is trained."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from model.config import ModelConfig
from model.language_model import LanguageModel
from model.neighbour_gating import OpenGate
from model.neighbours import gold_alone, gold_then_own
from model.ranking_loss import as_sum, per_query
from model.rpt import OUR_TRAINING, RPT, RetrieverTraining, lexical_relevance, semantic_relevance
from model.scheduled_sampling import always_gold, always_own, draw_by_batch, draw_by_chunk, draw_by_sequence
from model.system import System

NORMALISE = {"query": per_query, "sum": as_sum}
SAMPLING = {"chunk": draw_by_chunk, "sequence": draw_by_sequence, "batch": draw_by_batch}
GOLD = {"own": gold_then_own, "mask": gold_alone}


def retriever_training(normalise: str, sampling: str, missing_gold: str) -> RetrieverTraining:
    """What these words of a recipe mean."""
    return RetrieverTraining(NORMALISE[normalise], SAMPLING[sampling], GOLD[missing_gold])


def rpt_lex(config: ModelConfig, training: RetrieverTraining = OUR_TRAINING) -> LanguageModel:
    """RPT-Lex, trained to rank as BM25 does (section 5.1). Table 2: perplexity 2.92, 2.23, 11.59, 14.32; 242M parameters; time 1.51.

    With the oracle's neighbours 2.80, 2.12, 10.88, 13.30. Table 4, with those of a DPR-style retriever: 2.84, 2.26, 11.11, 14.17.
    """
    return RPT(config, lexical_relevance, training)


def rpt_sem(config: ModelConfig, training: RetrieverTraining = OUR_TRAINING) -> LanguageModel:
    """RPT-Sem, trained by a reference LM (section 3). Table 2: perplexity 2.77, 2.17, 10.96, 13.91; 242M parameters; time 1.51.

    With 3 neighbours at test 2.75, 2.16, 10.92, 13.87, with 4 2.74, 2.15, 10.93, 13.91; with the oracle's 2.69, 2.10, 10.26, 12.74.
    Table 4, with those of a DPR-style retriever: 2.98, 2.33, 11.62, 14.66.
    """
    return RPT(config, semantic_relevance, training)


def rpt_sem_gold_only(config: ModelConfig, training: RetrieverTraining = OUR_TRAINING) -> LanguageModel:
    """RPT-Sem with only teacher forcing. Table 4: perplexity 2.91, 2.22, 11.54, 14.66."""
    return RPT(config, semantic_relevance, replace(training, sampling=always_gold))


def rpt_sem_own_only(config: ModelConfig, training: RetrieverTraining = OUR_TRAINING) -> LanguageModel:
    """RPT-Sem without teacher forcing. Table 4: perplexity 2.95, 2.26, 13.10, 14.40."""
    return RPT(config, semantic_relevance, replace(training, sampling=always_own))


def rpt_sem_ungated(config: ModelConfig, training: RetrieverTraining = OUR_TRAINING) -> LanguageModel:
    """RPT-Sem without neighbour gating. Table 4: perplexity 2.92, 2.20, 11.50, 18.68."""
    return RPT(config, semantic_relevance, training, OpenGate())


_lexical = partial(System, supervision="bm25", retriever="own", relevance=lexical_relevance, retriever_training=retriever_training)
_semantic = partial(System, supervision="scored", retriever="own", relevance=semantic_relevance, retriever_training=retriever_training)

SYSTEMS = (
    _lexical("rpt_lex", rpt_lex),
    _semantic("rpt_sem", rpt_sem),
    _semantic("rpt_sem_gold_only", rpt_sem_gold_only),
    _semantic("rpt_sem_own_only", rpt_sem_own_only),
    _semantic("rpt_sem_ungated", rpt_sem_ungated),
)
