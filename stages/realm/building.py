"""Who embeds the passages for the next index: Ray, while training goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from model.baselines.bert_config import BertConfig
from model.baselines.realm import Embedder, RealmConfig
from model.parameters import Architecture, Parameters
from stages.parameters import Runtime
from stages.realm.index import embed
from stages.runner.ray_map import ray_call

Building = Callable[[], np.ndarray]
"""What was begun: called, it waits for the vectors."""
Build = Callable[[Parameters], Building]
"""Begins to embed all passages with the embedder's parameters."""


def on_ray(config: RealmConfig, rows: Path, runtime: Runtime) -> Build:
    """Builds on Ray, in a process of its own, which reads the rows of the passages from `rows`."""
    described = {"bert": asdict(config.bert), "vector": config.vector}

    def build(parameters: Parameters) -> Building:
        values = {path: np.asarray(value) for path, value in parameters.items()}
        return ray_call(embed_file, (described, values, rows.resolve()), runtime, "the index of REALM")

    return build


def embed_file(described: Mapping, parameters: Mapping[str, np.ndarray], rows: Path) -> np.ndarray:
    """[X, E] the vectors of the rows of a file, by an embedder of these sizes."""
    config = RealmConfig(BertConfig(**described["bert"]), described["vector"])
    values = {path: jnp.asarray(value) for path, value in parameters.items()}
    return embed(Architecture.of(Embedder, config), values, np.load(rows, mmap_mode="r"))
