"""What must be known before a comparison is believed: which orders its seeds support, what its rows share,
and what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import cast

from data_contracts.evaluations import BASELINE
from reports.comparison.rows import CorpusComparison, Trained
from reports.comparison.tables import Corpora
from reports.html.formats import count
from reports.html.markup import clipped
from reports.html.parts import NAME
from reports.metrics.evaluation_rows import CONTROL
from reports.metrics.published import name_of
from reports.metrics.resampling import FEWEST_DOCUMENTS
from reports.metrics.seeds import DEVIATIONS, FEWEST_SEEDS

MINIMUM = (
    BASELINE,
    "transformer_xl_same_parameters",
    "transformer_xl_same_time",
    "retro",
    CONTROL,
    "rpt_sem",
)
"""The least set for a claim that retrieval, and not size or time, is what helps."""
CARRY_CONTROLS = {
    "transformer_xl_carry": (
        "memorizing_32k",
        "memorizing_65k",
        "memorizing_32k_bucketed",
        "block_recurrent",
    ),
    "transformer_xl_official": (
        "memorizing_32k_official",
        "memorizing_65k_official",
        "block_recurrent_official",
    ),
}
"""Transformer-XL trained as others are that carry state from sequence to sequence."""

OF_TABLE_2 = (
    (
        "The paper's columns are for models of 200 M parameters on other corpora of billions of tokens with"
        " another tokenizer: they show the order that was published, and their values are not comparable with"
        " ours."
    ),
    (
        "Time is the median time of an update over that of Transformer-XL, by the logs of training on this"
        " machine. The runs were made one after another and the machine may have been busy: read it beside"
        " operations, which are counted (model/training_cost.py) and not timed. “Reckoned” is what counting"
        " multiply-accumulates at the paper's sizes gives for its time."
    ),
    (
        "The interval is of the documents, resampling them and blocks within them, and the systems share most"
        " of it. It says nothing of the seed, and settings with other neighbours at test may be of fewer"
        " documents, which the row then states (evaluation.settings_documents)."
    ),
    (
        "Matched: in the decoder and with the first values, optimizer and learning rate of all other rows."
        " Official: with those of the code that a system was published with (T5 biases, normed queries and"
        " keys, ReLU, Adafactor), and the paper's figures are likely to be of that code. Griffin is matched"
        " in the paper too."
    ),
    (
        "Bold: the lowest perplexity over all documents, ablations included. An oracle sees the target and"
        " does not count; whether the order is more than chance is said below."
    ),
)
OF_TABLE_3 = (
    "Gold: scored candidates with a positive label; everything eligible is ranked, and what was not scored"
    " counts as not relevant. Chance is what a random order is expected to reach. The paper's reference LM,"
    " candidates and corpora differ."
)
OF_TABLE_4 = (
    "A DPR-style retriever replaces a system's own at test alone. A dash: not trained or not evaluated here."
    " The paper's text says of no teacher forcing that it loses more than only teacher forcing, which its"
    " figure for Books3 contradicts."
)
OF_GAINS = (
    "Loss of the other system minus that of the row, on the same tokens and resamples. Retrieval gain is that"
    " over random retrieval, which has RETRO's parameters and reads random neighbours in training too: what"
    " choosing neighbours brings, beyond having the parameters."
)


def orders(corpora: Corpora) -> list[str]:
    """Which order of systems may be claimed, and why no more of it."""
    rule = (
        f"An order is claimed with {FEWEST_SEEDS} seeds of both systems and means over {DEVIATIONS:g} pooled"
        " standard deviations apart."
    )
    return [rule, *(sentence for corpus in corpora for sentence in _orders(corpus))]


def _orders(corpus: CorpusComparison) -> list[str]:
    name, found = clipped(corpus.corpus, NAME), corpus.orders
    ranked = list(found.better_than)
    claims = [
        f"{name}: {_names([one])} is better than {_from(others, ranked)}."
        for one, others in found.better_than.items()
        if others
    ]
    claims = [f"{name}, lowest first: {_names(ranked)}.", *(claims or [f"{name}: no order is claimed."])]
    few = found.too_few_seeds
    return claims + ([f"{name}: fewer than {FEWEST_SEEDS} seeds of {_names(few)}."] if few else [])


def _from(systems: Sequence[str], ranked: list[str]) -> str:
    """The systems, by the first of them if they are the rest of the ranked ones."""
    rest = len(systems) > 2 and systems == ranked[-len(systems) :]
    return f"{_names(systems[:1])} and all after it" if rest else _names(systems)


def fairness(corpora: Corpora) -> list[str]:
    """What rows share and what is missing for a claim."""
    return [sentence for corpus in corpora for sentence in _fairness(corpus)]


def _fairness(corpus: CorpusComparison) -> list[str]:
    name = clipped(corpus.corpus, NAME)
    trained = [run.trained for run in corpus.runs if run.trained.steps is not None]
    if not trained:
        return [f"{name}: nothing is trained."]
    parts = [
        _shared(trained, lambda run: f"{count(run.steps)} updates", "all systems"),
        _shared(
            trained,
            lambda run: "{layers} layers of {width}, {heads} heads".format(**(run.sizes or {})),
            "all systems",
        ),
        _shared([run for run in trained if run.retriever != "none"], _neighbours, "all that read neighbours"),
    ]
    said = [f"{name}: {words}." for words in parts if words]
    systems = {run.trained.system for run in corpus.runs if run.evaluated}
    missing = [system for system in MINIMUM if system not in systems]
    few = [system for system in MINIMUM if system in systems and system in corpus.orders.too_few_seeds]
    lacks = [f"without {_names(missing)}"] * bool(missing) + [
        f"with fewer than {FEWEST_SEEDS} seeds of {_names(few)}"
    ] * bool(few)
    state = "is complete" if not lacks else "is not complete: " + ", and ".join(lacks)
    said.append(f"{name}: the least set for a claim ({_names(MINIMUM)}, {FEWEST_SEEDS} seeds each) {state}.")
    for control, carrying in CARRY_CONTROLS.items():
        if control not in systems and (alone := [system for system in carrying if system in systems]):
            said.append(
                f"{name}: state is carried from sequence to sequence by {_names(alone)}; the control,"
                f" {_names([control])}, is not here."
            )
    if "retro" in systems:
        said.append(
            f"{name}: RETRO is trained on neighbours chosen with sight of the target and tested on others;"
            f" {_names(['retro_q'])}, is not."
        )
    return said


def _neighbours(run: Trained) -> str:
    sizes = run.sizes or {}
    layers = ", ".join(map(str, cast(Sequence[int], sizes["cca_layers"])))
    return f"{sizes['neighbours']} neighbours in layers {layers}, gate over {sizes['gate_window']} chunks"


def _shared(runs: Sequence[Trained], words: Callable[[Trained], str], everyone: str) -> str:
    """What the systems have: `140 updates: all systems`, or `140 updates: A; B. 210 updates: C`."""
    groups: dict[str, dict[str, None]] = {}
    for run in runs:
        groups.setdefault(words(run), {})[run.system] = None
    return ". ".join(
        f"{what}: {everyone if len(groups) == 1 else _names(systems)}" for what, systems in groups.items()
    )


def warnings(corpora: Corpora) -> list[str]:
    """What stands in red at the top."""
    few = [
        corpus for corpus in corpora if corpus.documents is not None and corpus.documents < FEWEST_DOCUMENTS
    ]
    said = [
        f"{clipped(corpus.corpus, NAME)}: interval not meaningful: {corpus.documents} documents, fewer than"
        f" {FEWEST_DOCUMENTS}."
        for corpus in few
    ]
    missing = [(corpus, [run.trained.run for run in corpus.runs if not run.evaluated]) for corpus in corpora]
    said += [
        f"{clipped(corpus.corpus, NAME)}: not evaluated: {clipped(', '.join(runs), 400)}."
        for corpus, runs in missing
        if runs
    ]
    old = [(run.trained.run, run.stale) for corpus in corpora for run in corpus.runs if run.stale]
    said += [
        f"{clipped(run, NAME)} is stale, its figures are of before this change: {clipped(cause, 400)}."
        for run, cause in old
    ]
    return said


def _names(systems: Iterable[str]) -> str:
    return "; ".join(clipped(name_of(system), NAME) for system in systems)
