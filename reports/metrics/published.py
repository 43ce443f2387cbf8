"""What the paper printed, in its order: the rows of Tables 2 and 4 and the figures of Table 3."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from data_contracts.evaluations import DPR, ORACLE, OWN

NAMES = {
    "transformer_xl": "Transformer-XL",
    "transformer_xl_plus_2": "Transformer-XL, 2 layers more",
    "transformer_xl_longer": "Transformer-XL, 1.5 times the steps",
    "transformer_xl_same_parameters": "Transformer-XL, as many parameters",
    "transformer_xl_same_time": "Transformer-XL, as much time",
    "transformer_xl_carry": "Transformer-XL, state carried",
    "retro": "RETRO",
    "retro_q": "RETRO, (c_q) in training",
    "random": "Random retrieval",
    "recency": "Nearest chunks",
    "retro_corpus": "RETRO, whole corpus",
    "retro_corpus_random": "RETRO, whole corpus, random passages",
    "rpt_lex": "RPT-Lex",
    "rpt_sem": "RPT-Sem",
    "rpt_sem_gold_only": "RPT-Sem, only teacher forcing",
    "rpt_sem_own_only": "RPT-Sem, no teacher forcing",
    "rpt_sem_ungated": "RPT-Sem, no neighbour gating",
    "memorizing_32k": "Memorizing, 32K, matched",
    "memorizing_65k": "Memorizing, 65K, matched",
    "memorizing_32k_bucketed": "Memorizing, 32K, matched, approximate search",
    "block_recurrent": "Block-Recurrent, matched",
    "transformer_xl_official": "Transformer-XL in Memorizing's official form",
    "memorizing_32k_official": "Memorizing, 32K, official",
    "memorizing_65k_official": "Memorizing, 65K, official",
    "block_recurrent_official": "Block-Recurrent, official",
    "griffin": "Griffin",
}
CORPORA = ("ArXiv", "Code", "PG19", "Books3")


def name_of(system: str) -> str:
    """A system's name as the paper writes it."""
    return NAMES.get(system, system)


def names_of(systems: Mapping[str, str]) -> dict[str, str]:
    """The name of each run, given the system of each: the system's, or the run's own where several are of one system."""
    runs = Counter(systems.values())
    return {run: name_of(system) if runs[system] == 1 else run for run, system in systems.items()}


@dataclass(frozen=True)
class Row:
    """A row of Table 2 or 4: perplexity on `CORPORA`, parameters, time of an update over that of Transformer-XL; which system and setting
    of ours it is to be compared with, if it is here.

    `reckoned` is not printed in the paper: what counting dense multiply-accumulates at its sizes gives for `time`, all projections of a
    neighbour once a neighbour (12 d^2 a layer, V / d = 49 d^2 of the output; pairs and sorts of the ranking loss left out), and three
    products of Memorizing with its whole memory, of which ours makes one.
    """

    name: str
    perplexity: tuple[float, ...]
    parameters: str = ""
    time: float | None = None
    system: str | None = None
    setting: str = OWN
    reckoned: float | None = None


def _both_forms(name: str, perplexity: tuple[float, ...], time: float, system: str, reckoned: float) -> tuple[Row, Row]:
    """A row of the paper, whose figures are likely to be of the official form, beside each of our two."""
    forms = (("official", f"{system}_official"), ("matched", system))
    official, matched = (Row(f"{name}, {form}", perplexity, "212 M", time, ours, reckoned=reckoned) for form, ours in forms)
    return official, matched


