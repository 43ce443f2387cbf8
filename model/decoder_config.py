"""Configurations of the decoders that can be a reference LM, told apart by the architecture that
`config.json` names.

All have `vocab_size`, `hidden_size`, `num_hidden_layers`, and the sizes that costs are counted from.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model import gpt2_config, gpt_neox_config, llama_config
from model.config_values import architectures
from model.gpt2_config import GPT2Config
from model.gpt_neox_config import GPTNeoXConfig
from model.hugging_face_files import read_values
from model.llama_config import LlamaConfig

DecoderConfig = GPT2Config | GPTNeoXConfig | LlamaConfig
CLASSES: dict[str, type[GPT2Config] | type[GPTNeoXConfig] | type[LlamaConfig]] = {
    gpt_neox_config.ARCHITECTURE: GPTNeoXConfig,
    gpt2_config.ARCHITECTURE: GPT2Config,
    **dict.fromkeys(llama_config.FAMILIES, LlamaConfig),
}
ARCHITECTURES = tuple(CLASSES)


def decoder_config(values: Mapping[str, Any]) -> DecoderConfig:
    """Reads a parsed `config.json`; one that names no architecture is a GPT-NeoX.

    Raises:
        ValueError: if it is of another architecture, or has a setting that is not computed here.
    """
    named = architectures(values, gpt_neox_config.ARCHITECTURE)
    known = [name for name in ARCHITECTURES if name in named]
    if not known:
        raise ValueError(
            f"config.json names {named}; the reference LM must be one of {', '.join(ARCHITECTURES)}"
        )
    return CLASSES[known[0]].from_dict(values)


def read_config(directory: Path) -> DecoderConfig:
    """Reads and checks `config.json`.

    Raises:
        FileNotFoundError: if it is missing.
        ValueError: if it describes a model that is not supported.
    """
    return decoder_config(read_values(directory, "reference LM"))
