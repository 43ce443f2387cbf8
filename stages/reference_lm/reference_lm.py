"""The reference LM of a corpus as a Hugging Face directory: a small GPT-NeoX trained from scratch on the
train split, or a finished one.

Scoring knows only such a directory. Two fifths of what a small one is trained on are retrieval-shaped (see
reference_lm_mixture), because an LM that has only seen running text cannot use a far chunk put before a
query.
"""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data_contracts.candidates import CANDIDATES
from data_contracts.contract import open_artifact
from data_contracts.documents import document_runs
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS, list_rows
from model import gpt_neox_files
from model.gpt_neox_config import GPTNeoXConfig
from stages.parameters import Geometry, ReferenceLM
from stages.reference_lm.from_directory import take_reference_lm
from stages.reference_lm.from_hub import fetch_reference_lm
from stages.reference_lm.mixture import training_windows
from stages.reference_lm.training import fresh, train
from stages.runner.interruption import Interruption
from stages.runner.stage import Context, Job
from stages.tokens.tokenizer import load_tokenizer, vocabulary_size
from stages.training.checkpoints import Checkpoints, Restored, Saver, jsonl

EPOCHS_AT_MOST = 2
CHECKPOINTS = "checkpoints"
INITIAL_SCALE = 0.64  # 0.02 at a width of 1024


