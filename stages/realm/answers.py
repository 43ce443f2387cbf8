"""What a trained REALM answers to questions it was not trained on, beside the same reader with other
passages.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from data_contracts.contract import commit, write_shard
from data_contracts.realm_answers import METHODS, REALM_ANSWERS
from model.baselines.realm import Embedder
from model.parameters import Architecture, Parameters
from model.parameters_io import load_parameters
from reports.metrics.figures_file import as_json
from reports.realm.figures import realm_report
from reports.realm.history import read_history
from reports.realm.page import realm_page
from stages.parameters import Geometry, RealmAnswers
from stages.realm.answering import Answers, answer
from stages.realm.batches import Data
from stages.realm.bm25 import bm25_ids
from stages.realm.corpus import RealmCorpus, read_corpus, read_sizes
from stages.realm.index import Index, embed
from stages.realm.optimizer import EMBEDDER, part_of
from stages.realm.questions import Questions
from stages.realm.training import Architectures
from stages.runner.stage import Context, Job


def make_realm_answers(context: Context, geometry: Geometry, realm_answers: RealmAnswers) -> None:
    """Write the artifact `realm_answers`, and report.json and index.html beside it.

    Raises:
        Failure: as `read_corpus` states.
    """
    config, sizes = read_sizes(context.input("realm"))
    corpus = read_corpus(context.inputs, geometry, sizes)
    architectures = Architectures.of(config)
    sizes_of = architectures.realm.parameter_sizes()
    parameters = load_parameters(context.input("realm") / "model.safetensors", "REALM", sizes_of)
    asked = chosen(corpus.questions.held_out, realm_answers.questions, realm_answers.seed)
    data = Data(asked, corpus.passages, corpus.layout)
    history = read_history(context.input("realm") / "losses.jsonl")
    began = load_parameters(context.input("realm_start") / "model.safetensors", "REALM's start", sizes_of)
    found = candidates(
        data, architectures.embedder, (parameters, began), sizes.candidates, realm_answers.seed
    )
    answered = {}
    for done, (method, ids_QN) in enumerate(sorted(found.items()), start=1):
        answered[method] = answer(architectures.realm, parameters, data, ids_QN)
        context.say.progress(done, len(found), "methods")
    table = answer_table(corpus, data, found, answered, len(history))
    target = context.out("realm_answers")
    write_shard(REALM_ANSWERS, table, target / "part-00000.parquet")
    commit(REALM_ANSWERS, target)
    sizes_of_corpus = (len(data.passages.plain), len(corpus.questions.train.answers))
    figures = realm_report(
        context.corpus, *sizes_of_corpus, table, history, realm_answers.bootstrap_samples, realm_answers.seed
    )
    report = context.out("realm_report")
    (report / "report.json").write_text(as_json(figures))
    (report / "index.html").write_text(realm_page(figures), encoding="utf-8")
    for line in figures.headline:
        context.say.note(f"**{context.corpus}**: {line}")


def chosen(questions: Questions, most: int, seed: int) -> Questions:
    """At most so many of the questions, drawn by the seed, in their order."""
    rows = np.sort(np.random.default_rng(seed).permutation(len(questions.answers))[:most])
    parts: list[Any] = [
        part[rows] if isinstance(part, np.ndarray) else [part[row] for row in rows.tolist()]
        for part in questions
    ]
    return Questions(*parts)


def candidates(
    data: Data,
    embedder: Architecture[Embedder],
    trained_and_began: tuple[Parameters, Parameters],
    count: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """What each method of METHODS reads with each question: [Q, count] numbers of passages, none of them
    trivial; [Q, 0] for `null`.
    """
    passages_XT, questions_QT, rng = (
        data.passages.rows_XT,
        data.questions.rows_QT,
        np.random.default_rng(seed),
    )
    asked = np.arange(len(questions_QT))

    def trivial(query: int, passage: int) -> bool:
        return data.trivial(asked, query, passage)

    def nearest(keys_XE: np.ndarray, queries_QE: np.ndarray) -> np.ndarray:
        return Index(keys_XE).search(queries_QE, count, trivial).ids_BN

    def by(parameters: Parameters) -> np.ndarray:
        weights = part_of(parameters, EMBEDDER)
        return nearest(embed(embedder, weights, passages_XT), embed(embedder, weights, questions_QT))

    return {
        "realm": by(trained_and_began[0]),
        "start": by(trained_and_began[1]),
        "bm25": bm25_ids(passages_XT, questions_QT, count, data.layout, trivial),
        # Passages in an order drawn for each question are what an index of random vectors finds.
        "random": nearest(
            *(rng.standard_normal((len(rows), 16)).astype(np.float32) for rows in (passages_XT, questions_QT))
        ),
        "null": np.empty((len(asked), 0), int),
    }


def answer_table(
    corpus: RealmCorpus, data: Data, found: dict[str, np.ndarray], answered: dict[str, Answers], updates: int
) -> pa.Table:
    """The rows of the artifact."""
    asked, rows = data.questions, []
    for question, answer_text in enumerate(asked.answers):
        tokens = int(asked.weights_QA[question].sum())
        for method in sorted(METHODS):
            ids, of = found[method][question].tolist(), answered[method]
            best = of.tokens_QA[question, :tokens]
            rows.append(
                {
                    "question": question,
                    "method": method,
                    "doc_id": asked.doc_ids[question],
                    "kind": asked.kinds[question],
                    "sentence": asked.sentences[question].strip(),
                    "answer": answer_text.strip(),
                    "predicted": corpus.tokenizer.decode(best.tolist(), skip_special_tokens=False).strip(),
                    "exact": bool((best == asked.answers_QA[question, :tokens]).all()),
                    "logprob": float(of.logprobs_QA[question, :tokens].sum()),
                    "tokens": tokens,
                    "passages": ids,
                    "prior": of.prior_QN[question].tolist(),
                    "answer_in": any(answer_text.strip() in data.passages.plain[number] for number in ids),
                }
            )
    return REALM_ANSWERS.table(
        {name: [row[name] for row in rows] for name in REALM_ANSWERS.schema.names}, updates=updates
    )


STAGE = Job(
    "realm_answers",
    make_realm_answers,
    ("geometry", "realm_answers"),
    {"realm_answers": "artifacts/{corpus}/realm_answers", "realm_report": "artifacts/{corpus}/realm_report"},
    reads=(
        "artifacts/{corpus}/tokenizer",
        "artifacts/{corpus}/chunks",
        "artifacts/{corpus}/realm_start",
        "artifacts/{corpus}/realm",
    ),
)
