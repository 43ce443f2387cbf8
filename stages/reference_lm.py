"""The reference LM of a corpus: a small GPT-NeoX trained from scratch on its train split, saved as a Hugging Face directory.

Scoring knows only such a directory, so Pythia can take its place unchanged. A third of its diet is retrieval-shaped (see
reference_lm_mixture), because an LM that has only seen running text cannot use a far chunk put before a query.
"""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow.compute as pc

from data_contracts.candidates import CANDIDATES
from data_contracts.contract import open_artifact
from data_contracts.documents import document_runs
from data_contracts.failure import Exit, Failure
from data_contracts.tokens import CHUNKS, list_rows
from model import gpt_neox_files
from model.gpt_neox_config import GPTNeoXConfig
from stages.parameters import Geometry, ReferenceLM
from stages.reference_lm_mixture import training_windows
from stages.reference_lm_training import train
from stages.stage import Context, Job
from stages.tokenizer import load_tokenizer

EPOCHS_AT_MOST = 2
INITIAL_SCALE = 0.64  # 0.02 at a width of 1024


def train_documents(context: Context) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Tokens of every training document, and for each of its chunks the BM25 top-1 candidate (-1: none)."""
    chunks, candidates = open_artifact(CHUNKS, context.input("chunks")), open_artifact(CANDIDATES, context.input("candidates"))
    documents, best = list[np.ndarray](), list[np.ndarray]()
    for shard in chunks.shards:
        table = chunks.read(shard)
        table = table.filter(pc.equal(table.column("split"), "train"))
        pairs = candidates.read(shard)
        pairs = pairs.filter(pc.and_(pc.equal(pairs.column("query_form"), "qt"), pc.equal(pairs.column("rank"), 0)))
        query, candidate = pairs.column("query_chunk").to_numpy(), pairs.column("candidate_chunk").to_numpy()
        runs = {doc_id: (begin, end) for doc_id, begin, end in document_runs(pairs.column("doc_id"))}
        tokens = list_rows(table.column("token_ids"))
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
            vocab_size=load_tokenizer(context.input("tokenizer")).get_vocab_size(),
            hidden_size=reference_lm.width,
            num_hidden_layers=reference_lm.layers,
            num_attention_heads=reference_lm.heads,
            intermediate_size=4 * reference_lm.width,
            max_position_embeddings=window,
            initializer_range=INITIAL_SCALE * reference_lm.width**-0.5,
        )
    except ValueError as error:
        raise Failure("the sizes of the reference LM", str(error), "change `reference_lm` in params.yaml", Exit.USAGE) from error


def make_reference_lm(context: Context, geometry: Geometry, reference_lm: ReferenceLM) -> None:
    """Write config.json, model.safetensors, tokenizer.json and losses.jsonl."""
    documents, top1 = train_documents(context)
    window = 4 * geometry.chunk_tokens
    available = sum(len(ids) for ids in documents)
    tokens = min(reference_lm.tokens, EPOCHS_AT_MOST * available)
    steps = max(1, tokens // (window * reference_lm.batch))
    config = _config(context, reference_lm, window)
    count = steps * reference_lm.batch
    windows = training_windows(documents, top1, count=count, seed=reference_lm.seed, chunk_tokens=geometry.chunk_tokens)
    history = list[tuple[int, float]]()

    def progress(step: int, _: int, loss: float) -> None:
        history.append((step, loss))
        context.say.progress(step, steps, "steps", f"loss {loss:.3f}")

    context.say.progress(0, steps, "steps", "compiling")
    params = train(config, windows, steps, reference_lm.batch, reference_lm.learning_rate, reference_lm.seed, progress)
    target = context.out("reference_lm")
    gpt_neox_files.save(target, config, params)
    shutil.copyfile(context.input("tokenizer") / "tokenizer.json", target / "tokenizer.json")
    (target / "losses.jsonl").write_text("".join(json.dumps({"step": step, "loss": loss}) + "\n" for step, loss in history))
    context.say.note(
        f"**{context.corpus}**: reference LM trained on {steps * reference_lm.batch * window:,} tokens, loss {history[-1][1]:.3f}"
    )


STAGE = Job("reference_lm", make_reference_lm, ("geometry", "reference_lm"), {"reference_lm": "artifacts/{corpus}/reference_lm"})
