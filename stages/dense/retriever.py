"""The DPR-style retriever of a corpus (paper appendix C), trained on its train split."""

from __future__ import annotations

import json
import shutil

import numpy as np

from data_contracts.candidates import CANDIDATES
from data_contracts.contract import open_artifact
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS
from model.baselines.dpr import EncoderConfig, both_from, first_parameters
from model.parameters import Parameters
from model.parameters_io import save_parameters
from stages.bert import find_bert
from stages.dense.encoders import ChunkSizes, Encoders, from_bert, from_scratch
from stages.dense.examples import HARD_NEGATIVE, training_examples
from stages.dense.training import Examples, Plan, fresh, train
from stages.parameters import DenseRetriever, Geometry
from stages.runner.interruption import Interruption
from stages.runner.stage import Context, Job
from stages.tokens.tokenizer import load_tokenizer, vocabulary_size
from stages.training.checkpoints import Checkpoints, Restored, Saver, jsonl


def encoder_config(sizes: DenseRetriever, vocabulary_size: int) -> EncoderConfig:
    """The configuration of both encoders.

    Raises:
        Failure: (exit code 2) if the sizes do not fit together.
    """
    try:
        return EncoderConfig(vocabulary_size, sizes.width, sizes.layers, sizes.heads)
    except ValueError as error:
        raise Failure(
            "the sizes of the dense retriever",
            str(error),
            "change `dense_retriever` in params.yaml",
            Exit.USAGE,
        ) from error


def begin_from_scratch(
    context: Context, geometry: Geometry, sizes: DenseRetriever
) -> tuple[Encoders, Parameters]:
    """Encoders of the corpus's tokens, and their first values.

    Raises:
        Failure: as `encoder_config` states.
    """
    config = encoder_config(sizes, vocabulary_size(load_tokenizer(context.input("tokenizer"))))
    return from_scratch(geometry, config), first_parameters(config, sizes.seed)


def begin_from_bert(
    context: Context, geometry: Geometry, dense_retriever: DenseRetriever
) -> tuple[Encoders, Parameters]:
    """The BERT that is asked for, twice; its tokenizer is copied beside what will be trained.

    Raises:
        Failure: as `find_bert` states.
    """
    bert, target = (
        find_bert(dense_retriever.name, dense_retriever.revision, "dense_retriever"),
        context.out("dense_retriever"),
    )
    shutil.copyfile(bert.directory / "tokenizer.json", target / "tokenizer.json")
    sizes = ChunkSizes(geometry.chunk_tokens, geometry.stride_chunks, bert.config.hidden_size)
    return from_bert(sizes, bert.config, context.input("tokenizer"), target), both_from(bert.parameters)


BEGIN = {"scratch": begin_from_scratch, "bert": begin_from_bert}


def encoded(examples: Examples, encoders: Encoders) -> tuple[Examples, int]:
    """The examples as the encoders read them, and how many of their chunks had to be cut."""
    parts = examples.queries_EM, examples.positives_EM, examples.negatives_EM
    inputs, cut = encoders.inputs(np.concatenate(parts))
    queries, positives, negatives = np.split(inputs, len(parts))
    return Examples(queries, positives, negatives, examples.names_E2), cut


def make_dense_retriever(context: Context, geometry: Geometry, dense_retriever: DenseRetriever) -> None:
    """Write model.safetensors, config.json and losses.jsonl; tokenizer.json too where it is a BERT's.

    Raises:
        Failure: (exit code 2) if no training query has five candidates, or as the functions of `BEGIN` state.
    """
    chunks, candidates = (
        open_artifact(CHUNKS, context.input("chunks")),
        open_artifact(CANDIDATES, context.input("candidates")),
    )
    encoders, first = BEGIN[dense_retriever.encoder](context, geometry, dense_retriever)
    examples, short = training_examples(chunks, candidates, dense_retriever.queries, dense_retriever.seed)
    count, steps = len(examples.queries_EM), dense_retriever.steps
    if not count:
        cause = f"none of {short} training queries has {HARD_NEGATIVE + 1} candidates"
        raise Failure(
            "no hard negatives", cause, "raise mining.max_candidates or give longer documents", Exit.USAGE
        )
    examples, cut = encoded(examples, encoders)
    batch = min(dense_retriever.batch, count)
    plan = Plan(steps, batch, dense_retriever.learning_rate, dense_retriever.seed)
    trained = _train(context, encoders, first, examples, plan)
    target = context.out("dense_retriever")
    save_parameters(trained.state[0], target / "model.safetensors")
    described = {**encoders.described, "length": examples.queries_EM.shape[1]}
    (target / "config.json").write_text(json.dumps(described, indent=1) + "\n")
    (target / "losses.jsonl").write_text(jsonl(trained.history))
    share = trained.history[-1]["accuracy"]
    context.say.note(
        f"**{context.corpus}**: dense retriever trained on {count:,} queries, {steps * batch / count:.1f}"
        f" times each; {short:,} with fewer than {HARD_NEGATIVE + 1} candidates were left out; of the last"
        f" batch it puts {share:.1%} of the positives first"
        + (
            f"; of {3 * count:,} chunks read {cut:,} were cut, for they have more word pieces than an encoder"
            " reads"
            if cut
            else ""
        )
    )


def _train(
    context: Context, encoders: Encoders, first: Parameters, examples: Examples, plan: Plan
) -> Restored:
    """Training to the end, from a checkpoint if there is one."""
    context.say.progress(0, plan.steps, "steps", "compiling")
    with (
        Checkpoints(context.scratch / "checkpoints", context.say.note) as checkpoints,
        Interruption() as interruption,
    ):
        saver, start = (
            Saver(checkpoints, context.runtime.checkpoint_seconds, interruption),
            fresh(first, plan),
        )

        def after(now: Restored) -> None:
            if now.history and now.history[-1]["step"] == now.step:
                said = f"loss {now.history[-1]['loss']:.3f}, {now.history[-1]['accuracy']:.0%} right"
                context.say.progress(now.step, plan.steps, "steps", said)
            if saver.due:
                saver.save(*now)

        return train(encoders.architecture, checkpoints.restore(start.state) or start, examples, plan, after)


STAGE = Job(
    "dense_retriever",
    make_dense_retriever,
    ("geometry", "dense_retriever"),
    {"dense_retriever": "artifacts/{corpus}/dense_retriever"},
    reads=("artifacts/{corpus}/tokenizer", "artifacts/{corpus}/chunks", "artifacts/{corpus}/candidates"),
)
