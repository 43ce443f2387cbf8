"""Sizes small enough for a test, and what a stage is given; `changes` are values of fields, by name."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

from model.config import ModelConfig
from model.gpt_neox_config import GPTNeoXConfig
from stages.parameters import (
    Corpus,
    DenseRetriever,
    Geometry,
    RealmStart,
    RealmTraining,
    Recipe,
    Runtime,
    Training,
)
from stages.runner.messages import Messages
from stages.runner.stage import Context

CONFIG = ModelConfig(
    vocabulary_size=40,
    width=16,
    layers=2,
    heads=2,
    chunk_tokens=4,
    stride_chunks=2,
    cca_layers=(2,),
    recurrent_layers=(2,),
    neighbours=2,
    gate_window=3,
)
OF_CONFIG = (
    "layers",
    "width",
    "heads",
    "dropout",
    "zero_init_residuals",
    "copying",
    "lexical_start",
    "dtype",
    "remat",
)
MODEL = {name: getattr(CONFIG, name) for name in OF_CONFIG}


def tiny_config(**changes: Any) -> ModelConfig:
    """The smallest configuration that has everything: a layer in each decoder, cross-attention in the upper
    one.
    """
    return replace(CONFIG, **changes)


def tiny_geometry(**changes: Any) -> Geometry:
    """Chunks of 8 tokens, 16 to a sequence, 2 to a stride."""
    return Geometry(**{"chunk_tokens": 8, "sequence_chunks": 16, "stride_chunks": 2, **changes})


def tiny_training(**changes: Any) -> Training:
    """One step with the sizes of `tiny_config`."""
    return Training(**{**MODEL, "steps": 1, "batch": 1, "learning_rate": 1e-3, "warmup": 0.0, **changes})


def tiny_recipe(**changes: Any) -> Recipe:
    """Cross-attention in the upper layer, 2 neighbours, a gate that looks at 4 chunks."""
    return Recipe(**{"cca_layers": (2,), "neighbours": 2, "gate_window": 4, **changes})


def tiny_dense_retriever(**changes: Any) -> DenseRetriever:
    """Two encoders of 2 layers of 8, trained for one step."""
    sizes = {"layers": 2, "width": 8, "heads": 2, "queries": 1, "steps": 1, "batch": 2, "learning_rate": 1e-3}
    return DenseRetriever(**{**sizes, **changes})


def tiny_gpt_neox(**changes: Any) -> GPTNeoXConfig:
    """One layer of 16 that reads prompts of 4 chunks of 8 tokens."""
    sizes = {
        "vocab_size": 60,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    return GPTNeoXConfig(**{**sizes, "max_position_embeddings": 32, **changes})


def tiny_context(place: Path, **changes: Any) -> Context:
    """A stage of the corpus `demo` that reads in `place`, writes in `place / "scratch"` and speaks to
    `say.stream`.
    """
    context = Context(
        "demo", Corpus(source="x"), None, None, place, place / "scratch", Runtime(), Messages(io.StringIO())
    )
    return replace(context, **changes)


def tiny_realm_start(**changes: Any) -> RealmStart:
    """Embedder and reader of one layer of 16, two passages beside the null document, three updates of each
    beginning.
    """
    sizes = {
        "passages": 200,
        "query_tokens": 30,
        "held_out": 0.25,
        "layers": 1,
        "width": 16,
        "heads": 2,
        "vector": 8,
        "dropout": 0.0,
    }
    cloze = {"cloze_steps": 3, "cloze_batch": 4, "cloze_learning_rate": 1e-3}
    reader = {"reader_steps": 3, "reader_batch": 4, "reader_learning_rate": 1e-3}
    return RealmStart(**{**sizes, "candidates": 2, **cloze, **reader, **changes})


def tiny_realm(**changes: Any) -> RealmTraining:
    """Twelve updates; a refresh begins after every fourth and takes over two updates later."""
    sizes = {"steps": 12, "batch": 4, "learning_rate": 1e-2}
    return RealmTraining(
        **{**sizes, "refresh_every": 4, "recall_bound": 0.9, "probe_every": 3, "hand_over": 2, **changes}
    )
