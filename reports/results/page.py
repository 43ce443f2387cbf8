"""The page of all results that are kept: what they show, what they do not, and the figures with the commands
that make them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reports.html.formats import count, interval, number, size
from reports.html.parts import NOT_LOGGED
from reports.html.plain_table import PlainTable, as_markdown
from reports.metrics.evaluation_rows import CONTROL
from reports.metrics.published import name_of
from reports.metrics.resampling import FEWEST_DOCUMENTS
from reports.metrics.seeds import DEVIATIONS, FEWEST_SEEDS
from reports.results.figures import PLACES
from reports.results.result import Order, OverSeeds, Result, SystemFigures

WRITTEN = (
    "<!-- Written by `./rpt results` and `./rpt docs` from metrics/results/. Edit reports/results/page.py and"
    " run `./rpt docs`. -->"
)
GAINS = {
    "over_transformer_xl": "Transformer-XL",
    "over_random": "the random control",
    "without_neighbours": "itself without neighbours",
}
PLACE_NAMES = {"all": "all tokens", "with_neighbours": "tokens with an eligible neighbour"}
NOT_SHOWN = (
    (
        "Anything at the paper's size. Its models have 200 M parameters and read billions of tokens: no"
        " figure here is comparable with its tables."
    ),
    (
        "What would come without help. These models get first values, and heads that are told where the same"
        " tokens stood before (`training.copying`), and RPT-Sem a retriever whose scores begin with shared"
        " tokens and nearness (`training.lexical_start`): none of it is in the paper. Short runs without it"
        " gained nothing by retrieval ([log](log.md), 2026-11-25)."
    ),
    (
        "That labels teach RPT-Sem's retriever. What it is ahead of chance is its first values, and their"
        " form was settled with scores of test documents of the demo, which is code, in sight ([log](log.md),"
        " 2026-11-29). By itself a retriever of eleven weights that begin at zero does learn from labels of"
        " mathematics: on its test documents it is better than BM25, than a lexical start, and than its twin"
        " that learned the same labels in another order, though that its weights begin at zero was decided"
        " with these queries in sight; on the demo's code it is not shown to be better than that twin"
        " (`./rpt bench retriever_labels math`; [log](log.md), 2026-11-30). RPT-Sem with a retriever that"
        " weighs features of pairs (`rpt_sem_features`, mathematics, not in the tables below) finds more of"
        " the best passages than its twin, by Recall@10 and nDCG@20 (one seed of each), and over three"
        " seeds is level with RETRO in perplexity; that labels, and not the features, did the latter is not"
        " shown (the same log)."
    ),
    (
        "That Transformer-XL, which has fewer parameters and needs fewer operations, would still be behind if"
        " it were as large or were trained as long: such rows were not trained here. The random control has"
        " RETRO's parameters."
    ),
    "That an order holds on other text. Books repeat far less, and none was tried.",
)
READING = (
    (
        "A mean over the seeds ± its standard deviation over them, then the 95 % interval of the documents,"
        " resampled with blocks within them. Gains are in nats a token, positive is better, each seed paired"
        " with its own on the same tokens. That over itself without neighbours says that a model reads, and"
        " not what reading is worth: it has not learned to do without."
    ),
    (
        f"An order is claimed only with {FEWEST_SEEDS} seeds of each and means more than {DEVIATIONS:g}"
        " pooled standard deviations apart."
    ),
)


def markdown(results: Sequence[Result]) -> str:
    """The page; `results` as `./rpt results` keeps them."""
    parts = [
        "# Results",
        WRITTEN,
        (
            "Small runs: models that train for minutes of a core at most, over several seeds. Every figure of"
            " this page is in a file of `metrics/results/`, which the commands beside it write."
        ),
        "## What is shown",
        _list(sentence for result in results for sentence in shown(result)),
        "## What is not shown",
        _list([*(sentence for result in results for sentence in not_ordered(result)), *NOT_SHOWN]),
        "## How to read the tables",
        *READING,
        *(part for result in results for part in _section(result)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def shown(result: Result) -> list[str]:
    """What the figures of a corpus support, in sentences."""
    below: dict[str, list[str]] = {}
    for pair in result.orders["all"]:
        if pair.claimed:
            below.setdefault(pair.better, []).append(_name(pair.worse))
    orders = [f"{_name(better)} is below {_and(worse)}" for better, worse in below.items()]
    sentences = [f"**{result.corpus}**: in perplexity on all tokens, {'; '.join(orders)}."] if orders else []
    for row in result.rows:
        levels = [
            f"{_figure(getattr(row.all, name), 3, signed=True)} over {of}"
            for name, of in GAINS.items()
            if _above_zero(getattr(row.all, name))
        ]
        if levels:
            sentences.append(
                f"**{result.corpus}**: {_name(row.system)} predicts better, in nats a token, by"
                f" {_and(levels)}."
            )
    return sentences


def not_ordered(result: Result) -> list[str]:
    """Which pairs of systems the seeds of a corpus leave open, and whether a learned retriever is behind
    BM25.
    """
    orders = {(pair.better, pair.worse): pair.claimed for pair in result.orders["all"]}
    pairs = "; ".join(
        f"{_name(better)} or {_name(worse)}" for (better, worse), claimed in orders.items() if not claimed
    )
    sentences = [f"**{result.corpus}**: which is better: {pairs}."] if pairs else []
    if orders.get(("retro", "rpt_sem")):
        sentences.append(
            f"**{result.corpus}**: the paper's order of RPT-Sem and RETRO. RETRO, which searches by BM25,"
            " is below RPT-Sem, which has to learn to search in these few updates."
        )
    return sentences


def _above_zero(figure: OverSeeds | None) -> bool:
    return figure is not None and figure.low is not None and figure.low > 0


def _section(result: Result) -> list[str]:
    training, tokens = result.training, result.tokens
    passed = sum(gate.passed for gate in result.gates)
    about = (
        f"{training.layers} layers of {training.width}, a vocabulary of"
        f" {count(training.vocabulary)}, {count(training.steps)} updates of"
        f" {count(training.tokens // training.steps)} tokens ({count(training.tokens)} in all)."
        f" {count(result.documents)} test documents, {count(tokens['all'])} tokens,"
        f" {count(tokens['with_neighbours'])} of them with an eligible neighbour; the same for all runs"
        f" (SHA-256 {result.tokens_sha256[:12]}). Of the gates that say whether labels are fit to train"
        f" on, {passed} of {len(result.gates)} pass."
    )
    few = (
        f"Of fewer than {FEWEST_DOCUMENTS} documents an interval means nothing."
        if result.documents < FEWEST_DOCUMENTS
        else ""
    )
    local = not result.source.startswith("python-stdlib")
    needs = f"*Needs: {result.source}, a file with a column `text`, one document a row.*" if local else ""
    commands = (
        f"./rpt run evaluation --profile {result.profile}     # trains and evaluates every run",
        f"./rpt results {result.profile}                      # the figures, and this page",
    )
    tables = [
        part
        for place in PLACES
        for part in (f"Perplexity and gains, {PLACE_NAMES[place]}:", as_markdown(table(result, place)))
    ]
    return [
        f"## {result.corpus}",
        about,
        few,
        needs,
        "```sh\n" + "\n".join(commands) + "\n```",
        *tables,
        "Orders:",
        _orders(result),
    ]


def table(result: Result, place: str) -> PlainTable:
    """A row a system, on the tokens of `place`, the lowest perplexity first."""
    head = [
        "system",
        "parameters",
        "perplexity",
        *(f"gain over {of}" for of in GAINS.values()),
        "perplexity by seed",
    ]
    rows = sorted(result.rows, key=lambda row: getattr(row, place).perplexity.value)
    return PlainTable(head, [_row(row.system, row.parameters, getattr(row, place)) for row in rows])


def _row(system: str, parameters: int, figures: SystemFigures) -> list[str]:
    gains = (_figure(getattr(figures, name), 3, signed=True) for name in GAINS)
    by_seed = ", ".join(number(value) for value in figures.perplexity.by_seed)
    return [_name(system), size(parameters), _figure(figures.perplexity, 2), *gains, by_seed]


def _figure(figure: OverSeeds | None, digits: int, *, signed: bool = False) -> str:
    if figure is None:
        return NOT_LOGGED
    spread = "" if figure.deviation is None else f" ± {number(figure.deviation, digits)}"
    return (
        f"{number(figure.value, digits, signed=signed)}{spread}"
        f" {interval(figure.low, figure.high, digits, signed=signed)}"
    )


def _orders(result: Result) -> str:
    rows = [
        [
            _name(pair.better),
            _name(pair.worse),
            *(cell for place in PLACES for cell in _gap(_pair(result, place, pair))),
        ]
        for pair in result.orders["all"]
    ]
    head = [
        f"{name}{suffix}"
        for name in PLACE_NAMES.values()
        for suffix in (", gap (pooled deviations)", ", an order")
    ]
    return as_markdown(PlainTable(["lower", "higher", *head], rows))


def _pair(result: Result, place: str, pair: Order) -> tuple[Order, int]:
    """The same pair on the tokens of `place`, and 1, or -1 where its order is the other one there."""
    names = (pair.better, pair.worse)
    return next(
        (other, sign)
        for other in result.orders[place]
        for sign, of in ((1, names), (-1, names[::-1]))
        if (other.better, other.worse) == of
    )


def _gap(found: tuple[Order, int]) -> list[str]:
    pair, sign = found
    unit = NOT_LOGGED if pair.deviations is None else number(sign * pair.deviations, 1)
    return [f"{number(sign * pair.gap)} ({unit})", "yes" if pair.claimed else "no"]


def _name(system: str) -> str:
    return "the random control" if system == CONTROL else name_of(system)


def _and(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _list(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)
