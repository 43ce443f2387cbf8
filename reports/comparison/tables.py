"""The paper's Tables 2, 3 and 4 with the systems of a comparison in them, and the published figures beside
each, as plain cells.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from data_contracts.evaluations import BY_CHANCE, DPR, ORACLE, OWN, WITHOUT
from reports.comparison.rows import CorpusComparison, SystemRow
from reports.html.formats import count, interval, number, size
from reports.html.markup import clipped
from reports.html.parts import NAME, NOT_LOGGED
from reports.html.plain_table import Group, PlainTable, Strong
from reports.metrics.evaluation_rows import READS_CORPUS
from reports.metrics.published import AVERAGE, CORPORA, RETRIEVERS, TABLE_2, TABLE_3, TABLE_4, Row, name_of
from reports.metrics.resampling import FEWEST_DOCUMENTS, Estimate
from reports.run import ceiling_section as ceiling_results
from reports.run.retrieval_section import METRICS

Corpora = Sequence[CorpusComparison]
Known = TypeVar("Known")
SETTINGS = {
    OWN: "",
    "first_3": ", 3 neighbours",
    "first_4": ", 4 neighbours",
    ORACLE: ", oracle",
    DPR: ", DPR-style retriever",
}
SETTINGS |= {WITHOUT: ", no passages", BY_CHANCE: ", passages by chance"}
NOT_MEANINGFUL = "not meaningful"


def table_2(corpora: Corpora) -> PlainTable:
    """The paper's rows in its order, then the systems that it does not have; ablations are in Table 4."""
    published = [*TABLE_2, *_more_rows(corpora)]
    groups = [
        *_groups(corpora),
        Group("training", 3),
        Group("paper: other data and size", len(CORPORA) + 3, "paper"),
    ]
    head = [
        "",
        *_head(corpora),
        "parameters",
        "time",
        "operations",
        *CORPORA,
        "parameters",
        "time",
        "reckoned",
    ]
    rows = [
        [row.name, *_measured(corpora, row), *_costs(corpora, row), *_published(row), *_published_costs(row)]
        for row in published
    ]
    return PlainTable(head, rows, groups, len(head) - len(CORPORA) - 3)


def table_4(corpora: Corpora) -> PlainTable:
    """The ablations."""
    head = ["", *_head(corpora), *CORPORA]
    rows = [[row.name, *_measured(corpora, row), *_published(row)] for row in TABLE_4]
    return PlainTable(
        head,
        rows,
        [*_groups(corpora), Group("paper: other data and size", len(CORPORA), "paper")],
        len(head) - len(CORPORA),
    )


def table_3(corpora: Corpora) -> PlainTable:
    """The paper's layout, in percent: the corpora of this comparison with what chance gets, then what was
    published.
    """
    head = ["", *RETRIEVERS * len(METRICS)]
    rows: list[list[str]] = []
    for corpus in corpora:
        figures_of = {row.retriever: row.figures for row in corpus.retrieval}
        name = clipped(corpus.corpus, NAME)
        rows.append(
            [name, *(_percent(figures_of.get(one, {}).get(key)) for key in METRICS for one in RETRIEVERS)]
        )
        rows.append(
            [
                f"{name}, chance",
                *(_percent(figures_of.get("chance", {}).get(key)) for key in METRICS for _ in RETRIEVERS),
            ]
        )
    for place, figures in TABLE_3.items():
        rows.append(
            [
                f"{place}, published",
                *(number(value, 0 if place != AVERAGE else 1) for key in METRICS for value in figures[key]),
            ]
        )
    return PlainTable(head, rows, [Group(f"{name}, %", len(RETRIEVERS), name) for name in METRICS.values()])


def retrievers(corpora: Corpora) -> PlainTable:
    """Every retriever, those of systems over their seeds."""
    rows = [
        [
            f"{clipped(corpus.corpus, NAME)}: {clipped(row.retriever, NAME)}",
            *(_percent(row.figures[key]) + _spread(row.deviation[key]) for key in METRICS),
            count(row.queries["precision_at_2"]),
            count(row.runs) if row.retriever not in ("chance", "recency", "BM25") else "",
        ]
        for corpus in corpora
        for row in corpus.retrieval
    ]
    return PlainTable(["retriever", *(f"{name}, %" for name in METRICS.values()), "queries", "runs"], rows)


def gains(corpora: Corpora) -> PlainTable:
    """What each row gains over Transformer-XL, and over random retrieval, in nats a token."""

    def cells(row: SystemRow) -> list[str]:
        return [_gain(row.gain), _gain(row.retrieval_gain)]

    rows = [
        [
            f"{clipped(corpus.corpus, NAME)}: {named(row.system, row.setting)}",
            *cells(row),
            count(row.documents),
        ]
        for corpus in corpora
        for row in corpus.rows
    ]
    return PlainTable(
        ["nats a token, positive is better", "over Transformer-XL", "retrieval gain", "docs"], rows
    )


def ceilings(corpora: Corpora) -> PlainTable:
    """What the past of the documents is worth to Transformer-XL."""
    rows = [
        [f"{clipped(corpus.corpus, NAME)}: {cells[0]}", *cells[1:]]
        for corpus in corpora
        for cells in map(ceiling_results.cells, corpus.ceilings)
    ]
    return PlainTable(ceiling_results.HEAD, rows)


