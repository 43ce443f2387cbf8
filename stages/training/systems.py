"""From recipes in params.yaml to systems of the model folder, for training and evaluation alike."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from data_contracts.failure import Exit, Failure
from model.config import ModelConfig
from model.language_model import LanguageModel
from model.parameters_io import load_model
from model.registry import SYSTEMS
from model.system import System, trained_as
from stages.parameters import Geometry, Recipe, Run, Training

INPUT_OF = {
    "none": "sequences",
    "bm25": "supervision/bm25",
    "bm25_q": "supervision/bm25_q",
    "scored": "supervision/scored",
    "corpus": "corpus_neighbours",
}


def system_of(name: str, run: Run) -> System:
    """The system a run names.

    Raises:
        Failure: (exit code 2) if there is none of this name, or `input` is not what it learns from.
    """
    if run.system not in SYSTEMS:
        raise Failure(
            f"runs.{name}.system",
            f"{run.system!r} is not a system",
            f"one of {', '.join(SYSTEMS)}",
            Exit.USAGE,
        )
    system = SYSTEMS[run.system]
    if run.input != (needed := INPUT_OF[system.supervision]):
        raise Failure(
            f"runs.{name}.input",
            f"{run.system} learns from {needed}, not {run.input}",
            f"write input: {needed}",
            Exit.USAGE,
        )
    return system


def config_of(geometry: Geometry, training: Training, recipe: Recipe, vocabulary_size: int) -> ModelConfig:
    """The configuration of a system.

    Raises:
        Failure: (exit code 2) if the sizes do not fit together.
    """
    try:
        return ModelConfig(
            vocabulary_size=vocabulary_size,
            width=training.width,
            layers=training.layers,
            heads=training.heads,
            chunk_tokens=geometry.chunk_tokens,
            stride_chunks=geometry.stride_chunks,
            cca_layers=recipe.cca_layers,
            recurrent_layers=recipe.recurrent_layers,
            neighbours=recipe.neighbours,
            gate_window=recipe.gate_window,
            dropout=training.dropout,
            zero_init_residuals=training.zero_init_residuals,
            dtype=training.dtype,
            remat=training.remat,
            copying=training.copying,
            lexical_start=training.lexical_start,
            lower=recipe.lower_layers,
        )
    except ValueError as error:
        raise Failure(
            "the sizes of the model", str(error), "change `training` or the recipe in params.yaml", Exit.USAGE
        ) from error


def steps_of(system: System, config: ModelConfig, training: Training, geometry: Geometry) -> int:
    """How many updates a run of a system has."""
    return max(1, round(training.steps * system.updates(config, geometry.sequence_tokens)))


def with_recipe(system: System, recipe: Recipe) -> System:
    """The system, its retriever trained as the recipe says."""
    return _with_words(system, _words(recipe))


def _with_words(system: System, words: dict[str, str]) -> System:
    return trained_as(system, system.retriever_training(**words)) if system.retriever_training else system


def _words(recipe: Recipe) -> dict[str, str]:
    return {"normalise": recipe.normalise, "sampling": recipe.sampling, "missing_gold": recipe.missing_gold}


def describe(system: System, config: ModelConfig, recipe: Recipe) -> dict:
    """What config.json beside the parameters says; `load_trained` reads it."""
    learned = {"retriever_training": _words(recipe)} if system.relevance else {}
    sizes = asdict(config)
    if not config.recurrent_layers:
        del sizes["recurrent_layers"]  # artifacts from before it had a name say the same
    if not config.pair_features:
        del sizes["pair_features"]
    return {"system": system.name, "shape": sizes, **learned}


def described_config(config: dict) -> ModelConfig:
    """The configuration in a config.json.

    An older one has the recurrent layers of Griffin as `cca_layers`, and may have `equal_projections`, which
    decided first values alone.
    """
    older = config["system"] == "griffin" and "recurrent_layers" not in config["shape"]
    sizes = config["shape"] | (
        {"cca_layers": (), "recurrent_layers": config["shape"]["cca_layers"]} if older else {}
    )
    layers = {name: tuple(sizes.get(name, ())) for name in ("cca_layers", "recurrent_layers")}
    return ModelConfig(
        **{**{name: value for name, value in sizes.items() if name != "equal_projections"}, **layers}
    )


def described_system(config: dict) -> System:
    """The system in a config.json, its retriever trained as that says."""
    system = SYSTEMS[config["system"]]
    return _with_words(system, config["retriever_training"]) if "retriever_training" in config else system


def load_trained(directory: Path, config: dict) -> LanguageModel:
    """The trained model of an artifact whose config.json is `config`.

    Raises:
        Failure: (exit code 3) if it is not as it was written.
    """
    from data_contracts.seal import check_seal  # needs pyarrow, which the compilers' environments lack

    check_seal(directory)
    return load_model(directory / "model.safetensors", described_system(config), described_config(config))
