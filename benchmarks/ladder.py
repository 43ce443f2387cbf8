"""How far retrieval gets in a small model, rung by rung: a loss is in nats a token, lower is better; a gain
is a difference of two.

i. Before training: what the first values gain from a true neighbour, on text into which spans are written
twice (`_written_twice.py`). ii. RETRO trained on such text: repeated tokens of other documents, with the
neighbour that holds them and with another. iii. Real text, spans written once: RETRO with BM25's neighbours
against random ones in the same model, against the control trained with random neighbours, and against
Transformer-XL. iv. RPT-Lex on the same text, with the neighbours that it retrieves itself.

All are trained here from the sequences of a corpus, `demo` or the one that is named as an argument, one
sequence an update, with BM25 candidates found by c_q in training and at test. Measured on sequences of its
other splits, where a neighbour is eligible. Two layers 64 wide and one seed: small-scale, fit to see whether
a reader copies at all, not to compare systems. Needs `./rpt run packing`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks._written_twice import WrittenTwice, random_neighbours, write_twice
from benchmarks.result import Bar, show
from data_contracts.contract import open_artifact
from data_contracts.eligibility import first_query
from data_contracts.tokens import TOKENS, list_rows
from model.config import ModelConfig
from model.language_model import Batch, LanguageModel
from model.registry import PAPER_CONFIG, SYSTEMS
from model.rpt import RPT
from model.schedules import TrainingSchedule, learning_rate
from model.train_step import init_train_state, train_step
from stages.mining.bm25 import best_candidates
from stages.parameters import Geometry, Mining, load
from stages.training.data import TrainingData
from stages.training.order import independent

STEPS, SEED, HELD_OUT, PEAK, SLOTS = 150, 0, 24, 5e-3, 20
SIZES: dict[str, Any] = {
    "width": 64,
    "layers": 2,
    "heads": 2,
    "cca_layers": (2,),
    "recurrent_layers": (2,),
    "gate_window": 32,
    "dropout": 0.0,
    "dtype": "float32",
    "remat": False,
}
SCHEDULE = TrainingSchedule(tau_max=2.0, alpha=1e-2, alpha_ramp=0.05, sampling_end=0.6)
BARS = [
    Bar("i_gain_before_training", 0.5, at_most=False),
    Bar("ii_gain_of_true_neighbours", 1.0, at_most=False),
    Bar("iii_gain_over_transformer_xl", 0.0, at_most=False),
    Bar("iii_gain_over_random_control", 0.0, at_most=False),
    Bar("iv_gain_over_transformer_xl", 0.0, at_most=False),
]
Inputs = Callable[[np.random.Generator, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(rng, [L + 1] tokens) -> the tokens to train on, and the candidates [C, S] of each chunk."""


@dataclass(frozen=True)
class Corpus:
    """Sequences to train on, sequences of other documents, and how text is cut and searched."""

    data: TrainingData
    held_out: list[np.ndarray]
    geometry: Geometry
    mining: Mining
    config: ModelConfig


