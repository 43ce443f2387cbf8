"""Artifacts as stages find them, from tables made by hand."""

from __future__ import annotations

import json
from pathlib import Path

import jax
import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

from data_contracts.contract import Contract, commit, write_shard
from model import gpt_neox, gpt_neox_files
from model.config import ModelConfig
from model.gpt_neox_config import GPTNeoXConfig
from model.initialisation import initial_parameters
from model.parameters import Architecture
from model.parameters_io import save_parameters
from model.registry import SYSTEMS
from stages.parameters import Recipe
from stages.tokens.tokenizer import train_tokenizer
from stages.training.systems import describe


def write_artifact(contract: Contract, place: Path, *tables: pa.Table) -> None:
    """`place` with a shard a table."""
    place.mkdir(parents=True, exist_ok=True)
    for number, table in enumerate(tables):
        write_shard(contract, table, place / f"part-{number:05}.parquet")
    commit(contract, place)


def write_tokenizer(place: Path) -> Tokenizer:
    """`place / "tokenizer"`, of 300 tokens at most."""
    (place / "tokenizer").mkdir(parents=True)
    tokenizer = train_tokenizer(iter(["some text"]), 300)
    tokenizer.save(str(place / "tokenizer" / "tokenizer.json"))
    return tokenizer


def write_other_tokenizer(directory: Path, size: int) -> None:
    """The tokenizer of `write_tokenizer`, but its tokens 1 to `size` - 1, which are ASCII characters, have
    their ids in reverse.
    """
    written = json.loads(train_tokenizer(iter(["some text"]), 300).to_str())
    names = {token_id: token for token, token_id in written["model"]["vocab"].items()}
    written["model"]["vocab"] |= {names[token_id]: size - token_id for token_id in range(1, size)}
    (directory / "tokenizer.json").write_text(json.dumps(written))


def write_model(place: Path, system: str, config: ModelConfig, recipe: Recipe) -> None:
    """`place`, an untrained system."""
    place.mkdir(parents=True)
    save_parameters(
        initial_parameters(Architecture.of(SYSTEMS[system].build, config), config, 0),
        place / "model.safetensors",
    )
    (place / "config.json").write_text(json.dumps(describe(SYSTEMS[system], config, recipe)))


def write_reference_lm(place: Path, config: GPTNeoXConfig, params: gpt_neox.Params | None = None) -> None:
    """`place / "reference_lm"`, untrained without `params`, and `place / "tokenizer"`, with the same
    tokenizer, of 300 tokens at most.
    """
    gpt_neox_files.save(
        place / "reference_lm",
        config,
        jax.tree.map(np.asarray, gpt_neox.init(config, 0)) if params is None else params,
    )
    write_tokenizer(place).save(str(place / "reference_lm" / "tokenizer.json"))