def runs(corpora: Corpora) -> PlainTable:
    """Every run: what it is and what it took."""
    perplexity = {
        (corpus.corpus, run): value
        for corpus in corpora
        for row in corpus.rows
        if row.setting == OWN
        for run, value in zip(row.runs, row.by_seed, strict=True)
    }
    rows = [
        [
            clipped(run.run, NAME) + (" (stale)" if compared.stale else ""),
            clipped(name_of(run.system), NAME),
            str(run.seed),
            _known(run.steps, count),
            _known(run.parameters, count),
            _known(run.step_seconds, lambda value: number(value, 3)),
            _known(run.step_flops, size),
            number(perplexity[corpus.corpus, run.run]) if compared.evaluated else NOT_LOGGED,
        ]
        for corpus in corpora
        for compared in corpus.runs
        for run in [compared.trained]
    ]
    return PlainTable(
        [
            "run",
            "system",
            "seed",
            "updates",
            "parameters",
            "seconds an update",
            "operations an update",
            "perplexity",
        ],
        rows,
    )


def _more_rows(corpora: Corpora) -> list[Row]:
    """Rows for what the paper's Table 2 does not have and Table 4 neither."""
    published = {(row.system, row.setting) for row in (*TABLE_2, *TABLE_4)}
    measured = dict.fromkeys((run.trained.system, OWN) for corpus in corpora for run in corpus.runs)
    wider = dict.fromkeys(
        (row.system, row.setting)
        for corpus in corpora
        for row in corpus.rows
        if row.system in ("rpt_lex", *READS_CORPUS) and row.setting in SETTINGS
    )
    more = [pair for pair in dict.fromkeys((*measured, *wider)) if pair not in published]
    return [
        Row(2, line, clipped(name_of(system), NAME) + SETTINGS[setting], (), setting=setting, system=system)
        for line, (system, setting) in enumerate(more, len(TABLE_2) + 1)
    ]


def named(system: str, setting: str) -> str:
    """A system in a setting, in words."""
    return clipped(name_of(system), NAME) + SETTINGS.get(setting, f", {setting}")


def _several_seeds(corpora: Corpora) -> bool:
    return any(len(row.runs) > 1 for corpus in corpora for row in corpus.rows)


def _groups(corpora: Corpora) -> list[Group]:
    columns, names = 3 if _several_seeds(corpora) else 2, [clipped(corpus.corpus, NAME) for corpus in corpora]
    return [
        Group(f"{name}, {clipped(corpus.split, NAME)} split", columns, name)
        for name, corpus in zip(names, corpora, strict=True)
    ]


def _head(corpora: Corpora) -> list[str]:
    return ["perplexity", "95 % interval", *(["deviation (seeds)"] if _several_seeds(corpora) else [])] * len(
        corpora
    )


def _measured(corpora: Corpora, published: Row) -> list[str]:
    """The cells of a row in each corpus."""
    seeds = _several_seeds(corpora)
    cells: list[str] = []
    for corpus in corpora:
        row = next(
            (
                row
                for row in corpus.rows
                if (row.system, row.setting) == (published.system, published.setting)
            ),
            None,
        )
        cells += [NOT_LOGGED] * (3 if seeds else 2) if row is None else _figures(row, corpus.documents, seeds)
    return cells


def _figures(row: SystemRow, documents: int | None, seeds: bool) -> list[str]:
    few = f" ({count(row.documents)} docs)" if row.documents != documents else ""
    value = number(row.perplexity) + few
    bounds = interval(row.low, row.high) if row.documents >= FEWEST_DOCUMENTS else NOT_MEANINGFUL
    deviation = NOT_LOGGED if row.deviation is None else number(row.deviation, 3)
    return [
        Strong(value) if row.lowest else value,
        bounds,
        *([f"{deviation} ({len(row.runs)})"] if seeds else []),
    ]


def _costs(corpora: Corpora, published: Row) -> list[str]:
    """Parameters, time and operations; the latter two are of training, which a setting at test does not
    change.
    """
    costs = [corpus.costs.get(published.system) if published.system else None for corpus in corpora]
    own = published.setting == OWN
    return [
        _joined([_known(cost.parameters if cost else None, size) for cost in costs]),
        _joined([_known(cost.time if cost and own else None, number) for cost in costs]),
        _joined([_known(cost.operations if cost and own else None, number) for cost in costs]),
    ]


def _joined(cells: list[str]) -> str:
    return cells[0] if len(set(cells)) == 1 else " / ".join(cells)


def _published(row: Row) -> list[str]:
    return [number(value) for value in row.perplexity] or [NOT_LOGGED] * len(CORPORA)


def _published_costs(row: Row) -> list[str]:
    return [row.parameters or NOT_LOGGED, _known(row.time, number), _known(row.reckoned, number)]


def _known(value: Known | None, written: Callable[[Known], str]) -> str:
    return NOT_LOGGED if value is None else written(value)


def _percent(value: float | None) -> str:
    return NOT_LOGGED if value is None else number(100 * value, 1)


def _spread(deviation: float | None) -> str:
    return "" if deviation is None else f" ± {number(100 * deviation, 1)}"


def _gain(gain: Estimate | None) -> str:
    if gain is None:
        return NOT_LOGGED
    bounds = "" if gain.low is None else f" {interval(gain.low, gain.high, 3, signed=True)}"
    return number(gain.value, 3, signed=True) + bounds