def train_documents(context: Context, limit: int, seed: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Tokens of training documents, and for each of their chunks the BM25 top-1 candidate (-1: none);
    documents are in corpus order.

    Shards are read in random order until they hold `limit` tokens, so that memory does not grow with the
    corpus; a smaller corpus is read whole.
    """
    chunks, candidates = (
        open_artifact(CHUNKS, context.input("chunks")),
        open_artifact(CANDIDATES, context.input("candidates")),
    )
    names, read, gathered = list(chunks.shards), dict[int, tuple[list[np.ndarray], list[np.ndarray]]](), 0
    for number in np.random.default_rng(seed).permutation(len(names)).tolist():
        read[number] = _shard_documents(chunks.read(names[number]), candidates.read(names[number]))
        gathered += sum(map(len, read[number][0]))
        if gathered >= limit:
            break
    parts = [read[number] for number in sorted(read)]
    return [document for documents, _ in parts for document in documents], [
        top1 for _, best in parts for top1 in best
    ]


def _shard_documents(chunks: pa.Table, candidates: pa.Table) -> tuple[list[np.ndarray], list[np.ndarray]]:
    table = chunks.filter(pc.equal(chunks.column("split"), "train"))
    pairs = candidates.filter(
        pc.and_(pc.equal(candidates.column("query_form"), "qt"), pc.equal(candidates.column("rank"), 0))
    )
    query, candidate = pairs.column("query_chunk").to_numpy(), pairs.column("candidate_chunk").to_numpy()
    runs = {doc_id: (begin, end) for doc_id, begin, end in document_runs(pairs.column("doc_id"))}
    tokens = list_rows(table.column("token_ids"))
    documents, best = list[np.ndarray](), list[np.ndarray]()
    for doc_id, begin, end in document_runs(table.column("doc_id")):
        first, last = runs.get(doc_id, (0, 0))
        top1 = np.full(end - begin, -1, np.int32)
        top1[query[first:last]] = candidate[first:last]
        documents.append(np.concatenate(tokens[begin:end]))
        best.append(top1)
    return documents, best


def _config(context: Context, reference_lm: ReferenceLM, window: int) -> GPTNeoXConfig:
    try:
        return GPTNeoXConfig(
            vocab_size=vocabulary_size(load_tokenizer(context.input("tokenizer"))),
            hidden_size=reference_lm.width,
            num_hidden_layers=reference_lm.layers,
            num_attention_heads=reference_lm.heads,
            intermediate_size=4 * reference_lm.width,
            max_position_embeddings=window,
            initializer_range=INITIAL_SCALE * reference_lm.width**-0.5,
        )
    except ValueError as error:
        raise Failure(
            "the sizes of the reference LM", str(error), "change `reference_lm` in params.yaml", Exit.USAGE
        ) from error


def make_reference_lm(context: Context, geometry: Geometry, reference_lm: ReferenceLM) -> None:
    """Write config.json, safetensors and tokenizer.json, and losses.jsonl of a model that is trained here.

    Raises:
        Failure: if the sizes do not fit together (exit code 2), or as `fetch_reference_lm` and
            `take_reference_lm` state.
    """
    window = 4 * geometry.chunk_tokens
    if reference_lm.source == "train":
        note = _train(context, geometry, reference_lm, window)
    elif reference_lm.source == "directory":
        note = take_reference_lm(
            reference_lm,
            context.input("tokenizer"),
            context.input("chunks"),
            window,
            context.out("reference_lm"),
        )
    else:
        context.say.progress(0, 1, "downloads", reference_lm.name)
        note = fetch_reference_lm(
            reference_lm,
            context.input("tokenizer"),
            context.input("chunks"),
            window,
            context.out("reference_lm"),
        )
        context.say.progress(1, 1, "downloads")
    context.say.note(f"**{context.corpus}**: reference LM {note}")


def _train(context: Context, geometry: Geometry, reference_lm: ReferenceLM, window: int) -> str:
    documents, top1 = train_documents(context, reference_lm.tokens, reference_lm.seed)
    available = sum(len(ids) for ids in documents)
    tokens = min(reference_lm.tokens, EPOCHS_AT_MOST * available)
    steps = max(1, tokens // (window * reference_lm.batch))
    config = _config(context, reference_lm, window)
    count = steps * reference_lm.batch
    windows = training_windows(
        documents, top1, count=count, seed=reference_lm.seed, chunk_tokens=geometry.chunk_tokens
    )
    trained = _to_the_end(context, reference_lm, config, windows, steps)
    target = context.out("reference_lm")
    gpt_neox_files.save(target, config, trained.state[0])
    shutil.copyfile(context.input("tokenizer") / "tokenizer.json", target / "tokenizer.json")
    (target / "losses.jsonl").write_text(jsonl(trained.history))
    return (
        f"trained on {steps * reference_lm.batch * window:,} tokens, loss {trained.history[-1]['loss']:.3f}"
    )


def _to_the_end(
    context: Context, reference_lm: ReferenceLM, config: GPTNeoXConfig, windows_nL: np.ndarray, steps: int
) -> Restored:
    """Training to the end, from a checkpoint if there is one."""
    rate, seed = reference_lm.learning_rate, reference_lm.seed
    context.say.progress(0, steps, "steps", "compiling")
    with (
        Checkpoints(context.scratch / CHECKPOINTS, context.say.note) as checkpoints,
        Interruption() as interruption,
    ):
        saver, start = (
            Saver(checkpoints, context.runtime.checkpoint_seconds, interruption),
            fresh(config, steps, rate, seed),
        )
        begin = checkpoints.restore(start.state) or start
        if begin.step:
            context.say.note(
                f"**{context.corpus}**: the reference LM goes on after step {begin.step} of {steps}"
            )

        def after(now: Restored) -> None:
            if now.history and now.history[-1]["step"] == now.step:
                context.say.progress(now.step, steps, "steps", f"loss {now.history[-1]['loss']:.3f}")
            if saver.due:
                saver.save(*now)

        return train(config, begin, windows_nL, steps, reference_lm.batch, rate, seed, after)


STAGE = Job(
    "reference_lm",
    make_reference_lm,
    ("geometry", "reference_lm"),
    {"reference_lm": "artifacts/{corpus}/reference_lm"},
    reads=("artifacts/{corpus}/tokenizer", "artifacts/{corpus}/chunks", "artifacts/{corpus}/candidates"),
)