TABLE_2 = (
    Row("Transformer-XL", (3.11, 2.30, 11.48, 15.00), "202 M", 1.0, "transformer_xl", reckoned=1.0),
    Row("+ 2 layers", (3.07, 2.26, 11.2, 14.52), "228 M", 1.14, "transformer_xl_plus_2", reckoned=1.12),
    Row("1.5 times the steps", (3.11, 2.26, 11.39, 14.70), "202 M", 1.0, "transformer_xl_longer", reckoned=1.0),
    Row("RETRO with BM25", (2.94, 2.17, 11.44, 14.60), "236 M", 1.35, "retro", reckoned=1.40),
    Row("RPT-Lex", (2.92, 2.23, 11.59, 14.32), "242 M", 1.51, "rpt_lex", reckoned=1.42),
    Row("RPT-Sem", (2.77, 2.17, 10.96, 13.91), "242 M", 1.51, "rpt_sem", reckoned=1.42),
    Row("RPT-Sem, 3 neighbours", (2.75, 2.16, 10.92, 13.87), system="rpt_sem", setting="first_3", reckoned=1.60),
    Row("RPT-Sem, 4 neighbours", (2.74, 2.15, 10.93, 13.91), system="rpt_sem", setting="first_4", reckoned=1.78),
    *_both_forms("Memorizing, 32K", (2.92, 2.18, 10.97, 14.40), 1.82, "memorizing_32k", 1.50),
    *_both_forms("Memorizing, 65K", (2.93, 2.15, 10.99, 14.3), 2.12, "memorizing_65k", 1.99),
    *_both_forms("Block-Recurrent", (2.89, 2.73, 10.95, 14.64), 1.56, "block_recurrent", 1.05),
    Row("Griffin", (3.08, 2.24, 11.26, 14.16), "240 M", 1.15, "griffin", reckoned=1.18),
    Row("RPT-Lex, oracle", (2.80, 2.12, 10.88, 13.30), "242 M", 1.51, "rpt_lex", ORACLE, 1.42),
    Row("RPT-Sem, oracle", (2.69, 2.10, 10.26, 12.74), "242 M", 1.51, "rpt_sem", ORACLE, 1.42),
)

TABLE_4 = (
    Row("RETRO with BM25", (2.94, 2.17, 11.44, 14.60), system="retro"),
    Row("RETRO, DPR-style retriever", (2.97, 2.28, 11.7, 14.86), system="retro", setting=DPR),
    Row("RPT-Lex", (2.92, 2.23, 11.59, 14.32), system="rpt_lex"),
    Row("RPT-Lex, DPR-style retriever", (2.84, 2.26, 11.11, 14.17), system="rpt_lex", setting=DPR),
    Row("RPT-Sem", (2.77, 2.17, 10.96, 13.91), system="rpt_sem"),
    Row("RPT-Sem, DPR-style retriever", (2.98, 2.33, 11.62, 14.66), system="rpt_sem", setting=DPR),
    Row("only teacher forcing", (2.91, 2.22, 11.54, 14.66), system="rpt_sem_gold_only"),
    Row("no teacher forcing", (2.95, 2.26, 13.10, 14.40), system="rpt_sem_own_only"),
    Row("no neighbour gating", (2.92, 2.20, 11.50, 18.68), system="rpt_sem_ungated"),
)

AVERAGE = "Average"
RETRIEVERS = ("BM25", "RPT-Lex", "RPT-Sem")
TABLE_3: dict[str, dict[str, tuple[float, ...]]] = {  # percent, by `RETRIEVERS`
    "ArXiv": {"precision_at_2": (27, 26, 32), "recall_at_10": (55, 54, 58), "ndcg_at_20": (24, 24, 30)},
    "Code": {"precision_at_2": (29, 26, 34), "recall_at_10": (53, 52, 56), "ndcg_at_20": (25, 23, 30)},
    "PG19": {"precision_at_2": (22, 22, 28), "recall_at_10": (55, 55, 61), "ndcg_at_20": (18, 18, 23)},
    "Books3": {"precision_at_2": (23, 19, 26), "recall_at_10": (55, 50, 58), "ndcg_at_20": (18, 16, 22)},
    AVERAGE: {"precision_at_2": (25.2, 23.2, 30.0), "recall_at_10": (54.5, 52.7, 58.2), "ndcg_at_20": (21.2, 20.2, 26.2)},
}


def published_perplexity(system: str) -> dict[str, float]:
    """A system's perplexity by corpus as Table 2 has it; empty for one that the paper does not have."""
    return next((dict(zip(CORPORA, row.perplexity, strict=True)) for row in TABLE_2 if (row.system, row.setting) == (system, OWN)), {})
