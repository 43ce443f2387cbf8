"""Transformer-XL as the paper trains it, for longer, and with its state carried over documents."""

from __future__ import annotations

from model.baselines.transformer_xl import TransformerXL
from model.config import ModelConfig
from model.language_model import LanguageModel
from model.system import System


def transformer_xl(config: ModelConfig) -> LanguageModel:
    """Transformer-XL, no retrieval (section 5.1). Table 2: perplexity 3.11, 2.30, 11.48, 15.00; 202M parameters; time 1."""
    return TransformerXL(config)


def transformer_xl_carry(config: ModelConfig) -> LanguageModel:
    """Transformer-XL trained on documents in order, its window going on from sequence to sequence: the control of what carries state."""
    return TransformerXL(config)


SYSTEMS = (
    System("transformer_xl", transformer_xl),
    # 1.5 times the steps. Table 2: perplexity 3.11, 2.26, 11.39, 14.70; 202M parameters; time of an update 1.
    System("transformer_xl_longer", transformer_xl, updates=lambda config, tokens: 1.5),
    System("transformer_xl_carry", transformer_xl_carry, carry="document"),
)
