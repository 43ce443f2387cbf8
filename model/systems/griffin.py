"""Griffin: a recurrence beside the attention of its last layers."""

from __future__ import annotations

from functools import partial

from model.baselines.griffin import griffin_block
from model.baselines.transformer_xl import TransformerXL
from model.config import ModelConfig
from model.language_model import LanguageModel
from model.system import System


def griffin(config: ModelConfig) -> LanguageModel:
    """Griffin. Table 2: perplexity 3.08, 2.24, 11.26, 14.16; 240M parameters; time 1.15.

    Raises:
        ValueError: the configuration has no layer with a recurrence.
    """
    if not config.recurrent_layers:
        raise ValueError("recurrent_layers is empty, but Griffin has a recurrence: name its layers there, no longer in cca_layers")
    return TransformerXL(config, partial(griffin_block, config))


SYSTEMS = (System("griffin", griffin),)
