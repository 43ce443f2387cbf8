"""Systems in the form of the code they were published with."""

from __future__ import annotations

from model.baselines.block_recurrent import recurrent_layer
from model.baselines.memorizing import memory_layer
from model.baselines.official_decoder import (
    NormedBlockRecurrentAttention,
    NormedMemorizingAttention,
    OfficialDecoder,
)
from model.config import ModelConfig
from model.language_model import LanguageModel


def transformer_xl_official(config: ModelConfig) -> LanguageModel:
    """The decoder of the official code of the next three without memory or states: their control. Not in the
    paper.
    """
    return OfficialDecoder(config)


def memorizing_32k_official(config: ModelConfig) -> LanguageModel:
    """Memorizing Transformer in the form it was published in, as the paper's row is likely to be: 202.5M
    parameters there too.
    """
    return OfficialDecoder(config, {memory_layer(config): NormedMemorizingAttention(config, 32)})


def memorizing_65k_official(config: ModelConfig) -> LanguageModel:
    """The same with 64 window strides."""
    return OfficialDecoder(config, {memory_layer(config): NormedMemorizingAttention(config, 64)})


def block_recurrent_official(config: ModelConfig) -> LanguageModel:
    """Block-Recurrent Transformer in the form it was published in, as the paper's row is likely to be: 211.9M
    parameters.
    """
    return OfficialDecoder(config, {recurrent_layer(config): NormedBlockRecurrentAttention(config)})