def read(corpus: str) -> Corpus:
    """The corpus of this workspace."""
    configuration, place = load(Path("params.yaml")), Path("artifacts") / corpus
    geometry = configuration.geometry
    table = open_artifact(TOKENS, place / "tokens").read_all()
    texts = zip(table.column("split").to_pylist(), list_rows(table.column("token_ids")), strict=True)
    length, held_out = geometry.sequence_tokens, []
    for split, tokens in texts:
        if split != "train":
            held_out += [
                tokens[begin : begin + length + 1].astype(np.int32)
                for begin in range(0, len(tokens) - length, length)
            ]
    sizes: dict[str, Any] = {
        "chunk_tokens": geometry.chunk_tokens,
        "stride_chunks": geometry.stride_chunks,
        "neighbours": 2,
        "copying": True,
        "lexical_start": True,
    }
    vocabulary = configuration.tokenization.vocabulary_size
    config = replace(PAPER_CONFIG, vocabulary_size=vocabulary, zero_init_residuals=True, **SIZES, **sizes)
    mining = configuration.mining.model_copy(update={"max_candidates": SLOTS})
    return Corpus(
        TrainingData(place / "sequences", None, geometry),
        held_out[:: max(1, len(held_out) // HELD_OUT)],
        geometry,
        mining,
        config,
    )


def bm25(corpus: Corpus, text_T: np.ndarray) -> np.ndarray:
    """[C, S] what c_q finds within the sequence."""
    size, found = (
        corpus.geometry.chunk_tokens,
        np.full((corpus.geometry.sequence_chunks, SLOTS), -1, np.int32),
    )
    for part in best_candidates(
        text_T[:-1].reshape(-1, size), corpus.geometry.stride_chunks, corpus.mining, with_target=False
    ):
        found[part.query_R, part.rank_R] = part.candidate_R
    return found


def trained(system: str, corpus: Corpus, inputs: Inputs, steps: int = STEPS) -> LanguageModel:
    """The system after so many updates of one sequence each."""
    rate, rng = learning_rate(PEAK, STEPS, 0.2), np.random.default_rng(SEED)
    state = init_train_state(
        SYSTEMS[system], corpus.config, SEED, SYSTEMS[system].optimizer_for(corpus.config, rate)
    )
    for step in range(steps):
        batch = corpus.data.batch(independent(corpus.data.keys, step, 1, SEED))
        text = np.append(np.asarray(batch.tokens_BL)[0], np.asarray(batch.targets_BL)[0, -1])
        text, candidates = inputs(rng, text)
        scores = np.where(candidates >= 0, -np.arange(candidates.shape[1]), 0).astype(np.float32)
        labelled = np.any(candidates >= 0, axis=1)
        tokens, targets, ids, values, known = (
            jnp.asarray(row)[None] for row in (text[:-1], text[1:], candidates, scores, labelled)
        )
        batch = Batch(tokens, targets, batch.loss_mask_BL, ids, values, known, batch.starts_B)
        state, _ = train_step(
            state, batch, SCHEDULE.at(step, STEPS), jax.random.fold_in(jax.random.key(SEED), step)
        )
    return state.model()


@nnx.jit
def losses_of(model: LanguageModel, text_BT: jax.Array, neighbours_BCN: jax.Array) -> jax.Array:
    """[B, L] nats of every token with these neighbours."""
    return model.token_losses(model.decode(model.encode(text_BT[:, :-1]), neighbours_BCN), text_BT[:, 1:])


@nnx.jit
def retrieved(model: LanguageModel, text_BT: jax.Array) -> jax.Array:
    """[B, C, N] what the model itself retrieves."""
    assert isinstance(model, RPT)
    return model.retrieve(model.encode(text_BT[:, :-1]))


def mean_loss(
    model: LanguageModel, texts: list[np.ndarray], neighbours: list[np.ndarray], masks: list[np.ndarray]
) -> float:
    """Nats a token over the positions of the masks."""
    losses = [
        np.asarray(losses_of(model, jnp.asarray(text)[None], jnp.asarray(ids)[None]))[0]
        for text, ids in zip(texts, neighbours, strict=True)
    ]
    return float(np.concatenate([row[mask] for row, mask in zip(losses, masks, strict=True)]).mean())


def copied(model: LanguageModel, texts: list[WrittenTwice]) -> tuple[float, float]:
    """The loss of repeated tokens with true neighbours, and with wrong ones."""
    words, masks = [text.text_T for text in texts], [text.repeated_L for text in texts]
    true, wrong = [text.true_CN for text in texts], [text.wrong_CN for text in texts]
    return mean_loss(model, words, true, masks), mean_loss(model, words, wrong, masks)


def main() -> None:
    """Measure and show."""
    load_at_start = os.getloadavg()[0]
    corpus = read(next((argument for argument in sys.argv[1:] if not argument.startswith("-")), "demo"))
    config, chunks = corpus.config, corpus.geometry.sequence_chunks
    rng = np.random.default_rng(1)

    def twice(rng: np.random.Generator, text_T: np.ndarray) -> WrittenTwice:
        return write_twice(rng, text_T, config.chunk_tokens, config.stride_chunks, config.neighbours)

    def by_chance(rng: np.random.Generator) -> np.ndarray:
        return random_neighbours(rng, chunks, config.stride_chunks, config.neighbours)

    def real(_: np.random.Generator, text_T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return text_T, bm25(corpus, text_T)

    written = [twice(rng, text) for text in corpus.held_out]
    before = copied(trained("retro", corpus, lambda rng, text: twice(rng, text)[:2], steps=0), written)
    after = copied(trained("retro", corpus, lambda rng, text: twice(rng, text)[:2]), written)
    found = [bm25(corpus, text)[:, : config.neighbours] for text in corpus.held_out]
    chance = [by_chance(rng) for _ in corpus.held_out]
    served = (
        np.arange(chunks * config.chunk_tokens)
        >= (first_query(config.stride_chunks) + 1) * config.chunk_tokens - 1
    )
    masks = [served] * len(corpus.held_out)
    retro, plain, control, lexical = (
        trained(name, corpus, real) for name in ("retro", "transformer_xl", "random", "rpt_lex")
    )
    own = [np.asarray(retrieved(lexical, jnp.asarray(text)[None]))[0] for text in corpus.held_out]
    iii = {
        "retro": mean_loss(retro, corpus.held_out, found, masks),
        "retro_random_neighbours": mean_loss(retro, corpus.held_out, chance, masks),
        "random_control": mean_loss(control, corpus.held_out, chance, masks),
        "transformer_xl": mean_loss(plain, corpus.held_out, chance, masks),
    }
    iv = {
        "rpt_lex": mean_loss(lexical, corpus.held_out, own, masks),
        "rpt_lex_random_neighbours": mean_loss(lexical, corpus.held_out, chance, masks),
    }
    figures = {
        "i_gain_before_training": before[1] - before[0],
        "ii_true_neighbours": after[0],
        "ii_wrong_neighbours": after[1],
        "ii_gain_of_true_neighbours": after[1] - after[0],
        **{f"iii_{name}": loss for name, loss in iii.items()},
        "iii_gain_of_bm25_neighbours": iii["retro_random_neighbours"] - iii["retro"],
        "iii_gain_over_random_control": iii["random_control"] - iii["retro"],
        "iii_gain_over_transformer_xl": iii["transformer_xl"] - iii["retro"],
        **{f"iv_{name}": loss for name, loss in iv.items()},
        "iv_gain_over_transformer_xl": iii["transformer_xl"] - iv["rpt_lex"],
    }
    show("ladder", figures, BARS, load_at_start, updates=STEPS, sequences=len(corpus.held_out))


if __name__ == "__main__":
    main()
