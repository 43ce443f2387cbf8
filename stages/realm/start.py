"""What REALM of a corpus begins as: an embedder by the inverse cloze task, and a reader that reads what it is
given.
"""

from __future__ import annotations

from functools import partial

from data_contracts.failure import Exit, Failure
from model.baselines.realm import Reader, RealmConfig, first_parameters
from model.parameters import Architecture, Parameters
from model.parameters_io import save_parameters
from stages.parameters import Geometry, RealmStart
from stages.realm import reader_start, warm_start
from stages.realm.batches import Data
from stages.realm.corpus import RealmCorpus, config_of, read_corpus, write_config
from stages.realm.optimizer import EMBEDDER, READER, part_of
from stages.realm.phases import run_phase
from stages.realm.reader_start import ReaderStart, learn_to_read, passages_with_answers
from stages.realm.training import Architectures
from stages.realm.warm_start import WarmStart, make_cloze, warm_up
from stages.runner.stage import Context, Job
from stages.training.checkpoints import Restored, jsonl

FEWEST = 2  # sentences: each is told from another


def make_realm_start(context: Context, geometry: Geometry, realm_start: RealmStart) -> None:
    """Write model.safetensors, config.json, cloze.jsonl and reader.jsonl.

    Raises:
        Failure: (exit code 2) if hardly a sentence lies whole in a passage, or as `read_corpus` and
            `config_of` state.
    """
    corpus = read_corpus(context.inputs, geometry, realm_start)
    config = config_of(realm_start, corpus.layout)
    first = first_parameters(config, realm_start.seed)
    embedder = _start_embedder(context, config, part_of(first, EMBEDDER), corpus, realm_start)
    reader = _start_reader(context, config, part_of(first, READER), corpus, realm_start)
    target = context.out("realm_start")
    parts = ((EMBEDDER, embedder.state[0]), (READER, reader.state[0]))
    save_parameters(
        {prefix + path: value for prefix, part in parts for path, value in part.items()},
        target / "model.safetensors",
    )
    write_config(target, config, realm_start)
    for name, phase in (("cloze", embedder), ("reader", reader)):
        (target / f"{name}.jsonl").write_text(jsonl(phase.history))
    made, passages = corpus.questions, corpus.passages
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in made.left_out.items())
    context.say.note(
        f"**{context.corpus}**: {len(passages.plain):,} passages of {len(corpus.documents):,} documents"
        f" ({passages.cut:,} cut), {passages.held_out:,} held out; {len(made.train.answers):,} questions to"
        f" train with, {len(made.held_out.answers):,} held out (left out: {left_out}); of the last batch the"
        f" embedder puts {embedder.history[-1]['accuracy']:.0%} of the passages first, and the reader gains"
        f" {reader.history[-1]['without'] - reader.history[-1]['loss']:.2f} nats a token from a passage with"
        " the answer"
    )


def _start_embedder(
    context: Context, config: RealmConfig, first: Parameters, corpus: RealmCorpus, sizes: RealmStart
) -> Restored:
    cloze = make_cloze(corpus.documents, corpus.tokenizer, corpus.layout, sizes.seed)
    if len(cloze.names_C) < FEWEST:
        cause = (
            f"only {len(cloze.names_C)} of them lie whole in one of {len(corpus.passages.plain)} passages,"
            " with six words besides"
        )
        raise Failure(
            "too few sentences for the inverse cloze task",
            cause,
            "raise realm_start.passage_chunks",
            Exit.USAGE,
        )
    plan = WarmStart(
        sizes.cloze_steps, min(sizes.cloze_batch, len(cloze.names_C)), sizes.cloze_learning_rate, sizes.seed
    )
    phase = partial(_warm_up, config, cloze, plan)
    begin = warm_start.fresh(first, plan)
    return run_phase(
        context,
        "cloze updates",
        plan.steps,
        begin,
        phase,
        lambda row: f"loss {row['loss']:.3f}, {row['accuracy']:.0%} right",
    )


def _warm_up(
    config: RealmConfig, cloze: warm_start.Cloze, plan: WarmStart, begin: Restored, after: warm_start.After
) -> Restored:
    return warm_up(Architectures.of(config).embedder, begin, cloze, plan, after)


def _start_reader(
    context: Context, config: RealmConfig, first: Parameters, corpus: RealmCorpus, sizes: RealmStart
) -> Restored:
    data = Data(corpus.questions.train, corpus.passages, corpus.layout)
    saying, with_answer = passages_with_answers(data)
    context.say.note(
        f"**{context.corpus}**: the answers of {with_answer:,} of {len(saying):,} questions are said"
        " elsewhere in their document"
    )
    plan = ReaderStart(
        sizes.reader_steps, min(sizes.reader_batch, len(saying)), sizes.reader_learning_rate, sizes.seed
    )
    begin = reader_start.fresh(first, plan)

    def phase(begin: Restored, after: warm_start.After) -> Restored:
        return learn_to_read(Architecture.of(Reader, config), begin, data, saying, plan, after)

    return run_phase(
        context,
        "reader updates",
        plan.steps,
        begin,
        phase,
        lambda row: f"loss {row['loss']:.3f}, {row['without']:.3f} without",
    )


STAGE = Job(
    "realm_start",
    make_realm_start,
    ("geometry", "realm_start"),
    {"realm_start": "artifacts/{corpus}/realm_start"},
    reads=("artifacts/{corpus}/tokenizer", "artifacts/{corpus}/chunks"),
)
